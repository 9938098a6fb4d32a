"""Grouped-query attention over a paged cache: decode and causal prefill.

Pages of one token need no lengths of last pages; so each stage is two operations, with their own
reference each.
"""

from __future__ import annotations

from flashinfer_bench.ops.attention.paged import Paged
from flashinfer_bench.ops.attention.variants import VARIANTS
from flashinfer_bench.ops.gqa_paged.binding import DECODE, DECODE_PS1, PREFILL, PREFILL_PS1
from flashinfer_bench.ops.gqa_paged.reference import (
    gqa_paged_decode,
    gqa_paged_decode_ps1,
    gqa_paged_prefill_causal,
    gqa_paged_prefill_causal_ps1,
)

_SIZES = ("num_qo_heads", "num_kv_heads", "head_dim")
_DECODE_AXES = ("batch_size", *_SIZES, "num_pages", "page_size", "len_indptr", "num_kv_indices")
_PREFILL_AXES = (*_SIZES, "page_size", "len_indptr", "total_q", "num_kv_indices", "num_pages")
_GQA = Paged(
    op_type="gqa_paged",
    sizes="h{num_qo_heads}_kv{num_kv_heads}_d{head_dim}",
    axes={"decode": _DECODE_AXES, "prefill_causal": _PREFILL_AXES},
    queries={"q": ("num_qo_heads", "head_dim")},
    caches=dict.fromkeys(("k_cache", "v_cache"), ("num_kv_heads", "head_dim")),
    output=("num_qo_heads", "head_dim"),
    sm_scale=lambda constants: constants["head_dim"] ** -0.5,
    example=("h32_kv8_d128", "Llama 3.1 8B"),
    requires=("num_qo_heads % num_kv_heads == 0",),
    variants=VARIANTS,
    older={"prefill_causal": "gqa_paged_prefill"},
)
_DECODE = "Grouped-query attention of one query per request over a paged cache; lse is to base 2."
_PREFILL = (
    "Causal grouped-query attention of several requests over a paged cache; lse is to base 2."
)

OPERATIONS = (
    _GQA.operation("decode", _DECODE, gqa_paged_decode_ps1, DECODE_PS1, ps1=True),
    _GQA.operation("decode", _DECODE, gqa_paged_decode, DECODE),
    _GQA.operation("prefill_causal", _PREFILL, gqa_paged_prefill_causal_ps1, PREFILL_PS1, ps1=True),
    _GQA.operation("prefill_causal", _PREFILL, gqa_paged_prefill_causal, PREFILL),
)
