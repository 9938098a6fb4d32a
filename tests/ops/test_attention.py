"""Attention: references against plain loops in float64, interfaces, generators, costs."""

from __future__ import annotations

import json
import math
import os
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attention_calls import (
    OP_TYPES,
    attention_operations,
    draw_inputs,
    parse,
    reference,
    requests,
)

from flashinfer_bench.data import violations
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.emit import emit

torch = pytest.importorskip("torch")

CORPUS = Path(os.environ.get("FIB_CORPUS") or Path(__file__).parents[3] / "shared")
INTERFACES = CORPUS / "definitions" / "interfaces.json"

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
}
"""Definitions of the official dataset that differ from their siblings."""

NAMES = (
    *(
        f"gqa_paged_{stage}_h4_kv2_d16_ps{size}{variant}"
        for stage in ("decode", "prefill_causal")
        for size, variant in ((1, ""), (16, "_w40"), (64, "_cap5"), (1, "_w5_cap3"))
    ),
    *(f"gqa_ragged_prefill_causal_h6_kv2_d16{variant}" for variant in ("", "_w9", "_cap4")),
    *(f"mla_paged_{s}_h3_ckv32_kpe8_ps{p}" for s in ("decode", "prefill_causal") for p in (1, 16)),
    "mla_ragged_prefill_causal_h3_qk24_vo16",
)


@pytest.mark.skipif(not INTERFACES.is_file(), reason=f"no {INTERFACES}")
def test_interfaces_of_the_official_dataset() -> None:
    found = [it for it in json.loads(INTERFACES.read_text()) if it["op_type"] in OP_TYPES]
    assert len(found) == 42
    differing = set()
    for item in found:
        made = json.loads(emit(*parse(item["name"])).model_dump_json(exclude_unset=True))
        assert set(item["constraints"]) <= set(made["constraints"])
        for part in ("name", "op_type", "axes", "inputs", "outputs"):
            if made[part] != item[part] or list(made[part]) != list(item[part]):
                differing.add(item["name"])
    assert differing == set(ODD)


def plain_attention(
    q: Any, k: Any, v: Any, scale: float, window_left: int | None, cap: int | None
) -> tuple[Any, Any]:
    """One request, one query and one head after the other, keys selected instead of masked."""
    output = torch.zeros(len(q), q.shape[1], v.shape[2], dtype=torch.float64)
    lse = torch.full(q.shape[:2], -math.inf, dtype=torch.float64)
    for i in range(len(q)):
        position = len(k) - len(q) + i
        low = 0 if window_left is None else max(0, position - window_left)
        if position < 0:
            continue
        for head in range(q.shape[1]):
            shared = head * k.shape[1] // q.shape[1]
            x = (k[low : position + 1, shared].double() @ q[i, head].double()) * scale
            if cap is not None:
                x = cap * torch.tanh(x / cap)
            weights = torch.exp(x - x.max())
            output[i, head] = weights @ v[low : position + 1, shared].double() / weights.sum()
            lse[i, head] = (x.max() + torch.log(weights.sum())) / math.log(2)
    return output, lse


def few_lengths(name: str, source: random.Random) -> dict[str, int]:
    """Small lengths, also fewer keys than queries and fewer pages than requests."""
    batch, pages = source.randint(1, 4), source.randint(0, 5)
    keys = source.choice((0, 3, 30, 60))
    size = int(name.partition("_ps")[2].partition("_")[0] or 1)
    pages = pages if size > 1 else keys
    lengths = {"batch_size": batch, "len_indptr": batch + 1}
    lengths |= {"num_kv_indices": pages, "num_pages": max(1, pages + source.randint(-2, 9))}
    if "decode" in name:
        return lengths
    return {**lengths, "total_q": source.randint(1, 40), "total_kv": keys}


@pytest.mark.parametrize("name", NAMES)
def test_reference_against_plain_loops(name: str) -> None:
    operation, constants = parse(name)
    variant = [constants.get(key) for key in ("window_left", "logits_soft_cap")]
    source = random.Random(name)
    for seed in range(20):
        inputs = draw_inputs(name, seed, few_lengths(name, source))
        output, lse = reference(operation, constants, inputs, torch.float64)
        single = reference(operation, constants, inputs, None)
        for it in requests(inputs):
            wanted = plain_attention(
                it.q, it.k[: it.kept], it.v[: it.kept], inputs["sm_scale"], *variant
            )
            for got, expected in zip((output, lse), wanted):
                torch.testing.assert_close(got[it.rows], expected, rtol=1e-12, atol=1e-12)
            for got, expected in zip(single, wanted):
                torch.testing.assert_close(got[it.rows], expected.float(), rtol=1e-5, atol=1e-5)


def test_long_requests_are_cut_into_blocks_of_queries() -> None:
    for name in ("gqa_ragged_prefill_causal_h2_kv1_d8_w300", "gqa_ragged_prefill_causal_h2_kv2_d8"):
        operation, constants = parse(name)
        for total_q, total_kv in ((600, 700), (600, 400), (513, 513)):
            lengths = {"len_indptr": 2, "total_q": total_q, "total_kv": total_kv}
            inputs = draw_inputs(name, 1, lengths)
            got = reference(operation, constants, inputs, torch.float64)
            wanted = plain_attention(
                inputs["q"],
                inputs["k"],
                inputs["v"],
                inputs["sm_scale"],
                constants.get("window_left"),
                None,
            )
            for one, other in zip(got, wanted):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_generated_inputs_hold_what_the_definition_demands(name: str) -> None:
    operation, constants = parse(name)
    definition = emit(operation, constants)
    source = random.Random(name)
    empty = 0
    for seed in range(200):
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        lengths = operation.draw_lengths(draw, constants)
        if seed % 2:
            lengths = {axis: few_lengths(name, source)[axis] for axis in lengths}
            lengths["len_indptr"] = lengths.get("batch_size", lengths["len_indptr"] - 1) + 1
        elif "batch_size" in operation.interface(constants).axes:
            lengths.setdefault("batch_size", lengths["len_indptr"] - 1)
        inputs = operation.make_inputs(draw, constants, lengths)
        assert violations(definition, inputs) == []
        assert list(inputs) == list(definition.inputs)
        check_index(inputs, lengths, constants.get("page_size", 1))
        empty += bool((inputs["kv_indptr"].diff() == 0).any())
        if not seed % 2:
            check_index_of_realistic(inputs)
    assert empty >= 10


