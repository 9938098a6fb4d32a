"""Command lines of the runner: its own flags and a skill's, in one parser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from flashinfer_bench.errors import UsageError
from flashinfer_bench.runner.engines import TAKES, EngineOptions
from flashinfer_bench.skills.contract import Params, Skill
from flashinfer_bench.skills.flags import add_flags, with_dashes

_RUNNER = "runner"


def skill_parser(skill: Skill, prog: str) -> argparse.ArgumentParser:
    """All flags of `run SKILL`."""
    first_line = (skill.params.__doc__ or "").strip().partition("\n")[0]
    parser = argparse.ArgumentParser(prog=prog, description=first_line, allow_abbrev=False)
    add_flags(parser, skill.params)
    add_runner_flags(parser)
    return parser


def add_runner_flags(parser: argparse.ArgumentParser) -> None:
    """Who does the work, what it may use, and how the result is printed."""
    group = parser.add_argument_group(_RUNNER, "who does the work, and how it is told")
    group.add_argument("--engine", choices=tuple(TAKES), default="pipeline", help="%(default)s")
    group.add_argument("--model", metavar="NAME", help="of the agent")
    group.add_argument("--max-turns", type=_positive_int, metavar="N", help="of the agent")
    group.add_argument("--max-budget-usd", type=_positive, metavar="USD", help="engine claude only")
    group.add_argument("--timeout", type=_positive, metavar="SECONDS", help="for an agent's run")
    group.add_argument(
        "--log", type=Path, metavar="FILE", help="gets what an agent tells, as JSONL"
    )
    group.add_argument("--format", choices=("human", "json"), default="human")


def runner_flags() -> set[str]:
    """Every flag of `add_runner_flags`."""
    parser = argparse.ArgumentParser(add_help=False)
    add_runner_flags(parser)
    return {flag for action in parser._actions for flag in action.option_strings}


def parse(skill: Skill, words: Sequence[str], prog: str) -> argparse.Namespace:
    """The flags typed; exits with 2 where they are off.

    Raises UsageError for a flag that the engine chosen does not heed.
    """
    options = skill_parser(skill, prog).parse_args(with_dashes(words))
    for name in sorted(frozenset.union(*TAKES.values()) - TAKES[options.engine]):
        if getattr(options, name) is not None:
            takers = " or ".join(engine for engine, taken in TAKES.items() if name in taken)
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} needs --engine {takers}, not {options.engine}")
    return options


def engine_options(options: argparse.Namespace, params: Params) -> EngineOptions:
    names = ("model", "max_turns", "max_budget_usd", "timeout")
    log: Path | None = options.log.absolute() if options.log else None
    stated = {name: getattr(options, name) for name in names}
    return EngineOptions(words=tuple(words_of(params)), log=log, **stated)


def words_of(params: Params) -> list[str]:
    """Flags that state these parameters, without those left alone."""
    found: list[str] = []
    for name, value in params.model_dump(mode="json", exclude_unset=True).items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(flag)
        elif isinstance(value, list):
            found += [flag, *map(str, value)]
        elif value is not None:
            found += [flag, str(value).lower() if value is False else str(value)]
    return found


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text}")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, not {text}")
    return value


__all__ = [
    "add_runner_flags",
    "engine_options",
    "parse",
    "runner_flags",
    "skill_parser",
    "words_of",
]
