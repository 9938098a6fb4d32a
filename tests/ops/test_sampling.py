"""sampling: what is drawn from, written again in plain Python; bindings, costs."""

from __future__ import annotations

import random
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Binding, Call, Refused
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.sampling import OPERATIONS, SamplingCheck, draw_many, target

torch = pytest.importorskip("torch")

CONSTANTS = {"vocab_size": 128}


def kind_of(operation: Operation) -> str:
    return operation.kind


each = pytest.mark.parametrize("operation", OPERATIONS, ids=kind_of)


@each
def test_older_spellings_are_read(operation: Operation) -> None:
    name = operation.naming.format({"vocab_size": 7})
    assert operation.naming.parse(name.replace("_from_probs", "")) == {"vocab_size": 7}


def kept(probs: list[Fraction], k: int | None, p: Fraction | None) -> list[Fraction]:
    """The definition, token by token, in exact fractions."""
    if k is not None and 0 < k < len(probs):
        probs = [it if sum(other > it for other in probs) < k else Fraction(0) for it in probs]
    probs = [it / sum(probs) for it in probs]
    if p is not None and p < 1:
        above = [sum(other for other in probs if other > it) for it in probs]
        probs = [it if mass < p or not mass else Fraction(0) for it, mass in zip(probs, above)]
    return [it / sum(probs) for it in probs]


@each
def test_against_exact_fractions(operation: Operation) -> None:
    source = random.Random(operation.kind)
    for _ in range(40):
        batch, vocab = source.randint(1, 3), source.randint(1, 24)
        weights = [[source.randint(0, 6) for _ in range(vocab - 1)] for _ in range(batch)]
        rows = [[*row, 64 * vocab - sum(row)] for row in weights]
        inputs = {"probs": torch.tensor(rows, dtype=torch.float64) / (64 * vocab)}
        ks = [source.choice((-1, 0, 1, 2, 5, vocab, vocab + 3)) for _ in rows]
        ps = [source.choice((0.0, 0.31, 0.77, 0.93, 0.991, 1.0)) for _ in rows]
        if "top_k" in operation.kind:
            inputs["top_k"] = torch.tensor(ks, dtype=torch.int32)
        if "top_p" in operation.kind:
            inputs["top_p"] = torch.tensor(ps, dtype=torch.float32)
        found = target(inputs)
        samples = draw_many(operation.reference, inputs, 60)
        for i, row in enumerate(rows):
            probs = [Fraction(it, 64 * vocab) for it in row]
            p = Fraction(float(inputs["top_p"][i])) if "top_p" in inputs else None
            expected = kept(probs, ks[i] if "top_k" in inputs else None, p)
            assert found[i].tolist() == pytest.approx([float(it) for it in expected], abs=1e-12)
            assert all(expected[token] for token in samples[:, i].tolist())


def test_the_crossing_token_and_ties_stay() -> None:
    probs = torch.tensor([[0.4, 0.35, 0.15, 0.1]], dtype=torch.float64)
    one = {"probs": probs, "top_p": torch.tensor([0.5])}
    assert (target(one) > 0).tolist() == [[True, True, False, False]]
    tied = {"probs": torch.tensor([[0.5, 0.125, 0.25, 0.125]]), "top_k": torch.tensor([3])}
    assert target(tied).tolist() == tied["probs"].tolist()
    both = {"probs": probs, "top_k": torch.tensor([2]), "top_p": torch.tensor([0.53])}
    assert (target(both) > 0).tolist() == [[True, False, False, False]]


@each
def test_references_draw_from_the_target(operation: Operation) -> None:
    torch.manual_seed(5)
    check = SamplingCheck(draws=1 << 15)
    for seed in range(3):
        inputs = operation.make_inputs(Draw(seed), CONSTANTS, {"batch_size": 5})
        samples = draw_many(operation.reference, inputs, check.draws)
        (judged,) = check(inputs, {}, {"samples": samples})
        assert judged.passed, judged


def bind(operation: Operation, **run: Any) -> Any:
    assert isinstance(operation.binding, Binding)
    return operation.binding.bind(Call(operation.binding.apis[0], run))


PROBS = torch.full((3, 8), 0.125)


def test_calls_with_tensors() -> None:
    top_k, top_p = torch.ones(3, dtype=torch.int32), torch.ones(3)
    bound = bind(OPERATIONS[2], probs=PROBS, top_k=top_k, top_p=top_p, seed=3, generator=object())
    assert bound.constants == {"vocab_size": 8}
    assert list(bound.inputs) == ["probs", "top_k", "top_p"]
    assert bound.inputs["top_k"] is top_k and not bound.derived


def test_one_number_for_all_rows_is_marked() -> None:
    bound = bind(OPERATIONS[2], probs=PROBS, top_k=4, top_p=torch.ones(3))
    assert bound.inputs["top_k"].tolist() == [4, 4, 4]
    assert bound.inputs["top_k"].dtype == torch.int32
    assert bound.derived == {"top_k"}


@pytest.mark.parametrize(
    "run",
    [
        {"indices": torch.zeros(3)},
        {"filter_apply_order": "joint"},
        {"probs": PROBS.half()},
        {"probs": SimpleNamespace(shape=(8,), dtype="torch.float32")},
        {"top_k": None},
    ],
)
def test_other_calls_are_refused(run: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        bind(OPERATIONS[2], **{"probs": PROBS, "top_k": 4, "top_p": 0.5, **run})


def test_the_least_work() -> None:
    cost = OPERATIONS[2].cost({"vocab_size": 100}, {"batch_size": 3})
    assert (cost.bytes_moved, cost.flops) == (3 * (400 + 8 + 8), 300)
