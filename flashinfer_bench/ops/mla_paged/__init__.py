"""Multi-head latent attention after absorption, over a paged cache: decode and causal prefill.

All heads share one key: a compressed part, which is also the value, and a rotary part. Pages of one
token need no lengths of last pages; so each stage is two operations, with their own reference each.
"""

from __future__ import annotations

from flashinfer_bench.ops.attention.paged import Paged
from flashinfer_bench.ops.contract import Constants
from flashinfer_bench.ops.mla_paged.binding import DECODE, DECODE_PS1, PREFILL, PREFILL_PS1
from flashinfer_bench.ops.mla_paged.reference import (
    mla_paged_decode,
    mla_paged_decode_ps1,
    mla_paged_prefill_causal,
    mla_paged_prefill_causal_ps1,
)


def _sm_scale(constants: Constants) -> float:
    """That before absorption: DeepSeek's 512 compressed dimensions stand for 128."""
    return float((constants["head_dim_ckv"] // 4 + constants["head_dim_kpe"]) ** -0.5)


_SIZES = ("num_qo_heads", "head_dim_ckv", "head_dim_kpe", "page_size")
_LENGTHS = ("num_pages", "len_indptr", "num_kv_indices")
_MLA = Paged(
    op_type="mla_paged",
    sizes="h{num_qo_heads}_ckv{head_dim_ckv}_kpe{head_dim_kpe}",
    axes={
        "decode": ("batch_size", *_SIZES, *_LENGTHS),
        "prefill_causal": (*_SIZES, "total_q", *_LENGTHS),
    },
    queries={
        "q_nope": ("num_qo_heads", "head_dim_ckv"),
        "q_pe": ("num_qo_heads", "head_dim_kpe"),
    },
    caches={"ckv_cache": ("head_dim_ckv",), "kpe_cache": ("head_dim_kpe",)},
    output=("num_qo_heads", "head_dim_ckv"),
    sm_scale=_sm_scale,
    example=("h16_ckv512_kpe64", "DeepSeek V3 at tensor parallel 8"),
)
_DECODE = "Latent attention of one query per request over a paged cache; lse is to base 2."
_PREFILL = "Causal latent attention of several requests over a paged cache; lse is to base 2."

OPERATIONS = (
    _MLA.operation("decode", _DECODE, mla_paged_decode_ps1, DECODE_PS1, ps1=True),
    _MLA.operation("decode", _DECODE, mla_paged_decode, DECODE),
    _MLA.operation("prefill_causal", _PREFILL, mla_paged_prefill_causal_ps1, PREFILL_PS1, ps1=True),
    _MLA.operation("prefill_causal", _PREFILL, mla_paged_prefill_causal, PREFILL),
)
