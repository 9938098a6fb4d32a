"""Multi-head latent attention before absorption: keys longer than values, one per head."""

from __future__ import annotations

from flashinfer_bench.ops.attention.ragged import Ragged
from flashinfer_bench.ops.mla_ragged.binding import PREFILL

_MLA = Ragged(
    op_type="mla_ragged",
    summary="Causal attention with keys longer than values; lse is to base 2.",
    sizes="h{num_qo_heads}_qk{qk_dim}_vo{vo_dim}",
    axes=("num_qo_heads", "num_kv_heads", "qk_dim", "vo_dim", "total_q", "total_kv", "len_indptr"),
    equal={"num_kv_heads": "num_qo_heads"},
    q=("num_qo_heads", "qk_dim"),
    k=("num_kv_heads", "qk_dim"),
    v=("num_kv_heads", "vo_dim"),
    output=("num_qo_heads", "vo_dim"),
    sm_scale=lambda constants: constants["qk_dim"] ** -0.5,
    example=("h16_qk192_vo128", "DeepSeek V3 at tensor parallel 8"),
)

OPERATIONS = (_MLA.operation(PREFILL),)
