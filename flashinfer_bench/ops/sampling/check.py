"""Whether samples come from the distribution that a call asks for: a test over many draws.

Every sample lies in the support, exactly. Then each sample becomes a number that is uniform on
[0, 1) when the sampler is right: the mass of the tokens before its token, plus a random part of
its token's own mass. Tokens stand once in order of probability (sees a wrong temperature or filter)
and once in order of index (sees wrong indices and blocks left out). Chi-square tests with few and
many bins judge those numbers, for each row and for all rows together. One more test, the strongest
there is against a temperature, compares the samples' mean log-probability with its expectation. The
bound on the smallest p is divided by the number of tests.

Which token crosses top-p may hang on rounding: tokens within `tolerance` of the threshold are
allowed, never required, and take no part beyond a bound on their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.checks import Judged

if TYPE_CHECKING:
    import torch

_BINS = (2, 16, 64)
_LEAST_EXPECTED = 20
"""Samples that a bin expects; with fewer, the tail of the statistic is heavier than chi-square."""
_LEAST_SCORED = 4096
"""Samples from which on their mean log-probability is normal enough, far out."""
_SEED = 0x5A3B1E6F
"""Of the check's own random numbers: samplers are seeded with small ones. torch takes 32 bits."""


@dataclass(frozen=True)
class SamplingCheck:
    """Samples against the distribution that they should come from.

    Judges `samples`, [batch_size] of one call or [draws, batch_size] of `draw_many`; those of the
    reference are not looked at. More rows than `most_values` allows are judged at equal distances.
    """

    draws: int = 1 << 17
    """Samples, over all rows, that the stated power takes."""
    false_alarm: float = 1e-5
    """Probability of rejecting a perfect sampler."""
    tolerance: float = 1e-5
    """Error of a float32 sum of probabilities."""
    most_values: int = 1 << 24
    """Probabilities that one check sorts."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        probs, samples = inputs["probs"], actual["samples"]
        reason = _malformed(probs, samples)
        if reason:
            return [Judged("samples", False, reason, math.inf, math.inf)]
        samples = samples.reshape(-1, probs.shape[0]).cpu()
        step = math.ceil(probs.numel() / self.most_values)
        rows = [self._row(inputs, samples, row) for row in range(0, probs.shape[0], step)]
        outside = sum(row.outside for row in rows)
        tests = [test for row in rows for test in row.tests()]
        pool = _pool(rows)
        tests += pool.tests() if len(rows) > 1 else []
        tests += pool.temperature_tests()
        p = min([1.0, *tests]) * max(1, len(tests))
        facts = {"draws": float(samples.numel()), "outside": float(outside), "p": min(1.0, p)}
        reasons = [f"{outside} samples outside the support"] if outside else []
        if p < self.false_alarm:
            reasons.append(f"samples differ from the distribution, p = {p:.2g}")
        error = pool.distance()
        return [Judged("samples", not reasons, "; ".join(reasons), error, error, facts)]

    def _row(self, inputs: Mapping[str, Any], samples: torch.Tensor, row: int) -> _Row:
        import torch

        filters = {key: float(inputs[key][row]) for key in ("top_k", "top_p") if key in inputs}
        values, order = inputs["probs"][row].cpu().sort(descending=True)
        values = values.double()
        mass = values.cumsum(0)
        sure, allowed = _support(values, mass, filters, self.tolerance)
        tokens = samples[:, row]
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order))
        ranks = rank[tokens]
        decided = ranks < sure
        total, most = float(mass[sure - 1]), float(mass[allowed - 1])
        by_index = torch.zeros_like(values)
        by_index[order[:sure]] = values[:sure]
        tokens, places = tokens[decided], ranks[decided]
        part = torch.rand(len(tokens), generator=_source(_SEED + row), dtype=torch.float64)
        share = part * values[places]
        ordered = (mass[places] - values[places] + share) / total
        indexed = (by_index.cumsum(0)[tokens] - by_index[tokens] + share) / total
        undecided = int(((ranks >= sure) & (ranks < allowed)).sum())
        limit = len(ranks) * (most - total) / most
        score, variance = _score(values[:sure] / total, places)
        outside = int((ranks >= allowed).sum())
        return _Row(ordered, indexed, score, variance, outside, undecided, limit)


@dataclass(frozen=True)
class _Row:
    """Samples of one row, or of all, as numbers that should be uniform on [0, 1)."""

    ordered: torch.Tensor
    """[samples] by descending probability."""
    indexed: torch.Tensor
    """[samples] by token index."""
    score: float
    """Sum of the samples' log-probabilities less their expectation."""
    variance: float
    """Expected square of the score."""
    outside: int = 0
    undecided: int = 0
    """Samples of tokens that may or may not be in the support."""
    limit: float = 0.0
    """Expected number of those if they all are."""

    def tests(self) -> list[float]:
        """p-values."""
        found = [
            _chi_square(numbers, bins)
            for numbers in (self.ordered, self.indexed)
            for bins in _BINS
            if len(numbers) >= bins * _LEAST_EXPECTED
        ]
        return [*found, _at_least(self.undecided, self.limit)] if self.undecided else found

    def temperature_tests(self) -> list[float]:
        """The p-value of the score, where there are samples enough."""
        if len(self.ordered) < _LEAST_SCORED or self.variance < 1e-6 * len(self.ordered):
            return []
        return [math.erfc(abs(self.score) / math.sqrt(2 * self.variance))]

    def distance(self) -> float:
        """Largest difference between the share of samples up to a token and its probability."""
        import torch

        count = len(self.ordered)
        if not count:
            return 0.0
        steps = torch.arange(1, count + 1, dtype=torch.float64) / count
        return float((self.ordered.sort().values - steps).abs().max())


