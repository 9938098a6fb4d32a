"""Our definitions against those of the official dataset: same names, same interfaces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from corpus import official_interfaces

from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import OP_TYPES, parse_name

PAGE_LENGTHS = "kv_last_page_len over len_indptr, which has one element too many"
ODD = {
    "gqa_paged_decode_h20_kv4_d128_ps64": "page_size before num_pages, unlike 10 others",
    "gqa_paged_decode_h24_kv4_d128_ps64": "page_size before num_pages, unlike 10 others",
    "gqa_paged_prefill_causal_h16_kv1_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h16_kv2_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h20_kv4_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h24_kv4_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h24_kv8_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h32_kv16_d128_ps64": PAGE_LENGTHS,
    "gqa_paged_prefill_causal_h5_kv1_d128_ps64": "batch_size before len_indptr, unlike 3 others",
    "moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_e32_h7168_i2048": "no axis top_k, unlike others",
}
"""Definitions of the official dataset that differ from their siblings."""
SPELLED_OTHERWISE = "fi_api:flashinfer.BatchPrefillWithPagedKVCacheWrapper"
"""Of one prefill; 14 others name the module."""


PARTS = ("name", "op_type", "axes", "inputs", "outputs")


def test_every_official_op_type_is_registered() -> None:
    assert {item["op_type"] for item in official_interfaces()} <= set(OP_TYPES)


@pytest.mark.parametrize("op_type", OP_TYPES)
def test_interfaces_of_the_official_dataset(op_type: str) -> None:
    found = [item for item in official_interfaces() if item["op_type"] == op_type]
    assert found
    differing = set()
    for item in found:
        made = json.loads(emit(*parse_name(item["name"])).model_dump_json(exclude_unset=True))
        assert set(item.get("constraints", ())) <= set(made["constraints"])
        if any(ordered(made[part]) != ordered(item[part]) for part in PARTS):
            differing.add(item["name"])
        apis = {tag for tag in item["tags"] if tag.startswith("fi_api:")} - {SPELLED_OTHERWISE}
        assert apis <= set(made["tags"])
    assert differing == {name for name in ODD if name.startswith(op_type)}


def ordered(part: Any) -> Any:
    return list(part.items()) if isinstance(part, Mapping) else part
