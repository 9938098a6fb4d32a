"""The statistical test: perfect samplers pass, wrong ones fail, at a small vocabulary.

`benchmarks/sampling_check.py` measures the same at 262,208.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import STYLES, Draw, Style
from flashinfer_bench.ops.sampling import OPERATIONS, SamplingCheck, draw_many

torch = pytest.importorskip("torch")

CONSTANTS = {"vocab_size": 512}
CHECK = SamplingCheck()


def load_script() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "sampling_check.py"
    spec = importlib.util.spec_from_file_location("sampling_check", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()


def kind_of(operation: Operation) -> str:
    return operation.kind


each = pytest.mark.parametrize("operation", OPERATIONS, ids=kind_of)


def make(operation: Operation, seed: int, style: Style = "plain") -> dict[str, Any]:
    return operation.make_inputs(Draw(seed, style=style), CONSTANTS, {"batch_size": 6})


def mutants(operation: Operation) -> dict[str, Any]:
    filters = set(operation.interface(CONSTANTS).inputs) - {"probs"}
    found: dict[str, Any] = SCRIPT.mutants(filters, CONSTANTS["vocab_size"])
    return found


@each
def test_perfect_samplers_pass(operation: Operation) -> None:
    """No p-value of 300 is below 1 in 1,000 more often than chance allows."""
    check = SamplingCheck(draws=6000, false_alarm=1e-3)
    rejected = 0
    for seed in range(150):
        inputs = make(operation, seed, STYLES[seed % len(STYLES)])
        samples = SCRIPT.honest(inputs, 1000, torch.Generator().manual_seed(seed))
        (judged,) = check(inputs, {}, {"samples": samples})
        rejected += not judged.passed
    assert rejected <= 2


def in_float32(inputs: dict[str, Any], each: int, source: torch.Generator) -> torch.Tensor:
    """[each, rows] samples, as a kernel computes them."""
    weights = inputs["probs"]
    if "top_k" in inputs:
        values = weights.sort(-1, descending=True).values
        weights = weights * (weights >= values.gather(-1, inputs["top_k"].long()[:, None] - 1))
        weights = weights / weights.sum(-1, keepdim=True)
    if "top_p" in inputs:
        values, p = weights.sort(-1, descending=True).values, inputs["top_p"][:, None]
        above = values.cumsum(-1) - values
        weights = weights * (weights >= values.where((above < p) | (p >= 1), 1).amin(-1)[:, None])
    mass = weights.cumsum(-1)
    below_one = torch.rand(len(mass), each, generator=source) * (1 - 2**-23)
    return torch.searchsorted(mass, below_one * mass[:, -1:], right=True).T.contiguous()


@each
def test_honest_samplers_pass(operation: Operation) -> None:
    for seed in range(50):
        inputs = make(operation, seed, STYLES[seed % len(STYLES)])
        samples = in_float32(inputs, CHECK.draws // 6, torch.Generator().manual_seed(seed))
        (judged,) = CHECK(inputs, {}, {"samples": samples})
        assert judged.passed, (seed, judged)


@pytest.mark.parametrize(
    ("operation", "name"),
    [(operation, name) for operation in OPERATIONS for name in mutants(operation)],
)
def test_wrong_samplers_fail(operation: Operation, name: str) -> None:
    assert len(mutants(operation)) >= 8
    for seed in range(3):
        passed, _ = SCRIPT.judge(make(operation, seed), mutants(operation)[name], seed)
        assert not passed


@each
def test_one_call_is_judged_by_its_support(operation: Operation) -> None:
    inputs = make(operation, 4)
    inputs["probs"][2] = torch.eye(512)[77]
    samples = SCRIPT.honest(inputs, 1, torch.Generator().manual_seed(1))[0]
    assert CHECK(inputs, {}, {"samples": samples})[0].passed
    samples[2] = 78
    (judged,) = CHECK(inputs, {}, {"samples": samples})
    assert judged.reason == "1 samples outside the support"


def test_tokens_at_the_threshold_are_allowed_and_not_required() -> None:
    inputs = {"probs": torch.tensor([[0.5, 0.25, 0.25]]), "top_p": torch.tensor([0.5])}
    for tokens, passed in (([0], True), ([0, 0, 1, 2], True), ([0, 0, 0, 1, 1, 1, 2], False)):
        samples = torch.tensor(tokens).repeat(-(-8000 // len(tokens)))[:, None]
        (judged,) = CHECK(inputs, {}, {"samples": samples[torch.randperm(len(samples))]})
        assert judged.passed is passed, judged


def test_malformed_samples_fail_with_the_reason() -> None:
    inputs = make(OPERATIONS[0], 0)
    wrong = {
        "dtype torch.int32": torch.zeros(6, dtype=torch.int32),
        "shape [5]": torch.zeros(5, dtype=torch.int64),
        "6 samples outside 0 … 511": torch.full((6,), 512),
    }
    for reason, samples in wrong.items():
        (judged,) = CHECK(inputs, {}, {"samples": samples})
        assert not judged.passed and reason in judged.reason


def test_draws_keep_their_rows() -> None:
    inputs = {"probs": torch.eye(4)[[2, 0, 3]], "top_k": torch.tensor([1, 2, 3])}
    seen = []

    def run(probs: Any, top_k: Any) -> Any:
        seen.append((probs.shape[0], top_k.tolist()[:3]))
        return probs.argmax(-1)

    samples = draw_many(run, inputs, 100)
    assert samples.tolist() == [[2, 0, 3]] * 34
    assert seen == [(3 * 34, [1, 2, 3])]
