"""Where checks put their findings, and what they know of the dataset so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.data.validation.report import (
    CheckName,
    DatasetReport,
    DefinitionReport,
    Finding,
    Level,
)
from flashinfer_bench.errors import DataError


@dataclass
class Collector:
    """One validation under way."""

    root: Path
    report: DatasetReport
    definitions: dict[str, Definition] = field(default_factory=dict)
    """Definitions that load, by name."""
    solutions: dict[str, Solution] = field(default_factory=dict)
    """Solutions that load, by name."""
    uuids: dict[str, set[str]] = field(default_factory=dict)
    """Definition -> uuids of its workloads."""
    traced: dict[str, set[str]] = field(default_factory=dict)
    """Definition -> authors that have traces of it."""

    def error(self, check: CheckName, name: str | None, message: str, at: At | None = None) -> None:
        """The dataset is invalid."""
        self._add(Level.ERROR, check, name, message, at)

    def warn(self, check: CheckName, name: str | None, message: str, at: At | None = None) -> None:
        """It works, but probably not as meant."""
        self._add(Level.WARNING, check, name, message, at)

    def note(self, check: CheckName, name: str | None, message: str, at: At | None = None) -> None:
        """Worth knowing."""
        self._add(Level.INFO, check, name, message, at)

    def problem(self, check: CheckName, name: str | None, problem: Problem) -> None:
        """A file or line that does not load."""
        level = Level.WARNING if problem.harmless else Level.ERROR
        self._add(level, check, name, problem.message, At(problem.path, problem.line))

    def check_place(
        self, name: str | None, path: Path, *places: Callable[[], PurePosixPath]
    ) -> None:
        """Report a file that lies at none of its places, the first being the preferred one."""
        try:
            expected = [str(place()) for place in places]
        except DataError as error:
            self.error("layout", name, str(error), At(path))
            return
        if self.relative(path) not in expected:
            message = f"lies in the wrong place or has the wrong name; move it to {expected[0]}"
            self.error("layout", name, message, At(path))

    def wants(self, name: str) -> bool:
        """Whether a definition is among the chosen ones."""
        config, definition = self.report.config, self.definitions.get(name)
        if not config.definitions and not config.op_types:
            return True
        return name in config.definitions or (
            definition is not None and definition.op_type in config.op_types
        )

    def relative(self, path: Path) -> str:
        """A file's path relative to the dataset."""
        return path.relative_to(self.root).as_posix()

    def _add(
        self, level: Level, check: CheckName, name: str | None, message: str, at: At | None
    ) -> None:
        config = self.report.config
        if check not in config.checks or not self._is_chosen(name):
            return
        finding = Finding(level=level, message=message)
        if at is not None:
            finding.path, finding.line = self.relative(at.path), at.line
        target = self.report.definitions.get(name or "", self.report.dataset)
        getattr(target, check).append(finding)
        if isinstance(target, DefinitionReport) and level is not Level.INFO:
            worse = target.status == "error" or level is Level.ERROR
            target.status = "error" if worse else "warning"

    def _is_chosen(self, name: str | None) -> bool:
        config = self.report.config
        everything = not config.definitions and not config.op_types
        return everything if name is None else self.wants(name)


@dataclass(frozen=True)
class At:
    """A place in a file."""

    path: Path
    line: int | None = None


__all__ = ["At", "Collector"]
