"""A dataset in numbers: its totals, its rankings per hardware, the best solutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flashinfer_bench.data import ranking
from flashinfer_bench.data.comparison import Comparison
from flashinfer_bench.data.listing import natural, workload_uuids
from flashinfer_bench.data.ranking import By, Standing

if TYPE_CHECKING:
    from flashinfer_bench.data.trace_set import TraceSet


@dataclass(frozen=True)
class Totals:
    """How much there is."""

    definitions: int
    solutions: int
    workloads: int
    traces: int
    statuses: dict[str, int]
    """Status -> traces, the most frequent first."""


@dataclass(frozen=True)
class Ranking:
    """The standings on one hardware."""

    hardware: str
    standings: list[Standing]
    """Best score first, without the baseline's own."""
    unranked: list[str]
    """Definitions that were attempted here, but not by the baseline, or not with success."""


@dataclass(frozen=True)
class Best:
    """The best solution of one definition on one hardware."""

    definition: str
    author: str
    standing: Standing


def total(trace_set: TraceSet, names: Iterable[str]) -> Totals:
    """Totals over these definitions."""
    names = list(names)
    rows = [row for name in names for row in trace_set.rows("traces", name)]
    statuses = Counter(row.status for row in rows if row.status)
    return Totals(
        definitions=sum(name in trace_set.definitions for name in names),
        solutions=sum(len(trace_set.solutions.get(name, [])) for name in names),
        workloads=sum(len(trace_set.rows("workloads", name)) for name in names),
        traces=len(rows),
        statuses=dict(statuses.most_common()),
    )


def rank_all(
    trace_set: TraceSet, names: Iterable[str], baseline_author: str = "baseline", by: By = "author"
) -> list[Ranking]:
    """A ranking for each hardware that has results on these definitions; see `ranking.rank`."""
    names = list(names)
    comparisons = trace_set.comparisons(names, baseline_author)
    uuids = {name: workload_uuids(trace_set, name) for name in names}
    own = {baseline_author} if by == "author" else _solutions_by(trace_set, baseline_author)
    return [
        Ranking(
            hardware,
            [standing for standing in standings if standing.name not in own],
            _unranked(item for item in comparisons if item.case[1] == hardware),
        )
        for hardware, standings in ranking.rank(comparisons, uuids, by=by).items()
    ]


def best_solutions(
    trace_set: TraceSet, names: Iterable[str], baseline_author: str = "baseline"
) -> list[tuple[Ranking, list[Best]]]:
    """By hardware, the best of the solutions of each definition that passed on any workload."""
    return [
        (ranked, _best_of(trace_set, ranked.standings))
        for ranked in rank_all(trace_set, names, baseline_author, by="solution")
    ]


def _best_of(trace_set: TraceSet, standings: Sequence[Standing]) -> list[Best]:
    best: dict[str, Best] = {}
    for standing in standings:
        solution = trace_set.get_solution(standing.name)
        if solution and standing.passed:
            item = Best(solution.definition, solution.author, standing)
            best.setdefault(solution.definition, item)
    return sorted(best.values(), key=lambda item: natural(item.definition))


def _unranked(comparisons: Iterable[Comparison]) -> list[str]:
    ranked: dict[str, bool] = {}
    for item in comparisons:
        ranked[item.definition] = ranked.get(item.definition, False) or item.ratio is not None
    return sorted((name for name, has_ratio in ranked.items() if not has_ratio), key=natural)


def _solutions_by(trace_set: TraceSet, author: str) -> set[str]:
    solutions = (solution for group in trace_set.solutions.values() for solution in group)
    return {solution.name for solution in solutions if solution.author == author}


__all__ = ["Best", "Ranking", "Totals", "best_solutions", "rank_all", "total"]
