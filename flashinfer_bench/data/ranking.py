"""Rankings per hardware over all workloads of a definition, tried or not.

A failure and a workload that was not attempted have the ratio 0. The score is the geometric mean
of 1 + ratio, minus 1: the speedup of a solution that is uniformly that much faster, and not to be
raised by leaving out what is hard. Workloads on which the baseline itself has no result have no
ratio; they count in the coverage alone.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from flashinfer_bench.data.comparison import Case, Comparison

CURVE_POINTS = 300
PINNED_P = 0.95

By = Literal["author", "solution"]


@dataclass(frozen=True)
class Standing:
    """How one author or solution does on one hardware."""

    name: str
    """Author or solution."""
    hardware: str
    definitions: int
    """Definitions it was attempted on."""
    workloads: int
    """Workloads of all ranked definitions, attempted or not."""
    ratios: tuple[float, ...]
    """Baseline latency / latency where the baseline has a result; 0 if not passed."""
    passed: int
    failed: int

    @property
    def not_attempted(self) -> int:
        return self.workloads - self.passed - self.failed

    @property
    def coverage(self) -> float:
        """Share of the workloads that were attempted."""
        return (self.passed + self.failed) / self.workloads

    @property
    def wins(self) -> int:
        """Workloads faster than the baseline."""
        return sum(ratio > 1 for ratio in self.ratios)

    @property
    def score(self) -> float:
        """Geometric mean of 1 + ratio over all workloads, minus 1."""
        return math.exp(math.fsum(map(math.log1p, self.ratios)) / len(self.ratios)) - 1

    @property
    def geomean_speedup(self) -> float | None:
        """Geometric mean of the ratio over the workloads that passed."""
        passed = [math.log(ratio) for ratio in self.ratios if ratio > 0]
        return math.exp(math.fsum(passed) / len(passed)) if passed else None

    def fast_p(self, p: float = PINNED_P) -> float:
        """Share of all workloads that are at least `p` times as fast as the baseline."""
        slower = bisect_left(self._sorted_ratios, p)
        return (len(self.ratios) - slower) / len(self.ratios)

    def fast_p_curve(self, points: int = CURVE_POINTS) -> list[tuple[float, float]]:
        """(p, fast_p) at evenly spaced p from 0 to the largest ratio, at least to 1."""
        end = max(1.0, *self.ratios)
        return [(p, self.fast_p(p)) for p in (end * i / (points - 1) for i in range(points))]

    @cached_property
    def _sorted_ratios(self) -> list[float]:
        return sorted(self.ratios)


def rank(
    comparisons: Iterable[Comparison],
    workloads: Mapping[str, Collection[str]],
    *,
    by: By = "author",
) -> dict[str, list[Standing]]:
    """Hardware -> standings, best score first.

    `workloads` are the uuids of each definition. A definition is ranked on a hardware where the
    baseline has a result on any of them. An author is measured on all ranked definitions and by
    the best of the author's solutions in each case; a solution is measured on its own definition.
    """
    groups: dict[str, dict[str, list[Comparison]]] = {}
    for item in comparisons:
        groups.setdefault(item.case[1], {}).setdefault(getattr(item, by), []).append(item)
    rankings = {}
    for hardware, entrants in sorted(groups.items()):
        ranked = _ranked_cases(item for items in entrants.values() for item in items)
        standings = [
            standing
            for name, items in entrants.items()
            if (standing := _standing(name, hardware, items, ranked, workloads, by))
        ]
        rankings[hardware] = sorted(standings, key=lambda entry: (-entry.score, entry.name))
    return rankings


def _ranked_cases(comparisons: Iterable[Comparison]) -> dict[str, list[Case]]:
    """Definition -> cases that have a baseline, on one hardware."""
    ranked: dict[str, dict[Case, None]] = {}
    for item in comparisons:
        if item.ratio is not None:
            ranked.setdefault(item.definition, {})[item.case] = None
    return {definition: list(cases) for definition, cases in ranked.items()}


def _standing(
    name: str,
    hardware: str,
    items: Iterable[Comparison],
    ranked: Mapping[str, list[Case]],
    workloads: Mapping[str, Collection[str]],
    by: By,
) -> Standing | None:
    best: dict[tuple[str, Case], Comparison] = {}
    for item in items:
        key = (item.definition, item.case)
        if item.definition in ranked and _better(item, best.get(key)):
            best[key] = item
    if not best:
        return None
    attempted = {definition for definition, _ in best}
    measured_on = [name for name in ranked if by == "author" or name in attempted]
    keys = [(definition, case) for definition in measured_on for case in ranked[definition]]
    passed = sum(item.passed for item in best.values())
    return Standing(
        name=name,
        hardware=hardware,
        definitions=len(attempted),
        workloads=sum(len(workloads[definition]) for definition in measured_on),
        ratios=tuple(best[key].ratio or 0.0 if key in best else 0.0 for key in keys),
        passed=passed,
        failed=len(best) - passed,
    )


def _better(item: Comparison, other: Comparison | None) -> bool:
    return other is None or (item.passed, item.ratio or 0) > (other.passed, other.ratio or 0)


__all__ = ["CURVE_POINTS", "PINNED_P", "By", "Standing", "rank"]
