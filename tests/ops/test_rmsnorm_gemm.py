"""rmsnorm and gemm: references against another way of writing them, bindings, costs."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Call, Refused
from flashinfer_bench.ops.gemm import BF16
from flashinfer_bench.ops.registry import parse_name
from flashinfer_bench.ops.rmsnorm import FUSED_ADD_RMSNORM, RMSNORM


def tensor(*shape: int, dtype: str = "torch.bfloat16") -> Any:
    flipped = SimpleNamespace(shape=shape[::-1], dtype=dtype)
    return SimpleNamespace(shape=shape, dtype=dtype, T=flipped)


@pytest.mark.parametrize(
    "kind", ["rmsnorm", "gemma_rmsnorm", "fused_add_rmsnorm", "gemma_fused_add_rmsnorm"]
)
def test_norms_against_plain_python(kind: str) -> None:
    torch = pytest.importorskip("torch")
    source = random.Random(kind)
    for _ in range(20):
        rows, hidden, exponent = source.randint(1, 4), source.randint(1, 40), source.randint(3, 9)
        x, residual = (
            [[source.gauss(0, 2) for _ in range(hidden)] for _ in range(rows)] for _ in "ab"
        )
        weight = [source.gauss(0, 1) for _ in range(hidden)]
        operation, constants = parse_name(f"{kind}_h{hidden}_eps{exponent}")
        given = [x, residual, weight] if "fused" in kind else [x, weight]
        tensors = [torch.tensor(value, dtype=torch.float64) for value in given]
        output = operation.reference(*tensors, dtype=torch.float64, eps_exponent=exponent)
        for i in range(rows):
            row = [a + b for a, b in zip(x[i], residual[i])] if "fused" in kind else x[i]
            size = (sum(a * a for a in row) / hidden + 10**-exponent) ** 0.5
            for j in range(hidden):
                factor = weight[j] + (1 if kind.startswith("gemma") else 0)
                assert float(output[i, j]) == pytest.approx(row[j] / size * factor, rel=1e-12)
        assert constants["eps_exponent"] == exponent


def test_gemm_against_plain_python() -> None:
    torch = pytest.importorskip("torch")
    source = random.Random(7)
    for _ in range(20):
        m, n, k = (source.randint(1, 12) for _ in range(3))
        a, b = ([[source.gauss(0, 1) for _ in range(k)] for _ in range(rows)] for rows in (m, n))
        operation, _ = parse_name(f"gemm_n{n}_k{k}")
        tensors = [torch.tensor(value, dtype=torch.float64) for value in (a, b)]
        output = operation.reference(*tensors, dtype=torch.float64)
        for i in range(m):
            for j in range(n):
                expected = sum(x * y for x, y in zip(a[i], b[j]))
                assert float(output[i, j]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def norm_call(**run: Any) -> Call:
    return Call("flashinfer.norm.rmsnorm", {"input": tensor(3, 64), "weight": tensor(64), **run})


@pytest.mark.parametrize(
    ("eps", "constants"),
    [
        (None, {"hidden_size": 64}),
        (1e-6, {"hidden_size": 64}),
        (1e-5, {"hidden_size": 64, "eps_exponent": 5}),
    ],
)
def test_norm_calls_keep_their_epsilon(eps: float | None, constants: dict[str, int]) -> None:
    bound = RMSNORM.bind(norm_call(eps=eps))
    assert bound.constants == constants
    assert list(bound.inputs) == ["hidden_states", "weight"]
    assert not bound.derived


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"eps": 3e-6}, "no power of ten"),
        ({"input": tensor(2, 3, 64)}, "shape [2, 3, 64]"),
        ({"input": tensor(3, 64, dtype="torch.float16")}, "float16"),
    ],
)
def test_other_norm_calls_are_refused(run: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        RMSNORM.bind(norm_call(**run))
    assert words in str(refused.value)


def test_fused_norm_needs_its_residual() -> None:
    with pytest.raises(Refused, match="residual"):
        FUSED_ADD_RMSNORM.bind(norm_call())
    bound = FUSED_ADD_RMSNORM.bind(norm_call(residual=tensor(3, 64)))
    assert list(bound.inputs) == ["hidden_states", "residual", "weight"]


def test_gemm_calls_hold_the_weight_transposed() -> None:
    bound = BF16.bind(Call("flashinfer.gemm.mm_bf16", {"a": tensor(2, 48), "b": tensor(48, 32)}))
    assert bound.constants == {"N": 32, "K": 48}
    assert bound.inputs["B"].shape == (32, 48)


@pytest.mark.parametrize(
    "run",
    [
        {"bias": tensor(32)},
        {"out_dtype": "torch.float32"},
        {"a": tensor(2, 48, dtype="torch.float16")},
    ],
)
def test_other_gemm_calls_are_refused(run: dict[str, Any]) -> None:
    arguments = {"a": tensor(2, 48), "b": tensor(48, 32), **run}
    with pytest.raises(Refused):
        BF16.bind(Call("flashinfer.gemm.mm_bf16", arguments))


def test_the_least_work() -> None:
    operation, constants = parse_name("gemm_n32_k48")
    cost = operation.cost(constants, {"M": 10})
    assert cost.flops == 2 * 10 * 32 * 48
    assert cost.bytes_moved == 2 * (10 * 48 + 32 * 48 + 10 * 32)
    operation, constants = parse_name("fused_add_rmsnorm_h64")
    assert operation.cost(constants, {"batch_size": 3}).bytes_moved == 2 * 64 * (4 * 3 + 1)
