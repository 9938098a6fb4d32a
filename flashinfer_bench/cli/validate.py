"""`flashinfer-bench validate`: check a dataset; exit code 5 when it has errors."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flashinfer_bench import env
from flashinfer_bench.cli.options import add_dataset, add_output
from flashinfer_bench.cli.output import counted, print_json, print_text
from flashinfer_bench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flashinfer_bench.data.validation import CheckName, DatasetReport

OUTPUTS = ("stdout", "json", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    add_dataset(parser)
    parser.add_argument("--checks", metavar="A,B", help="only these checks (default: all)")
    parser.add_argument("--op-types", nargs="+", default=[], metavar="OP_TYPE")
    parser.add_argument("--definitions", nargs="+", default=[], metavar="NAME")
    parser.add_argument(
        "--disable-gpu", action="store_true", help="accepted; no check of this command needs a GPU"
    )
    parser.add_argument(
        "--outputs",
        default="stdout",
        metavar="A,B",
        help=f"where the report goes: {', '.join(OUTPUTS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--output-folder",
        type=Path,
        help="folder for json and text reports (default: DATASET/reports)",
    )
    parser.add_argument("--verbose", action="store_true", help="show findings of level info too")
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Validate, print or save the report."""
    from flashinfer_bench.data.validation import Level, validate_dataset

    if len(options.local) > 1:
        raise UsageError("--dataset was given more than once; validate one dataset at a time")
    root = Path(options.local[0]) if options.local else env.dataset_path()
    outputs = _words(options.outputs, OUTPUTS, "--outputs")
    report = validate_dataset(
        root,
        checks=_checks(options.checks),
        op_types=options.op_types,
        definitions=options.definitions,
    )
    if "stdout" in outputs and options.format == "json":
        print_json(report)
    elif "stdout" in outputs:
        print_text(render(report, verbose=options.verbose))
    _save(report, outputs, options.output_folder or root / "reports")
    return ExitCode.INVALID if report.count(Level.ERROR) else ExitCode.OK


def render(report: DatasetReport, *, verbose: bool = False) -> str:
    """The report as text: a line for each finding, a line of totals."""
    from flashinfer_bench.data.validation import Level

    lines = [
        f"{finding if finding.path or not name else finding.about(name)} [{check}]"
        for name, check, finding in report.all()
        if verbose or finding.level is not Level.INFO
    ]
    counts = [counted(report.count(level), level.value) for level in Level]
    hidden = report.count(Level.INFO) if not verbose else 0
    more = " (--verbose shows the infos)" if hidden else ""
    total = counted(len(report.definitions), "definition")
    return "\n".join([*lines, f"{report.config.dataset}: {total}, {', '.join(counts)}{more}"])


def _checks(text: str | None) -> list[CheckName]:
    from flashinfer_bench.data.validation import CHECKS

    names = _words(text, CHECKS, "--checks") if text else CHECKS
    return [check for check in CHECKS if check in names]


def _words(text: str, allowed: tuple[str, ...], flag: str) -> list[str]:
    words = [word for word in text.replace(" ", ",").split(",") if word]
    unknown = [word for word in words if word not in allowed]
    if unknown or not words:
        what = f"unknown {', '.join(unknown)}" if unknown else "empty"
        raise UsageError(f"{flag}: {what}; choose from {', '.join(allowed)}")
    return words


def _save(report: DatasetReport, outputs: list[str], folder: Path) -> None:
    from flashinfer_bench.data.files import write_atomic

    stem = f"report-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    if "json" in outputs:
        write_atomic(folder / f"{stem}.json", report.model_dump_json(indent=2).encode() + b"\n")
    if "text" in outputs:
        write_atomic(folder / f"{stem}.txt", render(report, verbose=True).encode() + b"\n")
