"""Numeric checks: honest kernels pass, wrong ones fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from random_calls import draw_call, run_reference

torch = pytest.importorskip("torch", reason="judges torch tensors")

from flashinfer_bench.ops.checks import Bounds, judge  # noqa: E402
from flashinfer_bench.ops.contract import Operation  # noqa: E402
from flashinfer_bench.ops.draw import STYLES, Draw, Style  # noqa: E402
from flashinfer_bench.ops.registry import parse_name  # noqa: E402

Inputs = dict[str, Any]
NAMES = (
    "rmsnorm_h512",
    "rmsnorm_h128_eps5",
    "gemma_rmsnorm_h256",
    "fused_add_rmsnorm_h512",
    "gemma_fused_add_rmsnorm_h256",
    "gemm_n96_k256",
    "gemm_bf16_n64_k512",
)


def scaled_cut(values: Any, dtype: Any) -> Any:
    """Rounded to an fp8 type after scaling to its range, as quantisation does."""
    scale = values.abs().amax().clamp_min(1e-30) / 400
    return (values / scale).to(dtype).to(values.dtype) * scale


def tail_zeroed(values: Any) -> Any:
    values = values.clone()
    values[:, -8:] = 0
    return values


def one_row_wrong(values: Any) -> Any:
    values = values.clone()
    values[-1] = values[-1].flip(-1)
    return values


def one_element_wrong(values: Any) -> Any:
    values = values.clone()
    values[0, 0] += 0.2 * values[0].square().mean().sqrt()
    return values


def one_nan(values: Any) -> Any:
    values = values.clone()
    values[0, 1] = float("nan")
    return values


MUTANTS: dict[str, Callable[[Any], Any]] = {
    "1 % too large": lambda values: values * 1.01,
    "1 % too small": lambda values: values * 0.99,
    "tail block": tail_zeroed,
    "one wrong row": one_row_wrong,
    "one wrong element": one_element_wrong,
    "zeros": lambda values: values * 0,
    "negated": lambda values: -values,
    "columns shifted": lambda values: values.roll(1, -1),
    "fp8": lambda values: scaled_cut(values, torch.float8_e4m3fn),
    "one NaN": one_nan,
    "small offset": lambda values: values + 0.02 * values.square().mean().sqrt(),
    "noise of 2 %": lambda values: values * (1 + 0.02 * torch.randn_like(values)),
}


def changed(**changes: Callable[[Any], Any]) -> Callable[[Inputs], Inputs]:
    """Inputs of those names changed, where there are any."""
    return lambda inputs: {
        name: changes[name](value) if name in changes else value for name, value in inputs.items()
    }


def in_fp8(values: Any) -> Any:
    return scaled_cut(values.float(), torch.float8_e4m3fn).to(values.dtype)


def without_last_quarter(values: Any) -> Any:
    return values * (torch.arange(values.shape[1]) < values.shape[1] * 3 // 4)


def without_mean(values: Any) -> Any:
    return values - values.mean(-1, keepdim=True)


INSIDE: dict[str, dict[str, Callable[[Inputs], Inputs]]] = {
    "rmsnorm": {
        "weights left out": changed(weight=lambda it: torch.full_like(it, it.mean())),
        "weights less one": changed(weight=lambda it: it - 1),
        "weights plus one": changed(weight=lambda it: it + 1),
        "weights shifted": changed(weight=lambda it: it.roll(1)),
        "mean subtracted": changed(hidden_states=without_mean, residual=without_mean),
        "inputs in fp8": changed(hidden_states=in_fp8),
    },
    "gemm": {
        "last quarter of K left out": changed(A=without_last_quarter),
        "weights of the row before": changed(B=lambda it: it.roll(1, 0)),
        "K shifted on one side": changed(A=lambda it: it.roll(1, 1)),
        "inputs in fp8": changed(A=in_fp8, B=in_fp8),
        "weights in fp8": changed(B=in_fp8),
    },
}
"""op_type -> inputs of which an honest kernel computes what a wrong one does."""


def call(name: str, seed: int, style: Style = "plain") -> tuple[Operation, Inputs, Inputs, Inputs]:
    """An operation, inputs, the reference in float64 and an honest result."""
    operation, constants = parse_name(name)
    inputs = draw_call(operation, constants, seed, style).inputs
    ((output, _),) = operation.interface(constants).outputs.items()
    (expected,) = run_reference(operation, constants, inputs, torch.float64)
    return operation, inputs, {output: expected}, {output: honest_kernel(name, inputs)}


def honest_kernel(name: str, inputs: Inputs) -> Any:
    """Computed in float32, rounded to the output's dtype."""
    operation, constants = parse_name(name)
    (spec,) = operation.interface(constants).outputs.values()
    (output,) = run_reference(operation, constants, inputs)
    return output.to(getattr(torch, spec.dtype))


