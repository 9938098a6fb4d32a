"""`flashinfer-bench list`: what a dataset holds, one line each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flashinfer_bench.cli.options import add_dataset, add_filters, add_output, over_dataset
from flashinfer_bench.cli.output import pairs, print_json, print_table, print_text, times

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.listing import Listed

KINDS = ("definitions", "solutions", "workloads", "traces", "models")
LEFT_OUT_FIRST = {
    "definitions": ("axes", "op_type", "status"),
    "solutions": ("language", "definition"),
    "workloads": ("inputs", "weight", "definition"),
    "traces": ("timestamp", "hardware", "definition"),
    "models": ("name",),
}
"""Columns that a narrow terminal does not show."""
_FORMS: dict[str, Callable[[Any], str | None]] = {
    "axes": pairs,
    "inputs": lambda counts: ", ".join(f"{count} {kind}" for kind, count in counts.items()),
    "speedup": times,
    "timestamp": lambda text: text and text[:19],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    parser.add_argument(
        "kind",
        nargs="?",
        choices=KINDS,
        default="definitions",
        help="what to list (default: %(default)s)",
    )
    add_dataset(parser)
    add_filters(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List one kind of record."""

    def print_list(trace_set: TraceSet) -> None:
        rows = list_records(trace_set, options.kind, options.op_type, options.definition)
        if options.format == "json":
            print_json(rows)
        elif rows:
            table = [_human(row) for row in _with_short_uuids(rows)]
            print_table(
                list(table[0]),
                [list(row.values()) for row in table],
                optional=LEFT_OUT_FIRST[options.kind],
            )
        else:
            print_text(f"no {options.kind}")

    return over_dataset(options, print_list)


def list_records(
    trace_set: TraceSet, kind: str, op_type: str | None = None, definition: str | None = None
) -> list[Listed]:
    """Rows of one kind, of the chosen definitions."""
    from flashinfer_bench.data import listing
    from flashinfer_bench.data.finding import select

    names = select(trace_set, op_type, definition)
    if kind == "models":
        return listing.list_models(trace_set, names if op_type or definition else None)
    listers = {
        "definitions": listing.list_definitions,
        "solutions": listing.list_solutions,
        "workloads": listing.list_workloads,
        "traces": listing.list_traces,
    }
    return listers[kind](trace_set, names)


def _human(row: Listed) -> Listed:
    """A row as a person reads it."""
    return {key: _FORMS[key](value) if key in _FORMS else value for key, value in row.items()}


def _with_short_uuids(rows: list[Listed]) -> list[Listed]:
    from flashinfer_bench.data.listing import distinct_length

    key = next((key for key in ("uuid", "workload") if key in rows[0]), None)
    if key is None:
        return rows
    length = distinct_length(row[key] for row in rows)
    return [{**row, key: row[key][:length]} for row in rows]
