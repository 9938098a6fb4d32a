"""What the checks of mixture-of-experts layers let pass: honest kernels, and no mutants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from random_calls import run_reference

from flashinfer_bench.ops.draw import STYLES, Draw, Style
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")
from moe_kernel import Kernel, quantised  # noqa: E402

DS = "moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_of64_e16_h256_i128"
NAMES = (
    DS,
    "moe_fp8_block_scale_renorm_topk4_e8_h256_i128",
    "trtllm_fp8_per_tensor_scale_moe_topk1_e6_h128_i128",
    "trtllm_fp8_per_tensor_scale_moe_topk3_e6_h128_i128",
    "trtllm_fp4_block_scale_moe_topk1_e6_h128_i128",
    "trtllm_fp4_block_scale_moe_topk3_e6_h128_i128",
    "trtllm_fp4_block_scale_routed_moe_topk3_e6_h128_i128",
    "trtllm_bf16_moe_topk3_e6_h128_i128",
)
EXACT = Kernel(exact_activations=True)
ALL = {
    "gate and up swapped": Kernel(swapped=True),
    "silu left out": Kernel(silu=False),
    "last expert left out": Kernel(left_out=1),
}
SCALED = {"the neighbour's scale": Kernel(neighbour=True)}
BY_BLOCKS = {"hidden scales not transposed": Kernel(transposed=False)}
SEVERAL = {"one expert too few": Kernel(fewer=1)}
ROUTED_HERE = {"not normalised": Kernel(normalised=False)}
BIASED = {"bias dropped": Kernel(bias="nowhere")}
ON_INPUT = {"outputs weighted, not inputs": Kernel(weighs_output=True)}
GROUPED = {
    "no group limit": Kernel(group_limit=False),
    "groups by their best expert": Kernel(best_of_group=1),
    "bias in the weights": Kernel(bias="weights too"),
    "scaling factor left out": Kernel(factor=False),
    "local offset ignored": Kernel(offset=False),
}


def mutants(name: str, inputs: Mapping[str, Any]) -> dict[str, Kernel]:
    kernels = dict(ALL)
    kernels |= SCALED if "fp8" in name else {}
    kernels |= BY_BLOCKS if "hidden_states_scale" in inputs else {}
    kernels |= SEVERAL if "topk1_" not in name else {}
    kernels |= ROUTED_HERE if "routing_logits" in inputs else {}
    kernels |= BIASED if "routing_bias" in inputs else {}
    kernels |= ON_INPUT if "per_tensor_scale_moe_topk1_" in name else {}
    return kernels | (GROUPED if name == DS else {})


def wrong_afterwards(output: Any) -> dict[str, Any]:
    largest = int(output.float().square().sum(-1).argmax())
    dropped, wrong = output.clone(), output.clone()
    dropped[largest] = 0
    wrong[largest] = output[largest].roll(1)
    return {
        "one token dropped": dropped,
        "one token's columns rotated": wrong,
        "tokens rotated": output.roll(1, 0),
        "output 10 % too large": (output.float() * 1.1).bfloat16(),
        "output in 3 bits": quantised(output.float(), 1 << 20, False).sign().bfloat16(),
    }


def call(name: str, seed: int, style: Style = "plain", seq_len: int = 40) -> dict[str, Any]:
    operation, constants = parse_name(name)
    return operation.make_inputs(Draw(seed, style=style), constants, {"seq_len": seq_len})


def fault(name: str, inputs: dict[str, Any], expected: Any, output: Any) -> str:
    [judged] = parse_name(name)[0].check(inputs, {"output": expected}, {"output": output})
    return judged.reason


@pytest.mark.parametrize("name", NAMES)
def test_honest_kernels_pass(name: str) -> None:
    operation, constants = parse_name(name)
    for seed in range(50):
        seq_len = (1, 2, 7, 16, 33)[seed // 5 % 5]
        inputs = call(name, seed, STYLES[seed % len(STYLES)], seq_len)
        [expected] = run_reference(operation, constants, inputs, torch.float64)
        for kernel in (Kernel(), EXACT):
            assert fault(name, inputs, expected, kernel(inputs, constants)) == "", seed


@pytest.mark.parametrize("name", NAMES)
def test_mutants_fail(name: str) -> None:
    operation, constants = parse_name(name)
    for seed in range(3):
        inputs = call(name, seed)
        [expected] = run_reference(operation, constants, inputs, torch.float64)
        wrong = wrong_afterwards(Kernel()(inputs, constants))
        wrong |= {key: it(inputs, constants) for key, it in mutants(name, inputs).items()}
        passing = [key for key, it in wrong.items() if not fault(name, inputs, expected, it)]
        assert passing == [], seed
        assert len(wrong) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_many_tokens_show_a_small_factor(name: str) -> None:
    operation, constants = parse_name(name)
    for seed in range(3):
        inputs = call(name, seed, seq_len=300)
        [expected] = run_reference(operation, constants, inputs, torch.float64)
        output = Kernel()(inputs, constants)
        assert fault(name, inputs, expected, output) == ""
        for factor in (0.985, 1.015):
            assert "gain" in fault(name, inputs, expected, (output.float() * factor).bfloat16())