@pytest.mark.parametrize("name", NAMES)
def test_the_honest_kernel_passes(name: str) -> None:
    for seed in range(50):
        operation, inputs, expected, honest = call(name, seed, STYLES[seed % len(STYLES)])
        judged = operation.check(inputs, expected, honest)
        assert all(item.passed for item in judged), (seed, judged)


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("name", NAMES)
def test_mutants_fail(name: str, mutant: str) -> None:
    for seed in range(5):
        operation, inputs, expected, honest = call(name, seed)
        ((output, values),) = honest.items()
        wrong = MUTANTS[mutant](values.float()).to(values.dtype)
        (judged,) = operation.check(inputs, expected, {output: wrong})
        assert not judged.passed, (seed, judged)
        assert judged.reason


@pytest.mark.parametrize("name", NAMES)
def test_mutants_inside_fail(name: str) -> None:
    operation, constants = parse_name(name)
    wrong = dict(INSIDE[operation.op_type])
    if "fused" in name:
        wrong["residual left out"] = changed(residual=torch.zeros_like)
        wrong["residual twice"] = changed(residual=lambda it: 2 * it)
    assert len(wrong) + len(MUTANTS) >= 8
    (output,) = operation.interface(constants).outputs
    for seed in range(3):
        lengths = dict.fromkeys(("batch_size", "M"), 16)
        inputs = operation.make_inputs(Draw(seed), constants, lengths)
        (expected,) = run_reference(operation, constants, inputs, torch.float64)
        for mutant, change in wrong.items():
            result = honest_kernel(name, change(inputs))
            (judged,) = operation.check(inputs, {output: expected}, {output: result})
            assert not judged.passed, (seed, mutant)


@pytest.mark.parametrize("name", NAMES)
def test_a_stale_output_fails(name: str) -> None:
    operation, inputs, expected, honest = call(name, 1)
    ((output, values),) = honest.items()
    stale = values[torch.randperm(len(values)) if len(values) > 1 else [0]].roll(1, -1)
    (judged,) = operation.check(inputs, expected, {output: stale})
    assert not judged.passed


def test_infinities_and_nan_must_match() -> None:
    want = torch.tensor([[1.0, float("-inf"), float("nan"), 2.0]], dtype=torch.float64)
    assert judge("x", want, want.float(), Bounds()).passed
    for position, value in ((1, float("inf")), (1, 3.0), (2, float("inf")), (0, float("nan"))):
        got = want.float()
        got[0, position] = value
        assert not judge("x", want, got, Bounds()).passed


def test_whole_numbers_are_exact() -> None:
    want = torch.tensor([2**40 + 1, 5])
    assert judge("x", want, want.clone(), Bounds()).passed
    judged = judge("x", want, torch.tensor([2**40, 5]), Bounds())
    assert not judged.passed
    assert "1 of 2" in judged.reason


def test_other_shapes_fail() -> None:
    judged = judge("x", torch.zeros(2, 3).double(), torch.zeros(3, 2), Bounds())
    assert "shape [3, 2], expected [2, 3]" in judged.reason


def test_empty_outputs_pass() -> None:
    assert judge("x", torch.zeros(0, 4).double(), torch.zeros(0, 4), Bounds()).passed
