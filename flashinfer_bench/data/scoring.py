"""Scores of authors and solutions against a baseline author, in the public tool's terms.

An arithmetic mean over what was attempted; `ranking` holds the stricter measure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from flashinfer_bench.data.base import StoredModel
from flashinfer_bench.data.comparison import Comparison


class SpeedupMetrics(StoredModel):
    """How much faster than the baseline, over the workloads that were attempted."""

    avg_speedup: float
    """Mean of baseline latency / latency, a failure counting 0; authors: mean of definitions."""
    definitions: int
    """Definitions attempted."""
    workloads: int
    """Workloads attempted for which the baseline passed."""
    success_rate: float
    """Share of them that passed."""
    win_rate: float
    """Share of them that passed and beat the baseline."""
    best_solutions: dict[str, str] | None = None
    """Definition -> the author's best solution (authors only)."""


class TraceSetSummary(StoredModel):
    """Totals of a dataset and its ranking of authors."""

    total: int
    """Traces."""
    passed: int
    """Traces that passed."""
    failed: int
    """Traces that did not."""
    rankings: list[tuple[str, SpeedupMetrics]]
    """(author, metrics), fastest first; the baseline author is not ranked."""


class Score(NamedTuple):
    """One solution against the baseline, on one definition."""

    definition: str
    author: str
    solution: str
    workloads: int
    passed: int
    wins: int
    avg_speedup: float


def score(comparisons: Iterable[Comparison]) -> list[Score]:
    """One score for every solution that can be compared."""
    groups: dict[tuple[str, str, str], list[tuple[bool, float]]] = {}
    for definition, _, solution, author, passed, ratio in comparisons:
        if ratio is not None:
            groups.setdefault((definition, author, solution), []).append((passed, ratio))
    return [
        Score(
            *names,
            workloads=len(results),
            passed=sum(passed for passed, _ in results),
            wins=sum(ratio > 1 for _, ratio in results),
            avg_speedup=math.fsum(ratio for _, ratio in results) / len(results),
        )
        for names, results in groups.items()
    ]


def solution_metrics(scores: Iterable[Score], solution: str) -> SpeedupMetrics | None:
    """Metrics of one solution; None where nothing can be compared."""
    own = [item for item in scores if item.solution == solution]
    return _metrics(own) if own else None


def author_metrics(scores: Iterable[Score]) -> dict[str, SpeedupMetrics]:
    """Metrics of every author, each definition standing for its best solution; fastest first."""
    best: dict[str, dict[str, Score]] = {}
    for item in scores:
        chosen = best.setdefault(item.author, {})
        if _rank(item) > _rank(chosen.get(item.definition)):
            chosen[item.definition] = item
    metrics = {author: _author_metrics(chosen) for author, chosen in best.items()}
    return dict(sorted(metrics.items(), key=lambda entry: (-entry[1].avg_speedup, entry[0])))


def _rank(item: Score | None) -> float:
    return -1.0 if item is None else item.avg_speedup


def _author_metrics(chosen: dict[str, Score]) -> SpeedupMetrics:
    solutions = {definition: item.solution for definition, item in chosen.items()}
    return _metrics(list(chosen.values())).model_copy(update={"best_solutions": solutions})


def _metrics(scores: Sequence[Score]) -> SpeedupMetrics:
    workloads = sum(item.workloads for item in scores)
    return SpeedupMetrics(
        avg_speedup=fmean(item.avg_speedup for item in scores),
        definitions=len({item.definition for item in scores}),
        workloads=workloads,
        success_rate=sum(item.passed for item in scores) / workloads,
        win_rate=sum(item.wins for item in scores) / workloads,
    )


__all__ = [
    "Score",
    "SpeedupMetrics",
    "TraceSetSummary",
    "author_metrics",
    "score",
    "solution_metrics",
]
