"""Grouped-query attention over keys and values that lie one request after another."""

from __future__ import annotations

from flashinfer_bench.ops.attention.ragged import Ragged
from flashinfer_bench.ops.attention.variants import VARIANTS
from flashinfer_bench.ops.gqa_ragged.binding import PREFILL

_GQA = Ragged(
    op_type="gqa_ragged",
    summary="Causal grouped-query attention of several requests; lse is to base 2.",
    sizes="h{num_qo_heads}_kv{num_kv_heads}_d{head_dim}",
    axes=("num_qo_heads", "num_kv_heads", "head_dim", "len_indptr", "total_q", "total_kv"),
    q=("num_qo_heads", "head_dim"),
    k=("num_kv_heads", "head_dim"),
    v=("num_kv_heads", "head_dim"),
    output=("num_qo_heads", "head_dim"),
    sm_scale=lambda constants: constants["head_dim"] ** -0.5,
    example=("h32_kv8_d128", "Llama 3.1 8B"),
    requires=("num_qo_heads % num_kv_heads == 0",),
    variants=VARIANTS,
    older=("gqa_ragged_prefill", "gqa_ragged"),
)

OPERATIONS = (_GQA.operation(PREFILL),)
