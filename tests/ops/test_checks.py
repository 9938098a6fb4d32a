"""Numeric checks: honest kernels pass, wrong ones fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="judges torch tensors")

from flashinfer_bench.ops.checks import Bounds, judge  # noqa: E402
from flashinfer_bench.ops.contract import Operation  # noqa: E402
from flashinfer_bench.ops.draw import STYLES, Draw  # noqa: E402
from flashinfer_bench.ops.registry import parse_name  # noqa: E402

NAMES = (
    "rmsnorm_h512",
    "rmsnorm_h128_eps5",
    "gemma_rmsnorm_h256",
    "fused_add_rmsnorm_h512",
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


def call(name: str, seed: int, style: str = "plain") -> tuple[Operation, Any, Any, Any]:
    """An operation, inputs, the reference in float64 and an honest result."""
    operation, constants = parse_name(name)
    draw = Draw(seed, style=style)  # type: ignore[arg-type]
    lengths = operation.draw_lengths(draw, constants)
    inputs = operation.make_inputs(draw, constants, lengths)
    ((output, spec),) = operation.interface(constants).outputs.items()
    given = {key: constants[key] for key in operation.parameters if key in constants}
    expected = operation.reference(*inputs.values(), dtype=torch.float64, **given)
    honest = operation.reference(*inputs.values(), **given).to(getattr(torch, spec.dtype))
    return operation, inputs, {output: expected}, {output: honest}


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
