"""gemm_fp8_block_scale: the reference block by block, honest and wrong kernels, other calls."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Call, Refused
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.gemm import FP8_BLOCK_SCALE
from flashinfer_bench.ops.registry import parse_name

torch = pytest.importorskip("torch")

Inputs = dict[str, Any]
OPERATION, _ = parse_name("gemm_fp8_block_scale_n128_k128")


def draw_inputs(seed: int, n: int, k: int, m: int = 9) -> Inputs:
    draw = Draw(seed, style=STYLES[seed % len(STYLES)])
    return OPERATION.make_inputs(draw, {"N": n, "K": k}, {"M": m})


def block_by_block(inputs: Inputs) -> Any:
    """[M, N] in float64: sums of scaled products of unscaled blocks."""
    a, b = inputs["A"].double(), inputs["B"].double()
    result = torch.zeros(len(a), len(b), dtype=torch.float64)
    for i in range(0, len(b), 128):
        for j in range(0, a.shape[1], 128):
            part = a[:, j : j + 128] @ b[i : i + 128, j : j + 128].T
            factor = inputs["A_scale"][:, j // 128, None] * inputs["B_scale"][i // 128, j // 128]
            result[:, i : i + 128] += part * factor.double()
    return result


def test_the_reference_scales_every_block() -> None:
    source = random.Random(3)
    for seed in range(25):
        n, k, m = source.randint(1, 400), source.randint(1, 400), source.randint(1, 9)
        inputs = draw_inputs(seed, n, k, m)
        found = OPERATION.reference(*inputs.values(), dtype=torch.float64)
        torch.testing.assert_close(found, block_by_block(inputs), rtol=1e-12, atol=1e-12)


def kernel(inputs: Inputs, **changes: Callable[[Any], Any]) -> Any:
    """Computed in float32 of changed inputs."""
    given = {name: changes.get(name, lambda it: it)(value) for name, value in inputs.items()}
    return OPERATION.reference(*given.values()).bfloat16()


def passes(inputs: Inputs, result: Any) -> bool:
    expected = {"C": OPERATION.reference(*inputs.values(), dtype=torch.float64)}
    [judged] = OPERATION.check(inputs, expected, {"C": result})
    return judged.passed


def test_honest_kernels_pass() -> None:
    for seed in range(50):
        inputs = draw_inputs(seed, 256, 384)
        assert passes(inputs, kernel(inputs)), seed


def last_to_one(scale: Any) -> Any:
    scale = scale.clone()
    scale[-1, -1] = scale.mean()
    return scale


MUTANTS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "scale of the next row": {"A_scale": lambda it: it.roll(1, 0)},
    "scale of the next block of K": {"A_scale": lambda it: it.roll(1, 1)},
    "weight scale of the next block of N": {"B_scale": lambda it: it.roll(1, 0)},
    "weight scale of the next block of K": {"B_scale": lambda it: it.roll(1, 1)},
    "one scale for all activations": {"A_scale": lambda it: torch.full_like(it, it.mean())},
    "one scale for all weights": {"B_scale": lambda it: torch.full_like(it, it.mean())},
    "one weight block with another scale": {"B_scale": last_to_one},
    "activation scales left out": {"A_scale": torch.ones_like},
    "scale rounded to a power of two": {"A_scale": lambda it: it.log2().floor().exp2()},
    "last block of K left out": {"A_scale": lambda it: it * (torch.arange(3) < 2)},
    "weights of the next row": {"B": lambda it: it.roll(1, 0)},
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_wrong_kernels_fail(mutant: str) -> None:
    for seed in (0, 5):
        inputs = draw_inputs(seed, 256, 384)
        assert not passes(inputs, kernel(inputs, **MUTANTS[mutant]))


def tensor(*shape: int, dtype: str) -> Any:
    return SimpleNamespace(shape=shape, dtype=f"torch.{dtype}")


def call(**changes: Any) -> Call:
    run = {
        "input": tensor(3, 256, dtype="float8_e4m3fn"),
        "weight": tensor(192, 256, dtype="float8_e4m3fn"),
        "input_scale": tensor(3, 2, dtype="float32"),
        "weight_scale": tensor(2, 2, dtype="float32"),
    }
    return Call(FP8_BLOCK_SCALE.apis[0], {**run, **changes})


def test_calls_bind() -> None:
    bound = FP8_BLOCK_SCALE.bind(call())
    assert bound.constants == {"N": 192, "K": 256}
    assert list(bound.inputs) == ["A", "B", "A_scale", "B_scale"]


@pytest.mark.parametrize(
    "changes",
    [
        {"input": tensor(3, 256, dtype="bfloat16"), "input_scale": None},
        {"weight": tensor(192, 256, dtype="bfloat16"), "weight_scale": None},
        {"weight_scale": tensor(192, 2, dtype="float32")},
        {"input_scale": None},
        {"out_dtype": "torch.float16"},
    ],
)
def test_other_calls_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        FP8_BLOCK_SCALE.bind(call(**changes))
