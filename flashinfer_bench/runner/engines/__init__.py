"""What runs a skill: our own pipeline, or an agent whose work is checked afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from flashinfer_bench.errors import DataError, ExitCode, FlashInferBenchError
from flashinfer_bench.runner.bundle import SkillText
from flashinfer_bench.skills.contract import Envelope, Output, Params, Result, Skill
from flashinfer_bench.skills.execution import checked_result, guarded
from flashinfer_bench.skills.writing import unwritten


@dataclass(frozen=True)
class EngineOptions:
    """What an agent may use and where it tells."""

    words: tuple[str, ...] = ()
    """The skill's flags."""
    model: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    timeout: float | None = None
    """Seconds for the whole run."""
    log: Path | None = None
    """Gets every event or reply, one JSON object a line."""


class Engine(Protocol):
    """A module here."""

    def run(
        self, skill: Skill, params: Params, text: SkillText, options: EngineOptions
    ) -> Envelope: ...


TAKES: dict[str, frozenset[str]] = {
    "pipeline": frozenset(),
    "claude": frozenset({"model", "max_turns", "max_budget_usd", "timeout", "log"}),
    "api": frozenset({"model", "max_turns", "timeout", "log"}),
}
"""Engine, which is the name of its module -> the options that it heeds."""
DEFAULT_TIMEOUT = 1800.0
"""Seconds that an agent gets where nothing else is said."""


class EngineStoppedError(FlashInferBenchError):
    """An agent ended before its work was done."""

    exit_code = ExitCode.ENGINE_STOPPED


@dataclass(frozen=True)
class HelperRun:
    """One call of a skill's helper by an agent."""

    envelope: Envelope
    params: Mapping[str, Any]
    """As the agent stated them."""


def load_engine(name: str) -> Engine:
    return cast(Engine, import_module(f"{__name__}.{name}"))


def decided(skill: Skill, params: Params, engine: str, runs: list[HelperRun]) -> Envelope:
    """What the last run of the skill's helper ended with, its outputs checked once more here.

    Raises EngineStoppedError where the agent never ran it. What the agent says plays no part.
    """
    own = [it for it in runs if it.envelope.skill == skill.name]
    if not own:
        raise EngineStoppedError(
            "the agent never ran the helper, so nothing was done; "
            "run again, or with --engine pipeline"
        )
    found = replace(own[-1].envelope, engine=engine)
    if found.exit_code != ExitCode.OK:
        return found
    return guarded(skill.name, engine, lambda: _verified(skill, params, own[-1], engine))


def _verified(skill: Skill, params: Params, run: HelperRun, engine: str) -> Envelope:
    found, warnings = run.envelope, list(run.envelope.warnings)
    stated = params.model_dump(mode="json")
    other = [name for name in stated if run.params.get(name, stated[name]) != stated[name]]
    for name in other:
        flag = f"--{name.replace('_', '-')}"
        warnings.append(f"the agent ran with {flag} {run.params[name]}, not {stated[name]}")
    if not found.outputs:
        raise DataError("the agent's run names no file; run again, or with --engine pipeline")
    changed = [] if getattr(params, "dry_run", False) else unwritten(found.outputs)
    if changed:
        raise DataError(f"what the agent's run wrote is not there now: {'; '.join(changed[:5])}")
    done = Result(
        *(found.outputs, warnings, found.notes, found.next), summary=found.summary, diff=found.diff
    )
    return checked_result(skill, params, done, engine)


def helper_run(found: Mapping[str, Any]) -> HelperRun:
    """From the JSON object that a helper hands over; DataError where it is not one."""
    try:
        envelope = Envelope(
            *(found["skill"], found["status"], ExitCode(found["exit_code"]), found["engine"]),
            [Output(**it) for it in found["outputs"]],
            *(list(found["warnings"]), list(found["notes"]), list(found["next"])),
            *(found["error"], found.get("summary", ""), found.get("diff", "")),
        )
        return HelperRun(envelope, dict(found.get("params") or {}))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not the envelope of a helper: {error!r}") from error


__all__ = [
    *("DEFAULT_TIMEOUT", "TAKES", "Engine", "EngineOptions", "EngineStoppedError", "HelperRun"),
    *("decided", "helper_run", "load_engine"),
]
