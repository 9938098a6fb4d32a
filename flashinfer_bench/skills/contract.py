"""What every skill is: parameters, a function that does the work, and one that checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from flashinfer_bench.errors import ExitCode

Status = Literal["ok", "partial", "failed"]


class Params(BaseModel):
    """Parameters of a skill: the source of its flags, its JSON schema and its table.

    A field `model_name` is the flag `--model-name`; its description is the help. Flags that people
    type as `--model_name` are taken too.
    """

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Output:
    """A file that a skill is responsible for."""

    path: str
    """As a user would name it from the current folder."""
    kind: str
    """What it holds, e.g. `model architecture`."""
    sha256: str
    """Of what it holds, or in a dry run would hold."""
    changed: bool
    """Whether this run wrote it, or in a dry run would have; False where it was so already."""


@dataclass
class Result:
    """What a skill did."""

    outputs: list[Output] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What may be other than a user expects, one line each; makes the status `partial`."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know, one line each: sources, choices and their reasons."""
    next: list[str] = field(default_factory=list)
    """Commands that usually follow."""
    summary: str = ""
    """For people, some lines."""
    diff: str = ""
    """Unified diff of files that are edited, such as models.ts; empty where nothing changes."""


@dataclass(frozen=True)
class Skill:
    """One skill of the bundle."""

    name: str
    """Of its folder under `skills/`."""
    params: type[Params]
    run: Callable[[Any], Result]
    """Does the work; raises FlashInferBenchError with one clear line."""
    verify: Callable[[Any, Result], list[str]]
    """Reads what was written; what is wrong, one line each."""


@dataclass(frozen=True)
class Envelope:
    """What a run ended with: the same for every skill and engine."""

    skill: str
    status: Status
    exit_code: ExitCode
    engine: str
    outputs: list[Output] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    error: str | None = None
    """One line: what happened, what was expected, what to do next."""
    summary: str = ""
    diff: str = ""

    def as_json(self) -> dict[str, Any]:
        """Without what only people read."""
        left_out = ("summary", "exit_code", "outputs")
        found = {key: it for key, it in vars(self).items() if key not in left_out}
        outputs = [vars(it) for it in self.outputs]
        return {**found, "exit_code": int(self.exit_code), "outputs": outputs}


def shown(path: Path) -> str:
    """A path as a user would name it from the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


__all__ = ["Envelope", "Output", "Params", "Result", "Skill", "Status", "shown"]
