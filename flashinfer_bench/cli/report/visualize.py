"""`flashinfer-bench report visualize`: fast_p curves, for the terminal or as a drawing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli import standings
from flashinfer_bench.cli.options import add_dataset, add_filters, add_output, over_dataset
from flashinfer_bench.cli.output import (
    GAP,
    console,
    on_terminal,
    percent,
    print_json,
    print_table,
    print_text,
)
from flashinfer_bench.cli.report import chart
from flashinfer_bench.cli.report.curves import BAR_WIDTH, Panel, axis, bar, spark
from flashinfer_bench.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.summarizing import Ranking

DRAWINGS = {".svg": chart.svg, ".html": chart.html}
_WIDEST, _NARROWEST = 60, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's flags."""
    add_dataset(parser)
    add_filters(parser)
    standings.add_ranking(parser)
    parser.add_argument(
        "--by",
        choices=("author", "solution"),
        default="author",
        help="whose curves to draw (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="draw FILE.svg or FILE.html instead"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the curves, or draw them into the file."""
    from flashinfer_bench.data.files import write_atomic
    from flashinfer_bench.data.finding import select
    from flashinfer_bench.data.summarizing import rank_all

    if options.output and options.output.suffix not in DRAWINGS:
        raise UsageError(f"--output {options.output}: end it in one of {', '.join(DRAWINGS)}")

    def visualize(trace_set: TraceSet) -> None:
        standings.check_baseline(trace_set, options.baseline)
        names = select(trace_set, options.op_type, options.definition)
        rankings = rank_all(trace_set, names, options.baseline, options.by)
        ranked = [ranking for ranking in rankings if ranking.standings]
        panels = [Panel.of(item.hardware, item.standings, options.p) for item in ranked]
        if options.output and not panels:
            raise NotFoundError(f"nothing is ranked against {options.baseline}: no curve to draw")
        if options.output:
            draw = DRAWINGS[options.output.suffix]
            write_atomic(options.output, draw(panels, options.baseline).encode())
        if options.format == "json":
            print_json([_facts(ranking, options.p) for ranking in rankings])
        elif options.output:
            print_text(str(options.output))
        else:
            for i, panel in enumerate(panels):
                if i:
                    print_text()
                _print_panel(panel, options)
            standings.print_left_out(rankings, options.baseline)

    return over_dataset(options, visualize)


def _print_panel(panel: Panel, options: argparse.Namespace) -> None:
    pinned = f"fast_p({panel.pinned:g})"
    longest = max(len(curve.name) for curve in panel.curves)
    taken = longest + len(pinned) + BAR_WIDTH + 3 * GAP
    room = console().width - taken if on_terminal() else _WIDEST
    width = max(_NARROWEST, min(_WIDEST, room))
    rows = [
        (
            curve.name,
            percent(curve.fast_p(panel.pinned)),
            bar(curve.fast_p(panel.pinned)),
            spark(curve, panel.points(width)),
        )
        for curve in panel.curves
    ]
    title = (
        f"{panel.hardware}: share of {panel.workloads} workloads "
        f"at least p times as fast as {options.baseline}"
    )
    print_table((options.by, pinned, "", axis(panel, width)), rows, title, optional=("",))


def _facts(ranking: Ranking, p: float) -> dict[str, Any]:
    """A ranking's curves as JSON."""
    return {
        "hardware": ranking.hardware,
        "curves": [
            {
                "name": standing.name,
                "fast_p": standing.fast_p(p),
                "curve": standing.fast_p_curve(),
            }
            for standing in ranking.standings
        ],
        "unranked": ranking.unranked,
    }
