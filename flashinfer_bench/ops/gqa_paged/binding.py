"""FlashInfer's calls for grouped-query attention over a paged cache."""

from __future__ import annotations

from collections.abc import Mapping

from flashinfer_bench.ops.attention.binding import (
    SM_SCALE,
    AttentionBinding,
    page_size_one,
    settled,
)
from flashinfer_bench.ops.attention.refusing import (
    refuse_unsupported,
    require_causal,
    require_planned,
    require_tensor,
)
from flashinfer_bench.ops.attention.variants import variant
from flashinfer_bench.ops.binding import Argument, Call, Refused


def _sizes(call: Call, head_dim: str) -> dict[str, int]:
    refuse_unsupported(call)
    k_cache, v_cache = call.get("run", "paged_kv_cache", (None, None))
    q = call.get("run", "q")
    for name, tensor, axes in (("q", q, 3), ("k_cache", k_cache, 4), ("v_cache", v_cache, 4)):
        require_tensor(call, name, tensor, axes)
    _require_nhd(call, list(k_cache.shape), q.shape[2])
    if list(v_cache.shape) != list(k_cache.shape):
        raise Refused(f"{call.api}: k_cache {list(k_cache.shape)}, v_cache {list(v_cache.shape)}")
    constants = {
        "num_qo_heads": int(q.shape[1]),
        "num_kv_heads": int(k_cache.shape[2]),
        "head_dim": int(q.shape[2]),
        "page_size": int(k_cache.shape[1]),
    }
    names = ("num_qo_heads", "num_kv_heads", "page_size")
    require_planned(call, constants, head_dim=head_dim, **{name: name for name in names})
    return {**constants, **variant(call)}


def _require_nhd(call: Call, shape: list[int], head_dim: int) -> None:
    page_size, kv_heads = call.get("plan", "page_size"), call.get("plan", "num_kv_heads")
    stated = call.layer.get("kv_layout") or "NHD"
    turned = page_size != kv_heads and shape[1:3] == [kv_heads, page_size]
    if stated != "NHD" or turned:
        raise Refused(f"{call.api}: kv_layout is HND; NHD expected")
    if shape[3] != head_dim:
        raise Refused(f"{call.api}: k_cache has shape {shape}; q has head_dim {head_dim}")


def _recognise_decode(call: Call) -> Mapping[str, int]:
    call = settled(call)
    for step in ("run", "plan"):
        queries = getattr(call, step).get("q_len_per_req")
        if queries not in (None, 1):
            raise Refused(f"{call.api}: q_len_per_req is {queries}; 1 expected")
    return _sizes(call, "head_dim")


def _recognise_prefill(call: Call) -> Mapping[str, int]:
    call = settled(call)
    require_causal(call)
    return _sizes(call, "head_dim_qk")


_TENSORS = {
    "q": Argument("run", "q"),
    "k_cache": Argument("run", "paged_kv_cache", item=0),
    "v_cache": Argument("run", "paged_kv_cache", item=1),
}

DECODE = AttentionBinding(
    (
        "flashinfer.decode.BatchDecodeWithPagedKVCacheWrapper.run",
        "flashinfer.decode.CUDAGraphBatchDecodeWithPagedKVCacheWrapper.run",
    ),
    {
        **_TENSORS,
        "kv_indptr": Argument("plan", "indptr"),
        "kv_indices": Argument("plan", "indices"),
        "kv_last_page_len": Argument("plan", "last_page_len"),
        "sm_scale": SM_SCALE,
    },
    _recognise_decode,
    plan="plan",
)
PREFILL = AttentionBinding(
    ("flashinfer.prefill.BatchPrefillWithPagedKVCacheWrapper.run",),
    {
        **_TENSORS,
        "qo_indptr": Argument("plan", "qo_indptr"),
        "kv_indptr": Argument("plan", "paged_kv_indptr"),
        "kv_indices": Argument("plan", "paged_kv_indices"),
        "kv_last_page_len": Argument("plan", "paged_kv_last_page_len"),
        "sm_scale": SM_SCALE,
    },
    _recognise_prefill,
    plan="plan",
    note="plan with causal=True",
)
DECODE_PS1 = page_size_one(DECODE)
PREFILL_PS1 = page_size_one(PREFILL)

__all__ = ["DECODE", "DECODE_PS1", "PREFILL", "PREFILL_PS1"]
