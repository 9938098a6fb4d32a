"""Rows of probabilities as language models give them, and rows that strain a kernel.

Rows are whole numbers divided by their sum, so that every machine makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import Constants, Lengths

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw, Style

_BROAD = ("normal_3", "zipf_1")
_ROWS: dict[Style, tuple[str, ...]] = {
    "plain": ("normal_1", "normal_2", *_BROAD, "zipf_2", "ties", "uniform", "one_hot"),
    "large": ("normal_3", "zipf_2", "one_hot"),
    "tiny": ("normal_1", "uniform"),
    "ties": ("ties",),
    "repeated": _BROAD,
}
_TABLE = 1 << 12
_TOP_K = ((50, 64), (5, 10), (1, 2, 5, 20, 50, 100, 1000, 1 << 30))
_TOP_P = ((0.9, 0.95), (0.7, 0.8), (0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0))
"""Choices for the first row, the second, and all others."""


def make_inputs(*filters: str) -> Callable[[Draw, Constants, Lengths], dict[str, Any]]:
    """Inputs of `probs` and these filters.

    In plain style the first row is broad and the second peaked, with filters that differ and cut
    something off, so that every call shows a wrong filter.
    """

    def make(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
        import torch

        vocab, batch = constants["vocab_size"], lengths["batch_size"]
        inputs: dict[str, Any] = {"probs": _probs(draw, vocab, batch)}
        if "top_k" in filters:
            top_k = [draw.choice(_TOP_K[min(row, 2)]) for row in range(batch)]
            inputs["top_k"] = torch.tensor(top_k, dtype=torch.int32).clamp_max(vocab)
        if "top_p" in filters:
            top_p = [draw.choice(_TOP_P[min(row, 2)]) for row in range(batch)]
            inputs["top_p"] = torch.tensor(top_p, dtype=torch.float32)
        return {name: value.to(draw.device) for name, value in inputs.items()}

    return make


def _probs(draw: Draw, vocab: int, batch: int) -> torch.Tensor:
    import torch

    probs = torch.empty(batch, vocab, dtype=torch.float32)
    for row in range(batch):
        if row and draw.style == "repeated":
            probs[row] = probs[0]
            continue
        first = (_BROAD, ("zipf_2",)) if draw.style == "plain" else ()
        kinds = first[row] if row < len(first) else _ROWS[draw.style]
        weights = _weights(draw, draw.choice(kinds), vocab)
        probs[row] = weights.double() / float(weights.sum())
    return probs


def _weights(draw: Draw, kind: str, vocab: int) -> torch.Tensor:
    """[vocab] int64, not negative, sum below 2**53."""
    import torch

    if kind == "one_hot":
        weights = torch.zeros(vocab, dtype=torch.int64)
        weights[draw.integer(0, vocab - 1)] = 1
        return weights
    if kind == "uniform":
        return draw.integers(4096, 4160, vocab)
    if kind == "ties":
        return 4 ** (7 - draw.integers(0, (1 << 20) - 1, vocab).double().sqrt().long() // 128)
    name, _, parameter = kind.partition("_")
    if name == "zipf":
        return (1 << 40) // (draw.permutation(vocab) + 1) ** int(parameter)
    table = torch.tensor(_exponentials(int(parameter)))
    unequal = draw.integers(4096, 8191, vocab)  # or 64 tokens of 262,144 would share a value
    return table[draw.integers(0, _TABLE - 1, vocab)] * unequal


@cache
def _exponentials(deviation: int) -> list[int]:
    """exp of normal logits, in units of 2**-10 of a logit of 0."""
    normal = NormalDist(0, deviation)
    return [round(exp(normal.inv_cdf((i + 0.5) / _TABLE)) * 1024) for i in range(_TABLE)]


def draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    """A small batch."""
    return {"batch_size": draw.choice((1, 2, 3, 7, 16))}


__all__ = ["draw_lengths", "make_inputs"]
