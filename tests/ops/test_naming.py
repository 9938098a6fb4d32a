"""Names by pattern."""

from __future__ import annotations

import re

import pytest

from flashinfer_bench.errors import DataError
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.naming import Naming
from flashinfer_bench.ops.registry import parse_name

NAMING = Naming("attn_h{heads}_d{dim}[_w{window}][_cap{cap}]", ("attn_{heads}_{dim}",))


@pytest.mark.parametrize(
    ("constants", "name"),
    [
        ({"heads": 32, "dim": 128}, "attn_h32_d128"),
        ({"heads": 32, "dim": 128, "window": 0}, "attn_h32_d128_w0"),
        ({"heads": 1, "dim": 2, "cap": 30}, "attn_h1_d2_cap30"),
        ({"heads": 1, "dim": 2, "window": 127, "cap": 30}, "attn_h1_d2_w127_cap30"),
    ],
)
def test_there_and_back(constants: dict[str, int], name: str) -> None:
    assert NAMING.format(constants) == name
    assert NAMING.parse(name) == constants


def test_older_spellings_are_read() -> None:
    assert NAMING.parse("attn_32_128") == {"heads": 32, "dim": 128}


@pytest.mark.parametrize(
    "name", ["attn_h32", "attn_h32_d128_", "attn_h32_d128_x1", "attn_h032_d128", "attn_h-1_d2", ""]
)
def test_other_names_are_not(name: str) -> None:
    assert NAMING.parse(name) is None


def test_missing_constants_are_an_error() -> None:
    with pytest.raises(KeyError):
        NAMING.format({"heads": 32})


def test_constants_in_order() -> None:
    assert NAMING.constants == ("heads", "dim", "window", "cap")


@pytest.mark.parametrize(
    ("older", "official"),
    [
        ("gemm_n_6144_k_4096", "gemm_n6144_k4096"),
        ("gemm_bf16_N6144_K4096", "gemm_bf16_n6144_k4096"),
        ("gqa_paged_prefill_h32_kv8_d128_ps16", "gqa_paged_prefill_causal_h32_kv8_d128_ps16"),
        ("gqa_ragged_prefill_h32_kv8_d128", "gqa_ragged_prefill_causal_h32_kv8_d128"),
        ("gqa_ragged_h32_kv8_d128_w127", "gqa_ragged_prefill_causal_h32_kv8_d128_w127"),
        ("top_k_sampling_v128256", "top_k_sampling_from_probs_v128256"),
        ("topk_topp_sampling_from_probs_v128256", "top_k_top_p_sampling_from_probs_v128256"),
    ],
)
def test_spellings_of_guides_and_dumps_give_official_names(older: str, official: str) -> None:
    operation, constants = parse_name(older)
    assert operation.naming.format(constants) == official


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rmsnorm_h0", "hidden_size >= 1"),
        ("gqa_paged_decode_h5_kv4_d128_ps1", "num_qo_heads % num_kv_heads == 0"),
        ("gqa_ragged_prefill_causal_h4_kv0_d128", "num_kv_heads >= 1"),
        ("gqa_paged_decode_h32_kv8_d128_ps0", "page_size >= 1"),
        ("rope_with_cos_sin_cache_neox_style_d128_rd63", "rotary_dim % 2 == 0"),
        ("rope_with_cos_sin_cache_gptj_style_d64_rd66", "rotary_dim <= head_size"),
        ("mamba_ssu_decode_h7_d64_s128_ng4", "nheads % ngroups == 0"),
        ("gdn_decode_qk16_v30_d128_k_last", "num_v_heads % num_q_heads == 0"),
        ("moe_fp8_block_scale_renorm_topk9_e8_h128_i128", "top_k <= num_local_experts"),
        (
            "moe_fp8_block_scale_ds_routing_topk9_ng8_kg1_of8_e8_h128_i128",
            "top_k * n_group <= num_experts * topk_group",
        ),
    ],
)
def test_impossible_constants_are_refused(name: str, expected: str) -> None:
    with pytest.raises(DataError, match=f"{name} is impossible: .*expected {re.escape(expected)}$"):
        emit(*parse_name(name))
