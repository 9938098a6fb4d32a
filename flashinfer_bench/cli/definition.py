"""`flashinfer-bench definition NAME`: the definition that a name stands for, from the registry."""

from __future__ import annotations

import argparse

from flashinfer_bench.cli.options import add_output
from flashinfer_bench.cli.output import print_json, print_table
from flashinfer_bench.errors import ExitCode, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags."""
    parser.add_argument(
        "name", nargs="?", help="e.g. rmsnorm_h4096; older spellings give the official name"
    )
    parser.add_argument("--list", action="store_true", help="list operations and their names")
    parser.add_argument("--op-type", metavar="OP_TYPE", help="with --list: only this op_type")
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the definition's JSON, or the list of operations."""
    if options.list:
        if options.name:
            raise UsageError("give a NAME or --list, not both")
        return _list(options)
    if not options.name:
        raise UsageError("no NAME given; `flashinfer-bench definition --list` shows the patterns")
    from flashinfer_bench.ops.emit import emit
    from flashinfer_bench.ops.registry import parse_name

    definition = emit(*parse_name(options.name))
    print(definition.model_dump_json(indent=2, exclude_unset=True))
    return ExitCode.OK


def _list(options: argparse.Namespace) -> int:
    from flashinfer_bench.ops.registry import operations

    rows = [
        {
            "op_type": operation.op_type,
            "name": operation.naming.official,
            "summary": operation.summary,
        }
        for operation in operations(options.op_type)
    ]
    if options.format == "json":
        print_json(rows)
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    return ExitCode.OK
