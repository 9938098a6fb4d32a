"""FlashInfer's wrapper for ragged keys, which serves grouped-query and latent attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flashinfer_bench.ops.attention.binding import AttentionBinding, has_values, settled
from flashinfer_bench.ops.attention.refusing import (
    refuse_unsupported,
    require_planned,
    require_tensor,
)
from flashinfer_bench.ops.binding import Argument, Call, Refused


def ragged_sizes(call: Call) -> tuple[int, int, int, int]:
    """Heads of queries, heads of keys, dimensions of keys and of values."""
    refuse_unsupported(call)
    q, k, v = (call.get("run", name) for name in "qkv")
    for name, tensor in zip("qkv", (q, k, v)):
        require_tensor(call, name, tensor, 3)
    if k.shape[:2] != v.shape[:2] or q.shape[2] != k.shape[2]:
        shapes = [list(tensor.shape) for tensor in (q, k, v)]
        raise Refused(f"{call.api}: shapes of q, k and v do not fit: {shapes}")
    names = ("num_qo_heads", "num_kv_heads", "head_dim_qk", "head_dim_vo")
    sizes = (int(q.shape[1]), int(k.shape[1]), int(q.shape[2]), int(v.shape[2]))
    require_planned(call, dict(zip(names, sizes)), **{name: name for name in names})
    return sizes


def ragged_binding(
    recognise: Callable[[Call], Mapping[str, int]], sm_scale: Argument
) -> AttentionBinding:
    """The wrapper for ragged keys, which serves grouped-query and latent attention."""
    inputs = {
        **{name: Argument("run", name) for name in "qkv"},
        **{name: Argument("plan", name) for name in ("qo_indptr", "kv_indptr")},
        "sm_scale": sm_scale,
    }
    api = "flashinfer.prefill.BatchPrefillWithRaggedKVCacheWrapper.run"
    return AttentionBinding(
        (api,),
        inputs,
        lambda call: recognise(settled(call)),
        plan="plan",
        note="plan with causal=True",
    )


def same_lengths(call: Call) -> bool:
    """Whether each request has as many keys as queries: attention of a prompt to itself."""
    queries, keys = call.get("plan", "qo_indptr"), call.get("plan", "kv_indptr")
    if queries is None or keys is None or call.run["q"].shape[0] != call.run["k"].shape[0]:
        return False
    if not (has_values(queries) and has_values(keys)):
        return bool(queries.shape[0] == keys.shape[0])
    return queries.tolist() == keys.tolist()  # type: ignore[no-any-return]


__all__ = ["ragged_binding", "ragged_sizes", "same_lengths"]