def draw_many(run: Callable[..., Any], inputs: Mapping[str, Any], draws: int) -> torch.Tensor:
    """[draws of each row, batch_size]: at least `draws` samples in all, rows repeated in each call.

    `run` takes the inputs in order. One call holds at most 2**26 probabilities, or one batch.
    """
    import torch

    batch, vocab = inputs["probs"].shape
    each = max(1, math.ceil(draws / batch))
    copies = max(1, min(each, (1 << 26) // (batch * vocab)))
    repeated = [
        value.repeat(copies, *[1] * (value.dim() - 1)).contiguous() for value in inputs.values()
    ]
    parts = [run(*repeated).reshape(copies, batch) for _ in range(math.ceil(each / copies))]
    return torch.cat(parts)[:each]


def _malformed(probs: torch.Tensor, samples: torch.Tensor) -> str:
    import torch

    batch, vocab = probs.shape
    if samples.dtype != torch.int64:
        return f"dtype {samples.dtype}, expected torch.int64"
    if samples.dim() not in (1, 2) or samples.shape[-1] != batch:
        return f"shape {list(samples.shape)}, expected [{batch}] or [draws, {batch}]"
    wrong = int(((samples < 0) | (samples >= vocab)).sum())
    return f"{wrong} samples outside 0 … {vocab - 1}" if wrong else ""


def _support(
    values: torch.Tensor, mass: torch.Tensor, filters: Mapping[str, float], tolerance: float
) -> tuple[int, int]:
    """How many of the most probable tokens are surely drawn from, and may be drawn from."""
    count = int((values > 0).sum())
    k = int(filters.get("top_k", 0))
    if 0 < k < count:
        count = _with_ties(values, k)
    p = filters.get("top_p", 1.0)
    if p >= 1:
        return count, count
    above = (mass - values)[:count]
    if "top_k" in filters:
        above = above / mass[count - 1]
    ends = [max(1, int((above < limit).sum())) for limit in (p - tolerance, p + tolerance)]
    sure, allowed = (min(count, _with_ties(values, end)) for end in ends)
    return sure, allowed


def _with_ties(values: torch.Tensor, count: int) -> int:
    return int((values >= values[count - 1]).sum())


def _source(seed: int) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(seed)


def _pool(rows: list[_Row]) -> _Row:
    import torch

    return _Row(
        torch.cat([row.ordered for row in rows]),
        torch.cat([row.indexed for row in rows]),
        sum(row.score for row in rows),
        sum(row.variance for row in rows),
    )


def _score(probs: torch.Tensor, places: torch.Tensor) -> tuple[float, float]:
    """Derivative of the samples' log-likelihood by inverse temperature, and its variance."""
    centered = probs.log()
    centered = centered - (probs * centered).sum()
    variance = len(places) * float((probs * centered.square()).sum())
    return float(centered[places].sum()), variance


def _chi_square(numbers: torch.Tensor, bins: int) -> float:
    import torch

    places = (numbers * bins).long().clamp(0, bins - 1)
    counts = torch.bincount(places, minlength=bins).double()
    expected = len(numbers) / bins
    statistic = (counts - expected).square().sum() / expected
    degrees = torch.tensor((bins - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(degrees, statistic / 2))


def _at_least(count: int, expected: float) -> float:
    """Probability of `count` or more events where `expected` are."""
    import torch

    found = torch.tensor(float(count), dtype=torch.float64)
    return float(torch.special.gammainc(found, torch.tensor(expected, dtype=torch.float64)))


__all__ = ["SamplingCheck", "draw_many"]
