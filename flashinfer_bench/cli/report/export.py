"""`flashinfer-bench report export`: the newest verdicts as a flat table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flashinfer_bench.cli import standings
from flashinfer_bench.cli.options import add_dataset, add_filters, add_output, over_dataset
from flashinfer_bench.cli.output import counted, print_json, print_text
from flashinfer_bench.errors import UsageError

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's flags."""
    add_dataset(parser)
    add_filters(parser)
    parser.add_argument(
        "--baseline",
        metavar="AUTHOR",
        default=standings.DEFAULT_BASELINE,
        help="whom to compare with (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="FILE.csv, FILE.jsonl or FILE.json (default: CSV on stdout, JSON with --format json)",
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the rows to the file, or to stdout."""
    from flashinfer_bench.data.exporting import FORMS, export_rows
    from flashinfer_bench.data.files import write_atomic
    from flashinfer_bench.data.finding import select

    suffix = options.output.suffix if options.output else ".csv"
    if suffix not in FORMS:
        raise UsageError(f"--output {options.output}: end it in one of {', '.join(FORMS)}")

    def export(trace_set: TraceSet) -> None:
        standings.check_baseline(trace_set, options.baseline)
        names = select(trace_set, options.op_type, options.definition)
        rows = list(export_rows(trace_set, names, options.baseline))
        if options.output is None:
            sys.stdout.write(FORMS[".json" if options.format == "json" else suffix](rows))
            return
        write_atomic(options.output, FORMS[suffix](rows).encode())
        if options.format == "json":
            print_json({"output": str(options.output), "rows": len(rows)})
        else:
            print_text(f"{options.output}: {counted(len(rows), 'row')}")

    return over_dataset(options, export)
