"""`flashinfer-bench report best`: the best solution of every definition."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli import standings
from flashinfer_bench.cli.options import add_dataset, add_filters, add_output, over_datasets
from flashinfer_bench.cli.output import print_json, print_table, print_text
from flashinfer_bench.cli.standings import columns, numbers

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.summarizing import Best, Ranking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's flags."""
    add_dataset(parser, many=True)
    add_filters(parser)
    standings.add_ranking(parser)
    parser.add_argument("--hardware", metavar="NAME", help="only this hardware")
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the best solutions of each dataset."""

    def print_best(trace_sets: list[TraceSet]) -> None:
        found = [(trace_set, _find(trace_set, options)) for trace_set in trace_sets]
        if options.format == "json":
            print_json(
                [
                    {"dataset": str(trace_set.root), **_facts(item, options.p)}
                    for trace_set, groups in found
                    for _, best in groups
                    for item in best
                ]
            )
            return
        for i, (trace_set, groups) in enumerate(found):
            if i:
                print_text()
            print_text(str(trace_set.root), style="bold")
            for ranking, best in groups:
                if best:
                    print_text()
                    _print_best(ranking, best, options)
            standings.print_left_out([ranking for ranking, _ in groups], options.baseline)

    return over_datasets(options, print_best)


def _find(trace_set: TraceSet, options: argparse.Namespace) -> list[tuple[Ranking, list[Best]]]:
    from flashinfer_bench.data.finding import not_found, select
    from flashinfer_bench.data.summarizing import best_solutions

    standings.check_baseline(trace_set, options.baseline)
    names = select(trace_set, options.op_type, options.definition)
    groups = best_solutions(trace_set, names, options.baseline)
    known = [ranking.hardware for ranking, _ in groups]
    if options.hardware and options.hardware not in known:
        raise not_found("result on hardware", options.hardware, known)
    return [group for group in groups if options.hardware in (None, group[0].hardware)]


def _facts(item: Best, p: float) -> dict[str, Any]:
    return {
        "hardware": item.standing.hardware,
        "definition": item.definition,
        "solution": item.standing.name,
        "author": item.author,
        **standings.facts(item.standing, p),
    }


def _print_best(ranking: Ranking, best: list[Best], options: argparse.Namespace) -> None:
    rows = [
        (item.definition, item.standing.name, item.author, *numbers(item.standing, options.p))
        for item in best
    ]
    print_table(
        ("definition", "solution", "author", *columns(options.p)),
        rows,
        standings.against(ranking, options.baseline),
        optional=(*standings.LEFT_OUT_FIRST, "passed", "score", "author", "coverage"),
    )
