"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashinfer_bench.errors import DataError, ExitCode, FlashInferBenchError, UsageError

if TYPE_CHECKING:
    from flashinfer_bench.data import TraceSet
    from flashinfer_bench.data.explain import Problem

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FOLDERS = ("definitions", "solutions", "workloads", "traces", "models")


class HelpFormatter(argparse.HelpFormatter):
    """Help with room for long flags."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def add_dataset(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """`--local PATH` (or `--dataset`); with `many` it may be repeated."""
    again = "; may be repeated" if many else ""
    parser.add_argument(
        "--local",
        "--dataset",
        metavar="PATH",
        action="append",
        default=[],
        help=f"folder of the dataset (default: FIB_DATASET_PATH){again}",
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """`--op-type` and `--definition`."""
    parser.add_argument("--op-type", metavar="OP_TYPE", help="only definitions of this op_type")
    parser.add_argument("--definition", metavar="NAME", help="only this definition")


def add_serving(parser: argparse.ArgumentParser) -> None:
    """`--gpu --tp --ep --attention-backend --moe-runner --page-size` and shared-expert fusion."""
    group = parser.add_argument_group("serving", "what is not stated is chosen, and said")
    group.add_argument("--gpu", type=str.lower, help="a100, h100, h200 or b200 (default: h200)")
    group.add_argument("--tp", type=int, metavar="RANKS", help="tensor-parallel size")
    group.add_argument("--ep", type=int, metavar="RANKS", help="expert-parallel size")
    group.add_argument("--attention-backend", metavar="NAME", help="as SGLang's flag")
    group.add_argument("--moe-runner", metavar="NAME", help="as SGLang's --moe-runner-backend")
    group.add_argument("--page-size", type=int, metavar="TOKENS", help="of the KV cache")
    group.add_argument(
        "--shared-expert-fusion",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="as SGLang decides where not stated",
    )


def serving_options(options: argparse.Namespace) -> dict[str, Any]:
    """Fields of a ServingProfile that the command line states."""
    names = ("gpu", "tp", "ep", "attention_backend", "moe_runner", "page_size")
    stated = {name: getattr(options, name) for name in (*names, "shared_expert_fusion")}
    return {name: value for name, value in stated.items() if value is not None}


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--format` and `--log-level`."""
    parser.add_argument(
        "--format", choices=("human", "json"), default="human", help="form of the result on stdout"
    )
    parser.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        type=str.upper,
        default="WARNING",
        help="what to tell on stderr (default: %(default)s)",
    )


def over_dataset(options: argparse.Namespace, print_result: Callable[[TraceSet], None]) -> int:
    """`over_datasets` for a command that takes one dataset."""
    if len(options.local) > 1:
        raise UsageError("--local was given more than once; this command takes one dataset")
    return over_datasets(options, lambda trace_sets: print_result(trace_sets[0]))


def over_datasets(
    options: argparse.Namespace, print_result: Callable[[list[TraceSet]], None]
) -> int:
    """Print a result over the datasets that the options name, then what of them does not load.

    Returns the exit code: INVALID when something was left out of the result.
    """
    with library_silent_on_problems():
        trace_sets = open_datasets(options.local)
        try:
            print_result(trace_sets)
        except FlashInferBenchError:
            tell_problems(_problems(trace_sets))
            raise
        return tell_problems(_problems(trace_sets))


def open_datasets(paths: Iterable[str]) -> list[TraceSet]:
    """The datasets in these folders, or the default one.

    Raises NotFoundError without the folder, DataError where it holds nothing of a dataset.
    """
    from flashinfer_bench.data import TraceSet

    trace_sets = [TraceSet.from_path(path) for path in paths] or [TraceSet.from_path()]
    for trace_set in trace_sets:
        check_is_dataset(trace_set.definitions_path.parent)
    return trace_sets


def check_is_dataset(root: Path) -> None:
    """DataError where a folder holds nothing of a dataset."""
    if root.is_dir() and not any((root / folder).is_dir() for folder in FOLDERS):
        folders = ", ".join(FOLDERS)
        raise DataError(f"{root}: holds no dataset (none of {folders}); give the folder with these")


def tell_problems(problems: Iterable[Problem]) -> ExitCode:
    """One line on stderr for each problem, once; INVALID when something was lost by any."""
    code = ExitCode.OK
    sys.stdout.flush()
    for problem in dict.fromkeys(problems):
        print(problem, file=sys.stderr)
        code = code if problem.harmless else ExitCode.INVALID
    return code


@contextmanager
def library_silent_on_problems() -> Iterator[None]:
    """Keep the library from logging the problems that the command prints itself."""
    log = logging.getLogger("flashinfer_bench")
    log.addFilter(_is_no_problem)
    try:
        yield
    finally:
        log.removeFilter(_is_no_problem)


def _problems(trace_sets: Iterable[TraceSet]) -> Iterator[Problem]:
    return (problem for trace_set in trace_sets for problem in trace_set.problems)


def _is_no_problem(record: logging.LogRecord) -> bool:
    from flashinfer_bench.data.explain import Problem

    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(argument, Problem) for argument in arguments)
