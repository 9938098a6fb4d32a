"""rope: references against complex numbers, bindings, honest kernels and mutants."""

from __future__ import annotations

import cmath
import math
import random
from typing import Any

import pytest

from flashinfer_bench.ops.binding import Call, Refused
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import STYLES, Draw
from flashinfer_bench.ops.rope import GPTJ, NEOX, OPERATIONS, cos_sin_cache

torch = pytest.importorskip("torch")

CONSTANTS = {"head_size": 32, "rotary_dim": 16}


def style_of(operation: Operation) -> str:
    return operation.kind.split("_")[-2]


each = pytest.mark.parametrize("operation", OPERATIONS, ids=style_of)


@each
def test_against_rotation_of_complex_numbers(operation: Operation) -> None:
    source = random.Random(operation.kind)
    for _ in range(20):
        tokens, pairs, rest = source.randint(1, 5), source.randint(1, 6), source.randint(0, 5)
        heads = {"q": source.randint(1, 4), "k": source.randint(1, 3)}
        size = 2 * pairs + rest
        angles = [[source.uniform(-9, 9) for _ in range(pairs)] for _ in range(7)]
        table = [[math.cos(a) for a in row] + [math.sin(a) for a in row] for row in angles]
        places = [source.randrange(7) for _ in range(tokens)]
        states = {
            name: [[[source.gauss(0, 1) for _ in range(size)] for _ in range(n)] for _ in places]
            for name, n in heads.items()
        }
        double = {name: torch.tensor(value, dtype=torch.float64) for name, value in states.items()}
        outputs = operation.reference(
            *double.values(),
            torch.tensor(table, dtype=torch.float64),
            torch.tensor(places),
            dtype=torch.float64,
        )
        for name, output in zip(states, outputs):
            for token, place in enumerate(places):
                for head, row in enumerate(states[name][token]):
                    expected = rotated(row, angles[place], style_of(operation))
                    assert output[token, head].tolist() == pytest.approx(expected, abs=1e-12)


def rotated(row: list[float], angles: list[float], style: str) -> list[float]:
    result = list(row)
    for i, angle in enumerate(angles):
        a, b = (i, i + len(angles)) if style == "neox" else (2 * i, 2 * i + 1)
        turned = complex(row[a], row[b]) * cmath.exp(1j * angle)
        result[a], result[b] = turned.real, turned.imag
    return result


def test_the_table_is_that_of_theta_ten_thousand() -> None:
    table = cos_sin_cache(4096, 128)
    for position, pair in ((0, 0), (1, 0), (4095, 0), (4095, 63), (777, 31)):
        angle = position * 1e4 ** (-pair / 64)
        assert float(table[position, pair]) == pytest.approx(math.cos(angle), abs=1e-5)
        assert float(table[position, pair + 64]) == pytest.approx(math.sin(angle), abs=1e-5)
    assert torch.equal(table * 2**16, (table * 2**16).round())


def wrong_results(operation: Operation, inputs: dict[str, Any]) -> dict[str, Any]:
    other = next(it for it in OPERATIONS if it is not operation)
    q, k, cache, positions = inputs.values()
    cos, sin = cache.chunk(2, -1)
    run = operation.reference
    good = run(*inputs.values())
    return {
        "scale": [1.01 * it for it in good],
        "other pairing": other.reference(*inputs.values()),
        "sine's sign": run(q, k, torch.cat((cos, -sin), -1), positions),
        "sine and cosine": run(q, k, torch.cat((sin, cos), -1), positions),
        "position + 1": run(q, k, cache.roll(-1, 0), positions),
        "query left": (q.float(), good[1]),
        "key left": (good[0], k.float()),
        "swapped heads": (good[0].flip(1), good[1]),
        "rest zero": [torch.cat((it[..., :16], 0 * it[..., 16:]), -1) for it in good],
        "last token": [torch.cat((it[:-1], it[:1])) for it in good],
        "table in 8 bits": run(q, k, cache.to(torch.float8_e4m3fn).float(), positions),
    }


@each
def test_mutants_fail_and_honest_results_pass(operation: Operation) -> None:
    lengths = {"num_tokens": 33, "num_qo_heads": 8, "num_kv_heads": 2, "max_seq_len": 512}
    for seed in range(50):
        style = STYLES[seed % len(STYLES)]
        inputs = operation.make_inputs(Draw(seed, style=style), CONSTANTS, lengths)
        exact = operation.reference(*inputs.values(), dtype=torch.float64)
        expected = dict(zip(("q_out", "k_out"), exact))
        assert passes(operation, expected, operation.reference(*inputs.values())), (seed, style)
        if style == "plain":
            wrong = wrong_results(operation, inputs)
            passing = [key for key, it in wrong.items() if passes(operation, expected, it)]
            assert passing == [] and len(wrong) >= 8, seed


def passes(operation: Operation, expected: dict[str, Any], results: Any) -> bool:
    actual = {name: it.bfloat16() for name, it in zip(expected, results)}
    return all(it.passed for it in operation.check({}, expected, actual))


def call(**run: Any) -> Call:
    arguments = {
        "positions": torch.arange(3),
        "query": torch.zeros(3, 4 * 32, dtype=torch.bfloat16),
        "key": torch.zeros(3, 2 * 32, dtype=torch.bfloat16),
        "head_size": 32,
        "cos_sin_cache": torch.zeros(9, 16),
    }
    return Call(NEOX.apis[0], {**arguments, **run})


def test_calls_get_their_heads() -> None:
    bound = NEOX.bind(call())
    assert bound.constants == CONSTANTS
    assert list(bound.inputs) == ["q", "k", "cos_sin_cache", "positions"]
    assert bound.inputs["q"].shape == (3, 4, 32) and bound.inputs["k"].shape == (3, 2, 32)
    assert not bound.derived
    assert GPTJ.bind(call(is_neox=False)).constants == CONSTANTS


@pytest.mark.parametrize(
    "run",
    [
        {"is_neox": False},
        {"head_size": 48},
        {"query": torch.zeros(3, 128)},
        {"cos_sin_cache": torch.zeros(9, 16, dtype=torch.bfloat16)},
        {"key": None},
    ],
)
def test_other_calls_are_refused(run: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        NEOX.bind(call(**run))


@each
def test_the_least_work(operation: Operation) -> None:
    lengths = {"num_tokens": 10, "num_qo_heads": 4, "num_kv_heads": 2, "max_seq_len": 100}
    cost = operation.cost(CONSTANTS, lengths)
    assert cost.bytes_moved == 2 * 2 * 10 * 6 * 32 + 4 * 10 * 16 + 8 * 10
    assert cost.flops == 3 * 10 * 6 * 16
