"""`flashinfer-bench report summary`: totals and rankings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli import standings
from flashinfer_bench.cli.options import add_dataset, add_filters, add_output, over_datasets
from flashinfer_bench.cli.output import counted, print_json, print_table, print_text

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.summarizing import Ranking, Totals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's flags."""
    add_dataset(parser, many=True)
    add_filters(parser)
    standings.add_ranking(parser)
    parser.add_argument(
        "--by",
        choices=("author", "solution"),
        default="author",
        help="whom to rank (default: %(default)s)",
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Summarise each dataset."""

    def print_summaries(trace_sets: list[TraceSet]) -> None:
        if options.format == "json":
            print_json([_facts(trace_set, options) for trace_set in trace_sets])
            return
        for i, trace_set in enumerate(trace_sets):
            if i:
                print_text()
            _print_summary(trace_set, options)

    return over_datasets(options, print_summaries)


def _print_summary(trace_set: TraceSet, options: argparse.Namespace) -> None:
    totals, rankings = _summarise(trace_set, options)
    print_text(str(trace_set.root), style="bold")
    _print_totals(totals)
    ranked = [ranking for ranking in rankings if ranking.standings]
    for ranking in ranked:
        print_text()
        _print_ranking(ranking, options)
    if ranked:
        print_text()
        print_text(standings.SCORE, style="dim", wrap=True)
    standings.print_left_out(rankings, options.baseline)


def _summarise(trace_set: TraceSet, options: argparse.Namespace) -> tuple[Totals, list[Ranking]]:
    from flashinfer_bench.data.finding import select
    from flashinfer_bench.data.summarizing import rank_all, total

    standings.check_baseline(trace_set, options.baseline)
    names = select(trace_set, options.op_type, options.definition)
    return total(trace_set, names), rank_all(trace_set, names, options.baseline, options.by)


def _print_totals(totals: Totals) -> None:
    parts = (
        counted(totals.definitions, "definition"),
        counted(totals.solutions, "solution"),
        counted(totals.workloads, "workload"),
        counted(totals.traces, "trace"),
    )
    print_text(", ".join(parts))
    if totals.statuses:
        statuses = (f"{count} {status}" for status, count in totals.statuses.items())
        print_text(", ".join(statuses), wrap=True)


def _print_ranking(ranking: Ranking, options: argparse.Namespace) -> None:
    rows = [
        (i, standing.name, *standings.numbers(standing, options.p), standing.definitions)
        for i, standing in enumerate(ranking.standings, 1)
    ]
    print_table(
        ("rank", options.by, *standings.columns(options.p), "definitions"),
        rows,
        standings.against(ranking, options.baseline),
        optional=("definitions", *standings.LEFT_OUT_FIRST),
    )


def _facts(trace_set: TraceSet, options: argparse.Namespace) -> dict[str, Any]:
    totals, rankings = _summarise(trace_set, options)
    return {
        "dataset": str(trace_set.root),
        "baseline": options.baseline,
        "by": options.by,
        "p": options.p,
        "totals": totals,
        "rankings": [
            {
                "hardware": ranking.hardware,
                "standings": [
                    {
                        "rank": i,
                        "name": standing.name,
                        **standings.facts(standing, options.p),
                        "definitions": standing.definitions,
                    }
                    for i, standing in enumerate(ranking.standings, 1)
                ],
                "unranked": ranking.unranked,
            }
            for ranking in rankings
        ],
        "summary": trace_set.summary(options.baseline, options.op_type, options.definition),
    }
