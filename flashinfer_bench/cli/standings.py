"""Standings as cells of a table and as JSON, the same in every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli.output import counted, percent, print_text, some, times

if TYPE_CHECKING:
    from flashinfer_bench.data import Standing, TraceSet
    from flashinfer_bench.data.summarizing import Ranking

SCORE = "score: geomean of 1 + speedup over all workloads (failed or not attempted: 0), minus 1"
DEFAULT_BASELINE = "baseline"
LEFT_OUT_FIRST = ("wins", "not attempted", "failed")


def add_ranking(parser: argparse.ArgumentParser) -> None:
    """`--baseline` and `-p`."""
    parser.add_argument(
        "--baseline",
        metavar="AUTHOR",
        default=DEFAULT_BASELINE,
        help="whom to compare with; `reference`: the definitions' own (default: %(default)s)",
    )
    parser.add_argument(
        "-p",
        metavar="P",
        type=_positive,
        default=0.95,
        help="fast_p counts workloads at least P times as fast (default: %(default)s)",
    )


def columns(p: float) -> list[str]:
    """Heads of `numbers`."""
    fast = f"fast_p({p:g})"
    return ["score", "geomean", fast, "coverage", "passed", "failed", "not attempted", "wins"]


def numbers(standing: Standing, p: float) -> list[Any]:
    """The numbers of a standing."""
    return [
        f"{standing.score:.3f}",
        times(standing.geomean_speedup),
        percent(standing.fast_p(p)),
        percent(standing.coverage),
        standing.passed,
        standing.failed,
        standing.not_attempted,
        standing.wins,
    ]


def facts(standing: Standing, p: float) -> dict[str, Any]:
    """The numbers of a standing as JSON."""
    return {
        "score": standing.score,
        "geomean_speedup": standing.geomean_speedup,
        "fast_p": standing.fast_p(p),
        "coverage": standing.coverage,
        "passed": standing.passed,
        "failed": standing.failed,
        "not_attempted": standing.not_attempted,
        "wins": standing.wins,
        "workloads": standing.workloads,
    }


def against(ranking: Ranking, baseline: str) -> str:
    """Title of a ranking."""
    return f"{ranking.hardware}, against {baseline}"


def print_left_out(rankings: Sequence[Ranking], baseline: str) -> None:
    """What has no place in these rankings, and what to do about it."""
    notes = [
        f"{ranking.hardware}: {counted(len(ranking.unranked), 'definition')} not ranked, "
        f"for want of a passing result of {baseline}: {some(ranking.unranked)}"
        for ranking in rankings
        if ranking.unranked
    ]
    if not rankings:
        notes.append("no results to rank")
    elif not any(ranking.standings for ranking in rankings):
        notes.append(f"nothing is ranked against {baseline}; try --baseline reference")
    for i, note in enumerate(notes):
        if i == 0:
            print_text()
        print_text(note, style="yellow", wrap=True)


def check_baseline(trace_set: TraceSet, author: str) -> None:
    """NotFoundError for a baseline that was asked for and has no solution in the dataset."""
    from flashinfer_bench.data.comparison import REFERENCE
    from flashinfer_bench.data.finding import not_found

    authors = {item.author for group in trace_set.solutions.values() for item in group}
    if author not in (DEFAULT_BASELINE, REFERENCE, *authors):
        raise not_found("author", author, [*authors, REFERENCE])


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number
