"""`flashinfer-bench report merge`: several datasets become one."""

from __future__ import annotations

import argparse
from pathlib import Path

from flashinfer_bench.cli.options import add_output, check_is_dataset, tell_problems
from flashinfer_bench.cli.output import print_json, print_table

FOLDERS = ("definitions", "solutions", "models", "workloads", "traces", "blob")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the report's flags."""
    parser.add_argument(
        "--output", required=True, type=Path, metavar="PATH", help="new folder to write"
    )
    parser.add_argument(
        "--local",
        "--dataset",
        required=True,
        action="append",
        metavar="PATH",
        help="folder of a dataset to merge; repeat it for each",
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Merge, and print how much was written."""
    from flashinfer_bench.data.merging import merge

    roots = [Path(path) for path in options.local]
    for root in roots:
        check_is_dataset(root)
    report = merge(roots, options.output)
    if options.format == "json":
        print_json(
            {
                "output": str(report.output),
                "written": {name: report.written[name] for name in FOLDERS},
                "repeated": {name: report.repeated[name] for name in FOLDERS},
                "left_out": [str(problem) for problem in report.problems],
            }
        )
    else:
        rows = [(name, report.written[name], report.repeated[name]) for name in FOLDERS]
        print_table(("folder", "written", "repeated"), rows, str(report.output))
    return tell_problems(report.problems)
