"""`flashinfer-bench report`: each module here is one kind of report."""

from __future__ import annotations

import argparse
from importlib import import_module

from flashinfer_bench.cli.options import HelpFormatter

REPORTS = {
    "summary": "totals of each dataset, and a ranking per hardware",
    "best": "the best solution of every definition, per hardware",
    "merge": "put several datasets into one new folder",
    "visualize": "curves of fast_p, on the terminal, as SVG or HTML",
    "export": "the newest verdicts as CSV or JSON, one row each",
}
"""Subcommand -> what it does; its module has the same name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the reports and their flags."""
    reports = parser.add_subparsers(metavar="REPORT", required=True)
    for name, summary in REPORTS.items():
        report = reports.add_parser(
            name,
            help=summary,
            description=f"{summary[:1].upper()}{summary[1:]}.",
            formatter_class=HelpFormatter,
        )
        import_module(f"{__name__}.{name}").add_arguments(report)