def check_index(inputs: dict[str, Any], lengths: dict[str, int], page_size: int) -> None:
    for key in ("qo_indptr", "kv_indptr"):
        if key in inputs:
            assert inputs[key][0] == 0 and (inputs[key].diff() >= 0).all()
    if "kv_indices" not in inputs:
        return
    pages, edges = inputs["kv_indices"].tolist(), inputs["kv_indptr"].tolist()
    assert all(0 <= page < lengths["num_pages"] for page in pages)
    own = [pages[a:b] for a, b in pairwise(edges)]
    assert all(len(set(it)) == min(len(it), lengths["num_pages"]) for it in own)
    if len(pages) <= lengths["num_pages"]:
        assert len(set(pages)) == len(pages)
    if "kv_last_page_len" in inputs:
        for count, last in zip(map(len, own), inputs["kv_last_page_len"].tolist()):
            assert 1 <= last <= page_size if count else last == 0


def check_index_of_realistic(inputs: dict[str, Any]) -> None:
    for it in requests(inputs):
        assert it.kept >= len(it.q) or "qo_indptr" not in inputs


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes(name: str) -> None:
    first, again, other = (draw_inputs(name, seed) for seed in (5, 5, 6))
    for key, value in first.items():
        if key == "sm_scale":
            assert again[key] == value
        else:
            assert torch.equal(again[key], value), key
    assert any(key != "sm_scale" and not torch.equal(other[key], it) for key, it in first.items())


@pytest.mark.parametrize("name", NAMES)
def test_emitted_source_stands_alone(name: str) -> None:
    operation, constants = parse(name)
    source = emit(operation, constants).reference
    assert "flashinfer_bench" not in source
    scope: dict[str, Any] = {}
    exec(source, scope)
    inputs = draw_inputs(name, 3)
    output, lse = scope["run"](*inputs.values())
    expected = reference(operation, constants, inputs, None)
    assert output.dtype == torch.bfloat16 and lse.dtype == torch.float32
    assert torch.equal(output, expected[0].bfloat16()) and torch.equal(lse, expected[1])


def test_logits_are_neither_flat_nor_saturated() -> None:
    names = (
        "gqa_paged_decode_h8_kv2_d128_ps64",
        "mla_paged_decode_h8_ckv512_kpe64_ps1",
        "mla_ragged_prefill_causal_h8_qk192_vo128",
    )
    for name in names:
        inputs = draw_inputs(name, 0)
        it = max(requests(inputs), key=lambda request: request.kept)
        logits = it.q[-1].float() @ it.k[:, 0].float().T * inputs["sm_scale"]
        assert 0.8 < float(logits.std()) < 2


def test_names_both_ways() -> None:
    for operation in attention_operations():
        sizes = {key: i + 2 for i, key in enumerate(operation.naming.constants)}
        name = operation.naming.format(sizes)
        assert parse(name) == (operation, sizes)
    assert parse("gqa_ragged_prefill_h32_kv8_d128_w127")[0].kind == "gqa_ragged_prefill_causal"
    assert parse("gqa_paged_decode_h32_kv8_d128_ps16")[0].kind == "gqa_paged_decode"
    assert parse("gqa_paged_decode_h32_kv8_d128_ps1_w4")[0].kind == "gqa_paged_decode_ps1"


def test_costs_of_known_calls() -> None:
    def cost(name: str, **lengths: int) -> tuple[int, int]:
        operation, constants = parse(name)
        found = operation.cost(constants, lengths)
        return found.bytes_moved, found.flops

    decode = {"batch_size": 2, "len_indptr": 3, "num_kv_indices": 100, "num_pages": 100}
    rows = 2 * (8 * 64 * 4 + 8 * 4)
    assert cost("gqa_paged_decode_h8_kv2_d64_ps1", **decode) == (
        rows + 100 * 2 * 64 * 4 + 4 * (100 + 3),
        4 * 64 * 8 * 100,
    )
    assert cost("gqa_paged_decode_h8_kv2_d64_ps1_w9", **decode) == (
        rows + 20 * 2 * 64 * 4 + 4 * (100 + 3),
        4 * 64 * 8 * 20,
    )
    tokens = 98 * 16 + 2
    assert cost("gqa_paged_decode_h8_kv2_d64_ps16", **decode) == (
        rows + tokens * 2 * 64 * 4 + 4 * (100 + 3 + 2),
        4 * 64 * 8 * tokens,
    )
    prefill = {"len_indptr": 3, "total_q": 8, "total_kv": 20}
    assert cost("mla_ragged_prefill_causal_h4_qk24_vo16", **prefill) == (
        8 * 4 * (24 * 2 + 16 * 2 + 4) + 20 * 4 * 40 * 2 + 2 * 3 * 4,
        2 * (24 + 16) * 4 * 2 * (7 + 8 + 9 + 10),
    )
