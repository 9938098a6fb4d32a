"""The command `flashinfer-bench`: each module here is one subcommand that parses and prints."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

from flashinfer_bench._version import __version__
from flashinfer_bench.cli.options import HelpFormatter
from flashinfer_bench.errors import ExitCode, FlashInferBenchError

COMMANDS = {
    "list": "names of definitions, solutions, workloads, traces or models",
    "show": "one definition, solution, workload or model in full",
    "validate": "check a dataset: layout, schemas, references, blobs, constraints",
    "validate-render": "print a report that `validate` saved",
    "report": "rankings and summaries of results",
    "definition": "the definition that a name stands for, made from the registry of operations",
    "model": "the module tree that SGLang would build of a model",
    "skills": "run, list, show and check the agent skills",
    "doctor": "what this machine can do, and what is missing",
}
"""Subcommand -> what it does; its module has the same name with underscores."""

_EPILOG = "exit codes: " + ", ".join(
    f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see `errors.ExitCode`)."""
    options = build_parser().parse_args(argv)
    logging.basicConfig(level=options.log_level, format="%(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except FlashInferBenchError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OSError as error:
        return _fail(
            f"{error.filename or 'input or output'}: {error.strerror}", ExitCode.UNEXPECTED
        )
    except Exception as error:
        if os.environ.get("FIB_DEBUG"):
            traceback.print_exc()
        what = f"unexpected {type(error).__name__}: {error}"
        return _fail(f"{what}; run again with FIB_DEBUG=1 and report it", ExitCode.UNEXPECTED)


def run_process() -> NoReturn:
    """The console script: runs the command line and ends the process.

    What is left is freed with the process, so that the interpreter need not walk it first, which
    takes longer the more objects there are.
    """
    code = main()
    gc.freeze()
    sys.exit(code)


def build_parser() -> argparse.ArgumentParser:
    """The whole command tree; imports no dataset code."""
    parser = argparse.ArgumentParser(
        prog="flashinfer-bench",
        description="Kernel definitions, real workloads, trusted measurements, and their datasets.",
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = import_module(f"flashinfer_bench.cli.{name.replace('-', '_')}")
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[:1].upper()}{summary[1:]}.",
            formatter_class=HelpFormatter,
        )
        module.add_arguments(command)
    return parser


def _fail(message: str, code: ExitCode) -> int:
    one_line = " ".join(message.split())
    print(f"flashinfer-bench: {one_line}", file=sys.stderr)
    return code


__all__ = ["main", "run_process"]
