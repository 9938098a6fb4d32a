"""Attention: references against plain loops in float64, interfaces, generators, costs."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from attention_calls import draw_inputs, requests
from input_properties import indices_lead_to_tokens
from random_calls import RandomCall, run_reference

from flashinfer_bench.data import violations
from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")

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
    operation, constants = parse_name(name)
    variant = [constants.get(key) for key in ("window_left", "logits_soft_cap")]
    source = random.Random(name)
    for seed in range(20):
        inputs = draw_inputs(name, seed, few_lengths(name, source))
        output, lse = run_reference(operation, constants, inputs, torch.float64)
        single = run_reference(operation, constants, inputs, None)
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
        operation, constants = parse_name(name)
        for total_q, total_kv in ((600, 700), (600, 400), (513, 513)):
            lengths = {"len_indptr": 2, "total_q": total_q, "total_kv": total_kv}
            inputs = draw_inputs(name, 1, lengths)
            got = run_reference(operation, constants, inputs, torch.float64)
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
def test_inputs_of_few_keys_and_pages(name: str) -> None:
    operation, constants = parse_name(name)
    definition = emit(operation, constants)
    source = random.Random(name)
    empty = 0
    for seed in range(100):
        few = few_lengths(name, source)
        lengths = {axis: few[axis] for axis in definition.axes if axis in few}
        inputs = operation.make_inputs(Draw(seed), constants, lengths)
        assert violations(definition, inputs) == []
        indices_lead_to_tokens(RandomCall(constants, lengths, inputs))
        empty += not inputs["kv_indptr"][-1]
    assert empty >= 10


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


def test_other_spellings() -> None:
    assert parse_name("gqa_ragged_prefill_h32_kv8_d128_w127")[0].kind == "gqa_ragged_prefill_causal"
    assert parse_name("gqa_paged_prefill_h32_kv8_d128_ps1")[0].kind.endswith("prefill_causal_ps1")
    assert parse_name("gqa_paged_decode_h32_kv8_d128_ps16")[0].kind == "gqa_paged_decode"
    assert parse_name("gqa_paged_decode_h32_kv8_d128_ps1_w4")[0].kind == "gqa_paged_decode_ps1"


def test_costs_of_known_calls() -> None:
    def cost(name: str, **lengths: int) -> tuple[int, int]:
        operation, constants = parse_name(name)
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
