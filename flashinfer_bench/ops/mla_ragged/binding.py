"""FlashInfer's call for latent attention before absorption."""

from __future__ import annotations

from collections.abc import Mapping

from flashinfer_bench.ops.attention.binding import SM_SCALE_STATED
from flashinfer_bench.ops.attention.ragged_binding import ragged_binding, ragged_sizes, same_lengths
from flashinfer_bench.ops.attention.refusing import require_causal
from flashinfer_bench.ops.attention.variants import variant
from flashinfer_bench.ops.binding import Call, Refused


def _recognise(call: Call) -> Mapping[str, int]:
    heads, kv_heads, qk_dim, vo_dim = ragged_sizes(call)
    if qk_dim == vo_dim:
        raise Refused(f"{call.api}: keys and values both have {qk_dim} dimensions; two expected")
    if heads != kv_heads:
        raise Refused(f"{call.api}: {heads} heads of queries, {kv_heads} of keys; as many expected")
    require_causal(call, presumed=same_lengths(call))
    extra = variant(call)
    if extra:
        raise Refused(f"{call.api}: {extra} is not part of this operation")
    return {"num_qo_heads": heads, "qk_dim": qk_dim, "vo_dim": vo_dim}


PREFILL = ragged_binding(_recognise, SM_SCALE_STATED)

__all__ = ["PREFILL"]
