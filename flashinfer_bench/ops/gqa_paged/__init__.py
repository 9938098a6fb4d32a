"""Grouped-query attention over a paged cache: decode and causal prefill.

Pages of one token need no lengths of last pages; so each stage is two operations, with their own
reference each.
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
from flashinfer_bench.ops.gqa_paged.binding import DECODE, DECODE_PS1, PREFILL, PREFILL_PS1
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw


def gqa_paged_prefill_causal(  # type: ignore[no-untyped-def]
    q,
    k_cache,
    v_cache,
    qo_indptr,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
    window_left=None,
    logits_soft_cap=None,
):
    slots, token_indptr = token_slots(  # type: ignore[no-untyped-call]
        kv_indptr, kv_indices, kv_last_page_len, k_cache.shape[1]
    )
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    return causal_attention(  # type: ignore[no-untyped-call]
        q, k, v, qo_indptr, token_indptr, sm_scale, dtype, window_left, logits_soft_cap
    )


def gqa_paged_prefill_causal_ps1(  # type: ignore[no-untyped-def]
    q,
    k_cache,
    v_cache,
    qo_indptr,
    kv_indptr,
    kv_indices,
    sm_scale,
    dtype=None,
    window_left=None,
    logits_soft_cap=None,
):
    slots = kv_indices.long()
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    return causal_attention(  # type: ignore[no-untyped-call]
        q, k, v, qo_indptr, kv_indptr, sm_scale, dtype, window_left, logits_soft_cap
    )


def gqa_paged_decode(  # type: ignore[no-untyped-def]
    q,
    k_cache,
    v_cache,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
    window_left=None,
    logits_soft_cap=None,
):
    import torch

    return gqa_paged_prefill_causal(  # type: ignore[no-untyped-call]
        q,
        k_cache,
        v_cache,
        torch.arange(len(q) + 1),
        kv_indptr,
        kv_indices,
        kv_last_page_len,
        sm_scale,
        dtype,
        window_left,
        logits_soft_cap,
    )


def gqa_paged_decode_ps1(  # type: ignore[no-untyped-def]
    q,
    k_cache,
    v_cache,
    kv_indptr,
    kv_indices,
    sm_scale,
    dtype=None,
    window_left=None,
    logits_soft_cap=None,
):
    import torch

    return gqa_paged_prefill_causal_ps1(  # type: ignore[no-untyped-call]
        q,
        k_cache,
        v_cache,
        torch.arange(len(q) + 1),
        kv_indptr,
        kv_indices,
        sm_scale,
        dtype,
        window_left,
        logits_soft_cap,
    )


def _page_size(constants: Constants) -> int:
    return constants.get("page_size", 1)


def _decode_axes(constants: Constants) -> dict[str, int | None]:
    return {
        "batch_size": None,
        "num_qo_heads": constants["num_qo_heads"],
        "num_kv_heads": constants["num_kv_heads"],
        "head_dim": constants["head_dim"],
        "num_pages": None,
        "page_size": _page_size(constants),
        "len_indptr": None,
        "num_kv_indices": None,
    }


def _prefill_axes(constants: Constants) -> dict[str, int | None]:
    axes = {
        "num_qo_heads": constants["num_qo_heads"],
        "num_kv_heads": constants["num_kv_heads"],
        "head_dim": constants["head_dim"],
        "page_size": _page_size(constants),
        "len_indptr": None,
        "total_q": None,
        "num_kv_indices": None,
        "num_pages": None,
    }
    return axes if _page_size(constants) == 1 else {**axes, "batch_size": None}


def _interface(decode: bool) -> Callable[[Constants], Interface]:
    rows = "batch_size" if decode else "total_q"
    q = Tensor((rows, "num_qo_heads", "head_dim"), DTYPE)
    cache = Tensor(("num_pages", "page_size", "num_kv_heads", "head_dim"), DTYPE)
    index = Tensor(("len_indptr",), "int32")
    outputs = {"output": q, "lse": Tensor((rows, "num_qo_heads"), "float32")}

    def interface(constants: Constants) -> Interface:
        inputs = {"q": q, "k_cache": cache, "v_cache": cache}
        constraints = []
        if not decode:
            inputs["qo_indptr"] = index
            constraints.append("total_q == qo_indptr[-1].item()")
        inputs["kv_indptr"] = index
        inputs["kv_indices"] = Tensor(("num_kv_indices",), "int32")
        if _page_size(constants) > 1:
            inputs["kv_last_page_len"] = Tensor(("batch_size",), "int32")
        if decode or _page_size(constants) > 1:
            constraints.append("len_indptr == batch_size + 1")
        constraints.append("num_kv_indices == kv_indptr[-1].item()")
        inputs["sm_scale"] = Tensor(None, "float32")
        axes = _decode_axes(constants) if decode else _prefill_axes(constants)
        return Interface(axes, inputs, outputs, tuple(constraints))

    return interface


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    import torch

    total_q, dim, page_size = lengths.get("total_q"), constants["head_dim"], _page_size(constants)
    rows = lengths["batch_size"] if total_q is None else total_q
    cache = (lengths["num_pages"], page_size, constants["num_kv_heads"], dim)
    requests = lengths["len_indptr"] - 1
    return {
        "q": draw.normal((rows, constants["num_qo_heads"], dim), torch.bfloat16),
        "k_cache": draw.normal(cache, torch.bfloat16),
        "v_cache": draw.normal(cache, torch.bfloat16),
        **paged_indices(draw, page_size, lengths, requests, total_q),
        "sm_scale": dim**-0.5,
    }


def _draw_decode(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_decode_lengths(draw, _page_size(constants))


def _draw_prefill(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_prefill_lengths(draw, _page_size(constants))


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    heads, dim, page_size = constants["num_qo_heads"], constants["head_dim"], _page_size(constants)
    requests = lengths["len_indptr"] - 1
    decode = "total_q" not in lengths
    index = lengths["num_kv_indices"] + (1 if decode else 2) * lengths["len_indptr"]
    return attention_cost(
        constants,
        requests,
        requests if decode else lengths["total_q"],
        cached_tokens_at_least(page_size, lengths, requests),
        row_bytes=(heads * (4 * dim + 4), 4 * constants["num_kv_heads"] * dim),
        pair_flops=4 * heads * dim,
        index_bytes=4 * (index + (requests if page_size > 1 else 0)),
    )


def _example(name: str, decode: bool, page_size: int) -> Example:
    if decode:
        requests, queries, of = 64, {"batch_size": 64}, "64 requests of 1,024 tokens"
    else:
        requests, queries, of = 4, {"total_q": 4096}, "4 prompts of 1,024 tokens"
    pages = requests * 1024 // page_size
    lengths = {"len_indptr": requests + 1, "num_kv_indices": pages, "num_pages": pages}
    return Example(name, {**queries, **lengths}, f"Llama 3.1 8B, {of}")


def _operation(
    kind: str, summary: str, page_size: int | None, reference: Callable[..., Any], binding: Binding
) -> Operation:
    page = f"ps{page_size}" if page_size else "ps{page_size}"
    decode = kind.startswith("gqa_paged_decode")
    sizes = "h{num_qo_heads}_kv{num_kv_heads}_d{head_dim}_" + page
    variants = "[_w{window_left}][_cap{logits_soft_cap}]"
    stage = "decode" if decode else "prefill_causal"
    older = () if decode else (f"gqa_paged_prefill_{sizes}{variants}",)
    return Operation(
        op_type="gqa_paged",
        kind=kind,
        summary=summary,
        naming=Naming(f"gqa_paged_{stage}_{sizes}{variants}", accepted=older),
        interface=_interface(decode),
        reference=reference,
        make_inputs=_make_inputs,
        draw_lengths=_draw_decode if decode else _draw_prefill,
        check=CHECK,
        cost=_cost,
        binding=binding,
        example=_example(
            f"gqa_paged_{stage}_h32_kv8_d128_ps{page_size or 64}", decode, page_size or 64
        ),
        parameters=("window_left", "logits_soft_cap"),
        tags=("stage:decode" if decode else "stage:prefill",),
    )


_DECODE = "Grouped-query attention of one query per request over a paged cache; lse is to base 2."
_PREFILL = (
    "Causal grouped-query attention of several requests over a paged cache; lse is to base 2."
)

OPERATIONS = (
    _operation("gqa_paged_decode_ps1", _DECODE, 1, gqa_paged_decode_ps1, DECODE_PS1),
    _operation("gqa_paged_decode", _DECODE, None, gqa_paged_decode, DECODE),
    _operation(
        "gqa_paged_prefill_causal_ps1", _PREFILL, 1, gqa_paged_prefill_causal_ps1, PREFILL_PS1
    ),
    _operation("gqa_paged_prefill_causal", _PREFILL, None, gqa_paged_prefill_causal, PREFILL),
)
