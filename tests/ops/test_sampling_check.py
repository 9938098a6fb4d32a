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
from flashinfer_bench.ops.draw import Draw
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


def make(operation: Operation, seed: int, batch: int = 6) -> dict[str, Any]:
    return operation.make_inputs(Draw(seed), CONSTANTS, {"batch_size": batch})


@each
def test_perfect_samplers_pass(operation: Operation) -> None:
    """50 seeds; and no p-value of 300 is below 1 in 1,000 more often than chance allows."""
    small = SamplingCheck(draws=6000, false_alarm=1e-3)
    rejected = 0
    for seed in range(150):
        inputs = make(operation, seed)
        source = torch.Generator().manual_seed(seed)
        many = CHECK.draws if seed < 50 else small.draws
        samples = SCRIPT.honest(inputs, many // 6, source)
        (judged,) = (CHECK if seed < 50 else small)(inputs, {}, {"samples": samples})
        assert seed >= 50 or judged.passed, judged
        rejected += not judged.passed
    assert rejected <= 2


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (operation, name)
        for operation in OPERATIONS
        for name in SCRIPT.mutants(set(operation.interface(CONSTANTS).inputs) - {"probs"}, 512)
    ],
)
def test_wrong_samplers_fail(operation: Operation, name: str) -> None:
    filters = set(operation.interface(CONSTANTS).inputs) - {"probs"}
    for seed in range(3):
        passed, _ = SCRIPT.judge(make(operation, seed), SCRIPT.mutants(filters, 512)[name], seed)
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
