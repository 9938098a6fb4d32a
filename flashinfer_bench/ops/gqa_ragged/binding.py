"""FlashInfer's call for grouped-query attention over ragged keys and values."""

from __future__ import annotations

from collections.abc import Mapping

from flashinfer_bench.ops.attention.binding import SM_SCALE
from flashinfer_bench.ops.attention.ragged_binding import ragged_binding, ragged_sizes, same_lengths
from flashinfer_bench.ops.attention.refusing import require_causal
from flashinfer_bench.ops.attention.variants import variant
from flashinfer_bench.ops.binding import Call, Refused


def _recognise(call: Call) -> Mapping[str, int]:
    heads, kv_heads, qk_dim, vo_dim = ragged_sizes(call)
    if qk_dim != vo_dim:
        raise Refused(f"{call.api}: keys have {qk_dim} dimensions, values {vo_dim}; one expected")
    require_causal(call, presumed=same_lengths(call))
    return {
        "num_qo_heads": heads,
        "num_kv_heads": kv_heads,
        "head_dim": qk_dim,
        **variant(call),
    }


PREFILL = ragged_binding(_recognise, SM_SCALE)

__all__ = ["PREFILL"]
