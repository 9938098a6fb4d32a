"""`flashinfer-bench show`: one record in full; each module here prints one kind."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flashinfer_bench.cli.options import add_dataset, add_output, over_dataset
from flashinfer_bench.cli.output import print_json
from flashinfer_bench.errors import UsageError

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.finding import Record

KINDS = ("definition", "solution", "workload", "model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a definition, a solution, a model's id, a workload's uuid or the start of it",
    )
    parser.add_argument("--kind", choices=KINDS, help="which, where several have that name")
    parser.add_argument("--source", action="store_true", help="print a solution's files in full")
    add_dataset(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show one record."""

    def show(trace_set: TraceSet) -> None:
        record = choose(trace_set, options.name, options.kind)
        if options.format == "json":
            print_json(record.model_dump(mode="json", exclude_unset=True))
        else:
            _print(trace_set, record, source=options.source)

    return over_dataset(options, show)


def choose(trace_set: TraceSet, name: str, kind: str | None) -> Record:
    """The one record that is meant."""
    from flashinfer_bench.data.finding import find, not_found

    found = {kind_of(record): record for record in find(trace_set, name)}
    if kind is not None and kind not in found:
        raise not_found(kind, name, ())
    if kind is None and len(found) > 1:
        raise UsageError(f"{name!r} is a {' and a '.join(found)}; say which with --kind")
    return found[kind] if kind else next(iter(found.values()))


def kind_of(record: Record) -> str:
    """One of KINDS."""
    from flashinfer_bench.data import Trace

    return "workload" if isinstance(record, Trace) else type(record).__name__.lower()


def _print(trace_set: TraceSet, record: Record, *, source: bool) -> None:
    from flashinfer_bench.cli.show.definition import print_definition
    from flashinfer_bench.cli.show.model import print_model
    from flashinfer_bench.cli.show.solution import print_solution
    from flashinfer_bench.cli.show.workload import print_workload
    from flashinfer_bench.data import Definition, Model, Solution

    if isinstance(record, Definition):
        print_definition(trace_set, record)
    elif isinstance(record, Solution):
        print_solution(trace_set, record, source=source)
    elif isinstance(record, Model):
        print_model(trace_set, record)
    else:
        print_workload(trace_set, record)
