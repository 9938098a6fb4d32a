"""`flashinfer-bench skills`: the skill runner, which `claude-code` is too."""

from __future__ import annotations

import argparse

from flashinfer_bench.runner import COMMANDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take all words as they are: the runner has its own parsers."""
    parser.epilog = "commands: " + "; ".join(f"{name}: {it}" for name, it in COMMANDS.items())
    parser.add_argument("words", metavar="COMMAND ...", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run, log_level="WARNING")


def run(options: argparse.Namespace) -> int:
    from flashinfer_bench.runner.main import main

    return main(options.words, "flashinfer-bench skills")


__all__ = ["add_arguments", "run"]
