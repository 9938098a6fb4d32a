"""The engine that has Claude Code do it: spawned, watched, and checked afterwards."""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from flashinfer_bench.errors import DataError, MissingRequirementError
from flashinfer_bench.runner.bundle import SkillText
from flashinfer_bench.runner.engines import (
    DEFAULT_TIMEOUT,
    EngineOptions,
    EngineStoppedError,
    HelperRun,
    decided,
    helper_run,
)
from flashinfer_bench.skills.contract import Envelope, Params, Skill
from flashinfer_bench.skills.execution import ENVELOPE_VARIABLE

PLUGIN = "flashinfer-bench"
BINARY_VARIABLE = "FIB_CLAUDE"
_ALLOWED = ("Bash(python -m flashinfer_bench.skills.*)", "Read")
_PATIENCE_S = 5.0
"""For a process to end by itself."""


def run(skill: Skill, params: Params, text: SkillText, options: EngineOptions) -> Envelope:
    """MissingRequirementError without Claude Code, EngineStoppedError where it stops early."""
    binary = find_binary()
    if binary is None:
        raise MissingRequirementError(
            "no `claude` on PATH; install Claude Code and log in, or use --engine pipeline"
        )
    with tempfile.TemporaryDirectory(prefix="flashinfer-bench-") as folder:
        handed_over = Path(folder) / "envelopes.jsonl"
        watch = _Watch(skill.name, options)
        with _spawned(command(text, options, binary), _environment(handed_over)) as process:
            for event in _events(process, options):
                watch.see(event)
            status = process.wait()
        watch.check(status)
        return decided(skill, params, "claude", _helper_runs(handed_over))


def find_binary() -> str | None:
    """Where Claude Code is."""
    return os.environ.get(BINARY_VARIABLE) or shutil.which("claude")


def command(text: SkillText, options: EngineOptions, binary: str = "claude") -> list[str]:
    """The words that start Claude Code for a skill."""
    prompt = f"/{PLUGIN}:{text.name} {shlex.join(options.words)}".rstrip()
    words = [binary, "-p", prompt, "--plugin-dir", str(text.path.parents[1])]
    words += ["--output-format", "stream-json", "--verbose"]
    words += ["--permission-mode", "acceptEdits", "--permission-prompts", "none"]
    words += ["--allowedTools", *_ALLOWED]
    for name in ("model", "max_turns", "max_budget_usd"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return words


@dataclass
class _Watch:
    """What the events have told so far."""

    skill: str
    options: EngineOptions
    listed: bool = False
    result: dict[str, Any] = field(default_factory=dict)

    def see(self, event: dict[str, Any]) -> None:
        """EngineStoppedError where Claude Code does not know the skill."""
        kind = (event.get("type"), event.get("subtype"))
        if kind == ("system", "init"):
            names = [*(event.get("skills") or ()), *(event.get("slash_commands") or ())]
            self.listed = bool({self.skill, f"{PLUGIN}:{self.skill}"}.intersection(map(str, names)))
            if not self.listed:
                raise EngineStoppedError(
                    f"Claude Code does not list the skill {self.skill}; "
                    "try `claude-code check`, and a newer Claude Code"
                )
        elif event.get("type") == "assistant":
            _tell(event)
        elif event.get("type") == "result":
            self.result = event

    def check(self, status: int) -> None:
        """EngineStoppedError unless Claude Code ended as it should."""
        denied = self.result.get("permission_denials") or []
        subtype = self.result.get("subtype")
        if not self.listed:
            why = f"Claude Code told no skills before it ended with status {status}"
        elif not self.result:
            why = f"Claude Code ended with status {status} and no result"
        elif denied:
            why = f"Claude Code was denied {'; '.join(map(_denial, denied[:3]))}"
        elif self.result.get("is_error") or subtype != "success" or status:
            told = " ".join(str(self.result.get("result") or "").split())[:200]
            why = f"Claude Code stopped: {subtype or f'status {status}'}{told and f': {told}'}"
        else:
            return
        log = f"read {self.options.log}" if self.options.log else "run again with --log FILE"
        raise EngineStoppedError(f"{why}; {log} to see why")


def _denial(denied: Any) -> str:
    if not isinstance(denied, dict):
        return str(denied)
    given = denied.get("tool_input")
    what = given.get("command") or given.get("file_path") if isinstance(given, dict) else None
    return f"{denied.get('tool_name')}({what or ''})"


def _tell(event: dict[str, Any]) -> None:
    content = (event.get("message") or {}).get("content")
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "text":
            print(block["text"], file=sys.stderr, flush=True)
        elif block.get("type") == "tool_use":
            given = block.get("input") or {}
            what = given.get("command") or given.get("file_path") or ""
            print(f"> {block.get('name')} {what}", file=sys.stderr, flush=True)


def _environment(handed_over: Path) -> dict[str, str]:
    kept = {name: it for name, it in os.environ.items() if name != "CLAUDECODE"}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath)))
    return {**kept, "PATH": path, ENVELOPE_VARIABLE: str(handed_over)}


@contextmanager
def _spawned(words: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, all of which is gone at the end."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)


def _events(process: subprocess.Popen[str], options: EngineOptions) -> Iterator[dict[str, Any]]:
    """Events as they come, each written to the log; EngineStoppedError after the timeout."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    seconds = options.timeout or DEFAULT_TIMEOUT
    end = time.monotonic() + seconds
    while True:
        try:
            line = lines.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            what = f"Claude Code took longer than {seconds:g} s; give it a longer --timeout"
            raise EngineStoppedError(what) from None
        if line is None:
            return
        if options.log:
            with options.log.open("a", encoding="utf-8") as log:
                log.write(line)
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _helper_runs(path: Path) -> list[HelperRun]:
    try:
        return [helper_run(json.loads(line)) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise DataError(
            f"{path.name}: what the helpers handed over was changed: {error}"
        ) from error


__all__ = ["command", "find_binary", "run"]
