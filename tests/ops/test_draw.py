"""Random values that are the same bytes everywhere."""

from __future__ import annotations

import hashlib

import pytest

torch = pytest.importorskip("torch", reason="draws torch tensors")

from flashinfer_bench.ops.draw import STYLES, Draw, _normal_quantiles  # noqa: E402


def test_the_values_are_pinned() -> None:
    """Other bytes would change the inputs of every recorded seed."""
    table = _normal_quantiles().numpy().tobytes()
    assert hashlib.sha256(table).hexdigest()[:16] == "22eff448358fb3c3"
    drawn = Draw(2026).normal((3, 5), torch.bfloat16, 0.3).float().numpy().tobytes()
    assert hashlib.sha256(drawn).hexdigest()[:16] == "fb0238be3aeac613"


def test_normal_values_are_normal() -> None:
    values = Draw(1).normal((1000, 100), torch.float32)
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02
    share = float((values.abs() < 1).float().mean())
    assert abs(share - 0.6827) < 0.01


@pytest.mark.parametrize("style", STYLES)
def test_styles(style: str) -> None:
    values = Draw(1, style=style).normal((8, 64), torch.float32)  # type: ignore[arg-type]
    spread = float(values.std())
    if style == "large":
        assert 6 < spread < 10
    elif style == "tiny":
        assert 0.0005 < spread < 0.002
    elif style == "ties":
        assert torch.equal(values, values.round())
    elif style == "repeated":
        assert torch.equal(values, values[:1].expand(8, 64))
    else:
        assert 0.8 < spread < 1.2


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (Draw(seed).normal((64,), torch.float32) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_long_tensors_repeat_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flashinfer_bench.ops.draw._DRAWN_AT_MOST", 10)
    values = Draw(1).normal((5, 5), torch.float32).flatten()
    assert torch.equal(values[:10], values[10:20])
    assert torch.equal(values[20:], values[:5])


@pytest.mark.parametrize(
    ("total", "parts", "least"), [(10, 3, 0), (10, 10, 1), (5, 1, 5), (0, 4, 0)]
)
def test_splits_add_up(total: int, parts: int, least: int) -> None:
    for seed in range(20):
        lengths = Draw(seed).split(total, parts, least)
        assert len(lengths) == parts
        assert sum(lengths) == total
        assert min(lengths) >= least


def test_impossible_splits() -> None:
    with pytest.raises(ValueError, match="cannot be split"):
        Draw(1).split(3, 2, 2)


def test_integers_choices_permutations() -> None:
    draw = Draw(5)
    assert set(draw.integers(2, 4, 200).tolist()) == {2, 3, 4}
    assert draw.choice("ab") in "ab"
    assert sorted(draw.permutation(9).tolist()) == list(range(9))
