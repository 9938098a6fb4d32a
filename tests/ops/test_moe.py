"""Mixture-of-experts layers: references against plain Python, names, inputs, the least work."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
from random_calls import run_reference

from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import operations, parse_name

torch = pytest.importorskip("torch")

KINDS = [operation.kind for operation in operations("moe")]
OFFICIAL = "moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_e32_h7168_i2048"
Row = list[float]
Inputs = Mapping[str, Any]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def largest(values: Mapping[int, float], count: int) -> list[int]:
    return sorted(values, key=lambda key: -values[key])[:count]


def routes(kind: str, inputs: Inputs, constants: Mapping[str, int], row: int) -> dict[int, float]:
    """Expert -> weight of one token."""
    if kind.endswith("routed_moe"):
        packed = inputs["topk_ids"][row].tolist()
        bits = [torch.tensor(it % 65536, dtype=torch.int16) for it in packed]
        return {it // 65536: float(x.view(torch.bfloat16)) for it, x in zip(packed, bits)}
    logits = dict(enumerate(inputs["routing_logits"][row].double().tolist()))
    if "ds_routing" in kind:
        return routes_by_groups(inputs, constants, logits)
    if "routing_bias" in inputs:
        biased = {e: x + float(inputs["routing_bias"][e]) for e, x in logits.items()}
        [best] = largest(biased, 1)
        return {best: sigmoid(biased[best])}
    chosen = largest(logits, constants["top_k"])
    total = sum(math.exp(x) for x in logits.values())
    shares = {e: math.exp(logits[e]) / total for e in chosen}
    return {e: share / sum(shares.values()) for e, share in shares.items()}


def routes_by_groups(
    inputs: Inputs, constants: Mapping[str, int], logits: dict[int, float]
) -> dict[int, float]:
    size = len(logits) // constants["n_group"]
    biased = {e: sigmoid(x) + float(inputs["routing_bias"][e]) for e, x in logits.items()}
    groups = {
        group: sum(sorted(biased[e] for e in range(group * size, (group + 1) * size))[-2:])
        for group in range(constants["n_group"])
    }
    kept = largest(groups, constants["topk_group"])
    chosen = largest({e: x for e, x in biased.items() if e // size in kept}, constants["top_k"])
    total = sum(sigmoid(logits[e]) for e in chosen)
    factor, offset = inputs["routed_scaling_factor"], inputs["local_expert_offset"]
    return {e - offset: sigmoid(logits[e]) / total * factor for e in chosen}


def matrix(inputs: Inputs, name: str, e: int) -> list[Row]:
    values = inputs[f"{name}_weights"][e].double().tolist()
    if f"{name}_weights_scale" not in inputs:
        return values
    scales = inputs[f"{name}_weights_scale"][e].tolist()
    return [
        [x * scales[i // 128][j // 128] for j, x in enumerate(row)] for i, row in enumerate(values)
    ]


def product(rows: list[Row], x: Row) -> Row:
    return [sum(a * b for a, b in zip(row, x)) for row in rows]


def expert(inputs: Inputs, e: int, x: Row) -> Row:
    both = product(matrix(inputs, "gemm1", e), x)
    half = len(both) // 2
    scales = [1.0, 1.0, 1.0]
    if "output1_scales_scalar" in inputs:
        names = ("output1_scales_scalar", "output1_scales_gate_scalar", "output2_scales_scalar")
        scales = [float(inputs[name][e]) for name in names]
    gates = [gate * scales[1] for gate in both[half:]]
    active = [
        up * scales[0] * gate * sigmoid(gate) for up, gate in zip(both[:half], gates, strict=True)
    ]
    return [y * scales[2] for y in product(matrix(inputs, "gemm2", e), active)]


def in_plain_python(kind: str, inputs: Inputs, constants: Mapping[str, int]) -> list[Row]:
    outputs = []
    for row, x in enumerate(inputs["hidden_states"].double().tolist()):
        if "hidden_states_scale" in inputs:
            scale = inputs["hidden_states_scale"][:, row].tolist()
            x = [value * scale[j // 128] for j, value in enumerate(x)]
        output = [0.0] * len(x)
        for e, weight in routes(kind, inputs, constants, row).items():
            if not 0 <= e < len(inputs["gemm1_weights"]):
                continue
            before = weight if "per_tensor" in kind and "routing_bias" in inputs else 1.0
            added = expert(inputs, e, [before * value for value in x])
            output = [y + weight / before * more for y, more in zip(output, added)]
        outputs.append(output)
    return outputs


def some_name(kind: str, source: random.Random) -> str:
    """Sizes across several blocks, most of them no whole ones."""
    experts = source.randint(1, 4)
    top_k = source.randint(1, experts)
    sizes = f"e{experts}_h{source.choice((3, 40, 130))}_i{source.choice((2, 33, 65))}"
    if "ds_routing" not in kind:
        return f"{kind}_topk{top_k}_{sizes}"
    groups = source.randint(1, 3)
    total = groups * source.randint(2 + 3 // groups, 5)
    kept = source.randint(1, groups)
    top_k = source.randint(1, total // groups * kept)
    return f"{kind}_topk{top_k}_ng{groups}_kg{kept}_of{total}_{sizes}"


@pytest.mark.parametrize("kind", KINDS)
def test_references_against_plain_python(kind: str) -> None:
    source = random.Random(kind)
    nonzero = 0
    for seed in range(20):
        operation, constants = parse_name(some_name(kind, source))
        draw = Draw(seed, style=STYLES[seed % len(STYLES)])
        inputs = operation.make_inputs(draw, constants, {"seq_len": source.randint(1, 3)})
        [output] = run_reference(operation, constants, inputs, torch.float64)
        expected = torch.tensor(in_plain_python(kind, inputs, constants), dtype=torch.float64)
        size = float(expected.abs().max())
        torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9 * size)
        nonzero += size > 0
    assert nonzero >= 15


@pytest.mark.parametrize(
    ("name", "experts"),
    [
        (OFFICIAL, 256),
        ("moe_fp8_block_scale_ds_routing_topk8_ng1_kg1_e48_h7168_i2048", 384),
        ("moe_fp8_block_scale_ds_routing_topk8_ng1_kg1_e512_h7168_i2048", 512),
        ("moe_fp8_block_scale_ds_routing_topk8_ng3_kg1_e512_h7168_i2048", 513),
        ("moe_fp8_block_scale_ds_routing_topk8_ng1_kg1_of160_e20_h4096_i1536", 160),
    ],
)
def test_the_number_of_all_experts(name: str, experts: int) -> None:
    operation, constants = parse_name(name)
    assert operation.interface(constants).axes["num_experts"] == experts
    assert operation.naming.format(constants) == name


@pytest.mark.parametrize(
    ("name", "official"),
    [
        (
            "moe_fp8_block_scale_renormalize_routing_topk8_e128_h2048_i768",
            "moe_fp8_block_scale_renorm_topk8_e128_h2048_i768",
        ),
        ("moe_bf16_renorm_topk8_e128_h2048_i768", "trtllm_bf16_moe_topk8_e128_h2048_i768"),
    ],
)
def test_other_spellings(name: str, official: str) -> None:
    operation, constants = parse_name(name)
    assert operation.naming.format(constants) == official


def test_the_half_that_is_the_gate_is_stated() -> None:
    for kind in KINDS:
        name = some_name(kind, random.Random(3))
        assert "then those of the gate" in emit(*parse_name(name)).description


@pytest.mark.parametrize("style", STYLES)
def test_float32_chooses_as_float64_does(style: Any) -> None:
    from flashinfer_bench.ops.moe.reference import route_deepseek

    operation, constants = parse_name("moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_of256_e4_h2_i2")
    for seed in range(10):
        inputs = operation.make_inputs(Draw(seed, style=style), constants, {"seq_len": 64})
        given = inputs["routing_logits"], inputs["routing_bias"]
        chosen = [
            route_deepseek(*(it.to(dtype) for it in given), 8, 8, 4)[0].sort(-1).values
            for dtype in (torch.float32, torch.float64)
        ]
        assert torch.equal(*chosen)


def test_some_experts_are_popular_and_some_have_no_tokens() -> None:
    operation, constants = parse_name("trtllm_bf16_moe_topk2_e32_h8_i8")
    inputs = operation.make_inputs(Draw(1), constants, {"seq_len": 64})
    tokens = inputs["routing_logits"].topk(2).indices.flatten().bincount(minlength=32)
    assert int(tokens.max()) > 3 * tokens.float().mean() and int(tokens.min()) == 0
    assert int(tokens[0]) and int(tokens[-1])


@pytest.mark.parametrize("style", STYLES)
def test_weights_are_exact_in_mxfp4(style: Any) -> None:
    operation, constants = parse_name("trtllm_fp4_block_scale_moe_topk2_e3_h96_i64")
    inputs = operation.make_inputs(Draw(2, style=style), constants, {"seq_len": 3})
    grid = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for name in ("gemm1_weights", "gemm2_weights"):
        blocks = inputs[name].reshape(-1, 32).abs()
        scale = 2.0 ** ((blocks.amax(-1, keepdim=True) / 6).log2().ceil())
        assert bool(torch.isin(blocks / scale, grid).all())
        assert len(torch.unique(scale)) > 1


def test_experts_of_large_layers_differ() -> None:
    from flashinfer_bench.ops.moe.values import POOL

    assert all(POOL % divisor for divisor in range(2, math.isqrt(POOL) + 1))


def test_the_least_work() -> None:
    operation, constants = parse_name("trtllm_bf16_moe_topk2_e8_h16_i4")
    cost = operation.cost(constants, {"seq_len": 5})
    assert cost.flops == 5 * (2 * 6 * 16 * 4 + 8)
    assert cost.bytes_moved == 2 * (5 * 8 + 2 * 5 * 16 + 2 * 3 * 16 * 4)
    operation, constants = parse_name(OFFICIAL)
    cost = operation.cost(constants, {"seq_len": 5})
    assert cost.bytes_moved == 5 * 256 * 4 + 256 * 2 + 5 * 7168 * 2
