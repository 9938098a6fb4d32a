"""The command `claude-code`, which `flashinfer-bench skills` is too."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import ExitCode, FlashInferBenchError
from flashinfer_bench.runner import COMMANDS

PROG = "claude-code"


def main(argv: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Run one command; returns its exit code (see `errors.ExitCode`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0] if words else "--help"
    if first in ("-h", "--help"):
        print(f"usage: {prog} COMMAND ...\n\nThe FlashInfer-Bench skill runner.\n")
        print("\n".join(f"  {name:9}{what}" for name, what in COMMANDS.items()))
        return ExitCode.OK
    if first == "--version":
        print(f"{prog} (FlashInfer-Bench skill runner) {__version__}")
        return ExitCode.OK
    if first not in COMMANDS:
        what = "this is the FlashInfer-Bench skill runner; the Claude Code CLI is `claude`"
        print(f"{prog}: {what} (here: {', '.join(COMMANDS)})", file=sys.stderr)
        return ExitCode.USAGE
    return _ACTIONS[first](words[1:], f"{prog} {first}")


def run_process() -> NoReturn:
    """The console script: one line on stderr for whatever ends it."""
    try:
        code = main()
        sys.stdout.flush()
    except FlashInferBenchError as error:
        code = _fail(" ".join(str(error).split()), error.exit_code)
    except KeyboardInterrupt:
        code = _fail("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except OSError as error:
        what = f"{error.filename or 'input or output'}: {error.strerror}"
        code = _fail(what, ExitCode.UNEXPECTED)
    sys.exit(code)


def _fail(message: str, code: ExitCode) -> ExitCode:
    print(f"{PROG}: {message}", file=sys.stderr)
    return code


def _run(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.running import run

    if not words or words[0].startswith("-"):
        print(f"usage: {prog} SKILL [flags]; `{prog} SKILL --help` lists the flags")
        return ExitCode.OK if words and words[0] in ("-h", "--help") else ExitCode.USAGE
    return run(words[0], words[1:], prog)


def _list(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.bundle import find_bundle
    from flashinfer_bench.skills.registry import MODULES

    parser = _parser(prog, "list")
    _add_format(parser)
    options = parser.parse_args(words)
    bundle = find_bundle()
    texts = [bundle.skill(name) for name in bundle.names]
    if options.format == "json":
        found = [
            {
                **{"name": it.name, "description": it.description, "path": str(it.path)},
                "runs": it.name in MODULES,
            }
            for it in texts
        ]
        print(json.dumps(found, indent=2))
    else:
        for it in texts:
            print(f"{it.name}\n    {it.description}")
    return ExitCode.OK


def _show(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.showing import show

    parser = _parser(prog, "show")
    parser.add_argument("skill")
    parser.add_argument("--rendered", action="store_true", help="what the engines would send")
    _add_format(parser)
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    return show(options.skill, words[end + 1 :], rendered=options.rendered, form=options.format)


def _check(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.bundle import bundle_at, find_bundle
    from flashinfer_bench.runner.lint import fix_tables, problems_of

    parser = _parser(prog, "check")
    parser.add_argument("folder", nargs="?", type=Path, help="of skills (default: the bundle's)")
    parser.add_argument("--fix", action="store_true", help="first make the parameter tables anew")
    _add_format(parser)
    options = parser.parse_args(words)
    bundle = bundle_at(options.folder) if options.folder else find_bundle()
    if options.fix:
        fix_tables(bundle)
    found = problems_of(bundle)
    if options.format == "json":
        print(json.dumps(found, indent=2))
    elif found:
        print("\n".join(found))
    what = f"{len(found)} problems" if found else "no problem"
    print(f"{what} in {len(bundle.names)} skills of {bundle.root}", file=sys.stderr)
    return ExitCode.INVALID if found else ExitCode.OK


def _install(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.bundle import find_bundle
    from flashinfer_bench.runner.install import install

    parser = _parser(prog, "install")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="(default: here)")
    places = parser.add_mutually_exclusive_group()
    places.add_argument("--claude", action="store_true", help="into .claude/skills, the default")
    places.add_argument("--agents", action="store_true", help="into .agents/skills")
    parser.add_argument("--copy", action="store_true", help="copies in place of links")
    _add_format(parser)
    options = parser.parse_args(words)
    place = options.folder / (".agents" if options.agents else ".claude") / "skills"
    found = install(find_bundle(), place, copy=options.copy)
    if options.format == "json":
        print(json.dumps({str(path): state for path, state in found.items()}, indent=2))
    else:
        print("\n".join(f"{state:>9}  {path}" for path, state in found.items()))
    return ExitCode.OK


def _doctor(words: list[str], prog: str) -> int:
    from flashinfer_bench.runner.doctor import facts

    parser = _parser(prog, "doctor")
    _add_format(parser)
    options = parser.parse_args(words)
    found = list(facts())
    if options.format == "json":
        print(json.dumps([vars(it) for it in found], indent=2))
    else:
        width = max(len(it.name) for it in found)
        print("\n".join(f"{it.status:8}{it.name:{width}}  {it.found}" for it in found))
    broken = any(it.status == "broken" for it in found)
    return ExitCode.MISSING_REQUIREMENT if broken else ExitCode.OK


def _parser(prog: str, name: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=prog, description=COMMANDS[name], allow_abbrev=False)


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("human", "json"), default="human")


_ACTIONS: dict[str, Callable[[list[str], str], int]] = {
    **{"run": _run, "list": _list, "show": _show},
    **{"check": _check, "install": _install, "doctor": _doctor},
}

__all__ = ["main", "run_process"]
