"""FlashInfer's calls for latent attention over a paged cache.

One wrapper serves both stages: where each request has one query it is decode, else a prefill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flashinfer_bench.ops.attention.binding import (
    SM_SCALE_STATED,
    AttentionBinding,
    has_values,
    page_size_one,
    settled,
)
from flashinfer_bench.ops.attention.refusing import (
    refuse_unsupported,
    require_causal,
    require_planned,
    require_tensor,
)
from flashinfer_bench.ops.binding import Argument, Call, Refused


def _sizes(call: Call) -> dict[str, int]:
    refuse_unsupported(call)
    tensors = {name: call.get("run", name) for name in ("q_nope", "q_pe", "ckv_cache", "kpe_cache")}
    for name, tensor in tensors.items():
        require_tensor(call, name, tensor, 3)
    if call.get("run", "return_lse_base_on_e"):
        raise Refused(f"{call.api}: lse to base e; base 2 expected")
    shapes = {name: [int(n) for n in tensor.shape] for name, tensor in tensors.items()}
    ckv, kpe = shapes["q_nope"][2], shapes["q_pe"][2]
    pages = shapes["ckv_cache"][:2]
    if shapes["ckv_cache"] != [*pages, ckv] or shapes["kpe_cache"] != [*pages, kpe]:
        raise Refused(f"{call.api}: shapes of queries and caches differ: {shapes}")
    constants = {
        "num_qo_heads": shapes["q_nope"][1],
        "head_dim_ckv": ckv,
        "head_dim_kpe": kpe,
        "page_size": pages[1],
    }
    names = ("head_dim_ckv", "head_dim_kpe", "page_size")
    require_planned(call, constants, num_qo_heads="num_heads", **{name: name for name in names})
    return constants


def _one_query_each(call: Call) -> bool:
    indptr, rows = call.get("plan", "qo_indptr"), call.run["q_nope"].shape[0]
    if indptr is None:
        raise Refused(f"{call.api}: plan was given no 'qo_indptr'")
    if rows != indptr.shape[0] - 1:
        return False
    return not has_values(indptr) or bool((indptr[1:] - indptr[:-1] == 1).all())


def _recognise(decode: bool) -> Callable[[Call], Mapping[str, int]]:
    def recognise(call: Call) -> Mapping[str, int]:
        call = settled(call)
        constants = _sizes(call)
        if decode is not _one_query_each(call):
            expected = "one query for each request" if decode else "several queries for a request"
            raise Refused(f"{call.api}: {expected} expected")
        if not decode:
            require_causal(call)
        return constants

    return recognise


def _last_page_len(call: Call) -> Any:
    """From the tokens and pages of each request."""
    indptr, tokens = call.get("plan", "kv_indptr"), call.get("plan", "kv_len_arr")
    if indptr is None or tokens is None:
        return None
    return tokens - (indptr[1:] - indptr[:-1] - 1) * call.run["ckv_cache"].shape[1]


def _binding(decode: bool) -> AttentionBinding:
    tensors = {name: Argument("run", name) for name in ("q_nope", "q_pe", "ckv_cache", "kpe_cache")}
    indptr = {} if decode else {"qo_indptr": Argument("plan", "qo_indptr")}
    return AttentionBinding(
        (
            "flashinfer.mla.BatchMLAPagedAttentionWrapper.run",
            "flashinfer.mla._core.BatchMLAPagedAttentionWrapper.run",
        ),
        {
            **tensors,
            **indptr,
            "kv_indptr": Argument("plan", "kv_indptr"),
            "kv_indices": Argument("plan", "kv_indices"),
            "kv_last_page_len": Argument("plan", "kv_last_page_len", otherwise=_last_page_len),
            "sm_scale": SM_SCALE_STATED,
        },
        _recognise(decode),
        plan="plan",
        note="plan takes kv_len_arr, the tokens of each request: "
        "(pages - 1) * page_size + kv_last_page_len"
        + ("; its qo_indptr is 0, 1, 2, …" if decode else ""),
    )


DECODE = _binding(decode=True)
PREFILL = _binding(decode=False)
DECODE_PS1 = page_size_one(DECODE)
PREFILL_PS1 = page_size_one(PREFILL)

__all__ = ["DECODE", "DECODE_PS1", "PREFILL", "PREFILL_PS1"]
