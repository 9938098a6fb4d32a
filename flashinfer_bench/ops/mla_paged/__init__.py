"""Multi-head latent attention after absorption, over a paged cache: decode and causal prefill.

All heads share one key: a compressed part, which is also the value, and a rotary part. Pages of one
token need no lengths of last pages; so each stage is two operations, with their own reference each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.attention import (
    CHECK,
    DTYPE,
    attention_cost,
    cached_tokens_at_least,
    causal_attention,
    draw_decode_lengths,
    draw_prefill_lengths,
    paged_indices,
    token_slots,
)
from flashinfer_bench.ops.binding import Binding
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.mla_paged.binding import DECODE, DECODE_PS1, PREFILL, PREFILL_PS1
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw


def latent_attention(  # type: ignore[no-untyped-def]
    q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, token_indptr, sm_scale, dtype
):
    """One key and value head for all; `slots` of the tokens in the flattened caches."""
    import torch

    ckv = ckv_cache.flatten(0, 1)[slots].unsqueeze(1)
    kpe = kpe_cache.flatten(0, 1)[slots].unsqueeze(1)
    q, k = torch.cat([q_nope, q_pe], dim=-1), torch.cat([ckv, kpe], dim=-1)
    return causal_attention(  # type: ignore[no-untyped-call]
        q, k, ckv, qo_indptr, token_indptr, sm_scale, dtype
    )


def mla_paged_prefill_causal(  # type: ignore[no-untyped-def]
    q_nope,
    q_pe,
    ckv_cache,
    kpe_cache,
    qo_indptr,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
):
    slots, token_indptr = token_slots(  # type: ignore[no-untyped-call]
        kv_indptr, kv_indices, kv_last_page_len, ckv_cache.shape[1]
    )
    return latent_attention(  # type: ignore[no-untyped-call]
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, token_indptr, sm_scale, dtype
    )


def mla_paged_prefill_causal_ps1(  # type: ignore[no-untyped-def]
    q_nope, q_pe, ckv_cache, kpe_cache, qo_indptr, kv_indptr, kv_indices, sm_scale, dtype=None
):
    slots = kv_indices.long()
    return latent_attention(  # type: ignore[no-untyped-call]
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, kv_indptr, sm_scale, dtype
    )


def mla_paged_decode(  # type: ignore[no-untyped-def]
    q_nope,
    q_pe,
    ckv_cache,
    kpe_cache,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
):
    import torch

    return mla_paged_prefill_causal(  # type: ignore[no-untyped-call]
        q_nope,
        q_pe,
        ckv_cache,
        kpe_cache,
        torch.arange(len(q_nope) + 1),
        kv_indptr,
        kv_indices,
        kv_last_page_len,
        sm_scale,
        dtype,
    )


def mla_paged_decode_ps1(  # type: ignore[no-untyped-def]
    q_nope, q_pe, ckv_cache, kpe_cache, kv_indptr, kv_indices, sm_scale, dtype=None
):
    import torch

    qo_indptr = torch.arange(len(q_nope) + 1)
    return mla_paged_prefill_causal_ps1(  # type: ignore[no-untyped-call]
        q_nope, q_pe, ckv_cache, kpe_cache, qo_indptr, kv_indptr, kv_indices, sm_scale, dtype
    )


def _page_size(constants: Constants) -> int:
    return constants.get("page_size", 1)


def _axes(decode: bool, constants: Constants) -> dict[str, int | None]:
    axes: dict[str, int | None] = {"batch_size": None} if decode else {}
    for name in ("num_qo_heads", "head_dim_ckv", "head_dim_kpe"):
        axes[name] = constants[name]
    axes["page_size"] = _page_size(constants)
    if not decode:
        axes["total_q"] = None
    axes |= dict.fromkeys(("num_pages", "len_indptr", "num_kv_indices"))
    return axes if decode or _page_size(constants) == 1 else {**axes, "batch_size": None}


def _interface(decode: bool) -> Callable[[Constants], Interface]:
    rows = "batch_size" if decode else "total_q"
    output = Tensor((rows, "num_qo_heads", "head_dim_ckv"), DTYPE)
    outputs = {"output": output, "lse": Tensor((rows, "num_qo_heads"), "float32")}

    def interface(constants: Constants) -> Interface:
        inputs = {
            "q_nope": output,
            "q_pe": Tensor((rows, "num_qo_heads", "head_dim_kpe"), DTYPE),
            "ckv_cache": Tensor(("num_pages", "page_size", "head_dim_ckv"), DTYPE),
            "kpe_cache": Tensor(("num_pages", "page_size", "head_dim_kpe"), DTYPE),
        }
        constraints = []
        if not decode:
            inputs["qo_indptr"] = Tensor(("len_indptr",), "int32")
            constraints.append("total_q == qo_indptr[-1].item()")
        inputs["kv_indptr"] = Tensor(("len_indptr",), "int32")
        inputs["kv_indices"] = Tensor(("num_kv_indices",), "int32")
        if _page_size(constants) > 1:
            inputs["kv_last_page_len"] = Tensor(("batch_size",), "int32")
        if decode or _page_size(constants) > 1:
            constraints.append("len_indptr == batch_size + 1")
        constraints.append("num_kv_indices == kv_indptr[-1].item()")
        inputs["sm_scale"] = Tensor(None, "float32")
        return Interface(_axes(decode, constants), inputs, outputs, tuple(constraints))

    return interface


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    import torch

    total_q, page_size = lengths.get("total_q"), _page_size(constants)
    heads, ckv, kpe = (constants[n] for n in ("num_qo_heads", "head_dim_ckv", "head_dim_kpe"))
    rows = lengths["batch_size"] if total_q is None else total_q
    pages = (lengths["num_pages"], page_size)
    before_absorption = ckv // 4 + kpe  # DeepSeek's 512 compressed dimensions stand for 128
    return {
        "q_nope": draw.normal((rows, heads, ckv), torch.bfloat16),
        "q_pe": draw.normal((rows, heads, kpe), torch.bfloat16),
        "ckv_cache": draw.normal((*pages, ckv), torch.bfloat16),
        "kpe_cache": draw.normal((*pages, kpe), torch.bfloat16),
        **paged_indices(draw, page_size, lengths, lengths["len_indptr"] - 1, total_q),
        "sm_scale": before_absorption**-0.5,
    }


def _draw_decode(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_decode_lengths(draw, _page_size(constants))


def _draw_prefill(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_prefill_lengths(draw, _page_size(constants))


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    heads, ckv, kpe = (constants[n] for n in ("num_qo_heads", "head_dim_ckv", "head_dim_kpe"))
    requests, page_size = lengths["len_indptr"] - 1, _page_size(constants)
    decode = "total_q" not in lengths
    index = lengths["num_kv_indices"] + (1 if decode else 2) * lengths["len_indptr"]
    return attention_cost(
        constants,
        requests,
        requests if decode else lengths["total_q"],
        cached_tokens_at_least(page_size, lengths, requests),
        row_bytes=(heads * (4 * ckv + 2 * kpe + 4), 2 * (ckv + kpe)),
        pair_flops=2 * heads * (2 * ckv + kpe),
        index_bytes=4 * (index + (requests if page_size > 1 else 0)),
    )


def _example(name: str, decode: bool, page_size: int) -> Example:
    if decode:
        requests, queries, of = 64, {"batch_size": 64}, "64 requests of 1,024 tokens"
    else:
        requests, queries, of = 4, {"total_q": 4096}, "4 prompts of 1,024 tokens"
    pages = requests * 1024 // page_size
    lengths = {"len_indptr": requests + 1, "num_kv_indices": pages, "num_pages": pages}
    return Example(name, {**queries, **lengths}, f"DeepSeek V3 at tensor parallel 8, {of}")


def _operation(
    kind: str, summary: str, page_size: int | None, reference: Callable[..., Any], binding: Binding
) -> Operation:
    page = f"ps{page_size}" if page_size else "ps{page_size}"
    decode = kind.startswith("mla_paged_decode")
    stage = "decode" if decode else "prefill_causal"
    sizes = "h{num_qo_heads}_ckv{head_dim_ckv}_kpe{head_dim_kpe}_" + page
    return Operation(
        op_type="mla_paged",
        kind=kind,
        summary=summary,
        naming=Naming(f"mla_paged_{stage}_{sizes}"),
        interface=_interface(decode),
        reference=reference,
        make_inputs=_make_inputs,
        draw_lengths=_draw_decode if decode else _draw_prefill,
        check=CHECK,
        cost=_cost,
        binding=binding,
        example=_example(
            f"mla_paged_{stage}_h16_ckv512_kpe64_ps{page_size or 64}", decode, page_size or 64
        ),
        tags=("stage:decode" if decode else "stage:prefill",),
    )


_DECODE = "Latent attention of one query per request over a paged cache; lse is to base 2."
_PREFILL = "Causal latent attention of several requests over a paged cache; lse is to base 2."

OPERATIONS = (
    _operation("mla_paged_decode_ps1", _DECODE, 1, mla_paged_decode_ps1, DECODE_PS1),
    _operation("mla_paged_decode", _DECODE, None, mla_paged_decode, DECODE),
    _operation(
        "mla_paged_prefill_causal_ps1", _PREFILL, 1, mla_paged_prefill_causal_ps1, PREFILL_PS1
    ),
    _operation("mla_paged_prefill_causal", _PREFILL, None, mla_paged_prefill_causal, PREFILL),
)
