"""Running a skill: work, check, and a record of it whatever happens."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data.files import append_lines, write_atomic
from flashinfer_bench.env import cache_path
from flashinfer_bench.errors import ExitCode, FlashInferBenchError, UsageError
from flashinfer_bench.skills.contract import Envelope, Params, Result, Skill
from flashinfer_bench.skills.flags import add_flags, params_of, with_dashes
from flashinfer_bench.skills.printing import print_envelope

ENVELOPE_VARIABLE = "FIB_ENVELOPE"
"""Names a file that gets the envelope of every helper, one JSON object a line."""


def execute(skill: Skill, params: Params, *, engine: str = "pipeline") -> Envelope:
    """Run and verify; never raises but for a keyboard interrupt."""
    return guarded(skill.name, engine, lambda: _executed(skill, params, engine))


def guarded(name: str, engine: str, work: Callable[[], Envelope]) -> Envelope:
    """What the work ends with; failures as envelopes with their exit codes."""
    try:
        with paused_gc():
            return work()
    except FlashInferBenchError as error:
        return Envelope(name, "failed", error.exit_code, engine, error=_one_line(error))
    except OSError as error:
        where = error.filename or "input or output"
        what = f"{where}: {error.strerror or error}; no file is half-written"
        return Envelope(name, "failed", ExitCode.UNEXPECTED, engine, error=what)
    except Exception as error:
        if os.environ.get("FIB_DEBUG"):
            traceback.print_exc()
        what = f"unexpected {type(error).__name__}: {_one_line(error)}"
        what += "; run again with FIB_DEBUG=1 and report it"
        return Envelope(name, "failed", ExitCode.UNEXPECTED, engine, error=what)


def checked_result(skill: Skill, params: Params, result: Result, engine: str) -> Envelope:
    """The envelope of a result, after the skill's own check of what was written."""
    problems = skill.verify(params, result)
    found = Envelope(
        *(skill.name, "partial" if result.warnings else "ok", ExitCode.OK, engine),
        *(result.outputs, result.warnings, result.notes, result.next),
        summary=result.summary,
        diff=result.diff,
    )
    if not problems:
        return found
    error = f"the check failed: {'; '.join(problems[:5])}"
    return replace(found, status="failed", exit_code=ExitCode.INVALID, error=error)


def _executed(skill: Skill, params: Params, engine: str) -> Envelope:
    return checked_result(skill, params, skill.run(params), engine)


def save_record(envelope: Envelope, argv: Sequence[str], started: float) -> Path | None:
    """What was run and how it ended, under the cache folder; None where that cannot be written."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started))
    path = cache_path() / "runs" / f"{stamp}-{envelope.skill}-{os.getpid()}.json"
    record = {
        **{"command": list(argv), "folder": str(Path.cwd()), "started": stamp},
        **{"seconds": round(time.time() - started, 3), **envelope.as_json()},
    }
    try:
        write_atomic(path, (json.dumps(record, indent=2) + "\n").encode())
    except OSError:
        return None
    return path


def helper_main(skill: Skill, argv: Sequence[str] | None = None) -> int:
    """`python -m flashinfer_bench.skills.…`: the envelope on stdout, the rest on stderr."""
    words = with_dashes(sys.argv[1:] if argv is None else argv)
    first_line = (skill.params.__doc__ or "").strip().partition("\n")[0]
    parser = argparse.ArgumentParser(
        prog=f"python -m {skill.run.__module__}", description=first_line
    )
    add_flags(parser, skill.params)
    parser.add_argument("--format", choices=("human", "json"), default="json")
    options = parser.parse_args(words)
    params, started = None, time.time()
    try:
        params = params_of(options, skill.params)
        envelope = execute(skill, params)
    except UsageError as error:
        envelope = Envelope(skill.name, "failed", error.exit_code, "pipeline", error=str(error))
    except KeyboardInterrupt:
        envelope = interrupted(skill.name, "pipeline")
    save_record(envelope, [*parser.prog.split(), *words], started)
    _hand_over(envelope, params)
    print_envelope(envelope, options.format)
    return int(envelope.exit_code)


def _hand_over(envelope: Envelope, params: Params | None) -> None:
    """To the runner that started the agent that started this, where there is one."""
    path = os.environ.get(ENVELOPE_VARIABLE)
    if path:
        stated = params.model_dump(mode="json") if params else {}
        found = {**envelope.as_json(), "summary": envelope.summary, "params": stated}
        append_lines(Path(path), [json.dumps(found).encode()])


def interrupted(name: str, engine: str) -> Envelope:
    error = "interrupted; what was written is whole, run the command again for the rest"
    return Envelope(name, "failed", ExitCode.INTERRUPTED, engine, error=error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


__all__ = [
    *(
        "ENVELOPE_VARIABLE",
        "checked_result",
        "execute",
        "guarded",
        "helper_main",
        "interrupted",
        "save_record",
    ),
]
