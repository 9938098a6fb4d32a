"""`flashinfer-bench validate-render`: print a report that `validate` saved as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from flashinfer_bench.cli.output import print_text
from flashinfer_bench.cli.validate import render
from flashinfer_bench.errors import ExitCode, NotFoundError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    parser.add_argument("report", type=Path, help="report-….json")
    parser.add_argument("--output", type=Path, help="write the text to this file instead")
    parser.set_defaults(run=run, log_level="WARNING")


def run(options: argparse.Namespace) -> int:
    """Read the report, print or write its text."""
    from flashinfer_bench.data.files import write_atomic
    from flashinfer_bench.data.reading import read_file
    from flashinfer_bench.data.validation import DatasetReport

    if not options.report.is_file():
        raise NotFoundError(
            f"{options.report}: no such report; `validate --outputs json` saves one"
        )
    text = render(read_file(DatasetReport, options.report), verbose=True)
    if options.output:
        write_atomic(options.output, text.encode() + b"\n")
    else:
        print_text(text)
    return ExitCode.OK
