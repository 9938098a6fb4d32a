"""What a validation found, in the shape of the public tool's report."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Literal

from pydantic import Field

from flashinfer_bench.data.base import StoredModel

CheckName = Literal[
    "layout", "definition", "workload", "solution", "trace", "baseline", "blob", "constraint"
]
CHECKS: tuple[CheckName, ...] = (
    "layout",
    "definition",
    "workload",
    "solution",
    "trace",
    "baseline",
    "blob",
    "constraint",
)


class Level(str, Enum):
    """How bad a finding is; only errors make a dataset invalid."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def __str__(self) -> str:
        return self.value


class Finding(StoredModel):
    """One thing that a check found."""

    level: Level
    """How bad it is."""
    message: str
    """What is wrong, what was expected, what to do."""
    path: str | None = None
    """File, relative to the dataset."""
    line: int | None = None
    """Line in the file, from 1."""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return self.about(place) if place else f"{self.level}: {self.message}"

    def about(self, place: str) -> str:
        """The finding as one line that starts with its level and a place."""
        return f"{self.level}: {place}: {self.message}"


class Findings(StoredModel):
    """Findings by check."""

    layout: list[Finding] = []
    """Files in the wrong place or of the wrong name."""
    definition: list[Finding] = []
    """Schema, reference and axes of definitions."""
    workload: list[Finding] = []
    """Schema, axes and inputs of workloads."""
    solution: list[Finding] = []
    """Schema, entry points and sources of solutions."""
    trace: list[Finding] = []
    """Schema and cross-references of traces."""
    baseline: list[Finding] = []
    """Whether results can be ranked."""
    blob: list[Finding] = []
    """Stored tensors, by their headers."""
    constraint: list[Finding] = []
    """Constraints evaluated on workloads."""

    def all(self) -> Iterator[tuple[CheckName, Finding]]:
        """Every finding with its check."""
        for check in CHECKS:
            for finding in getattr(self, check):
                yield check, finding


class DefinitionReport(Findings):
    """What was found about one definition and all that belongs to it."""

    status: Literal["valid", "warning", "error"] = "valid"
    """The worst level found."""


class ValidationConfig(StoredModel):
    """What was validated."""

    dataset: str
    """Folder of the dataset."""
    checks: list[CheckName]
    """Checks that ran."""
    op_types: list[str] = []
    """Only these op_types; empty means all."""
    definitions: list[str] = []
    """Only these definitions; empty means all."""


class DatasetReport(StoredModel):
    """Everything a validation found."""

    config: ValidationConfig
    """What was validated."""
    definitions: dict[str, DefinitionReport] = {}
    """Findings by definition."""
    dataset: Findings = Field(default_factory=Findings)
    """Findings that belong to no definition of the dataset."""

    def all(self) -> Iterator[tuple[str | None, CheckName, Finding]]:
        """Every finding with its definition (None: of none) and check."""
        for check, finding in self.dataset.all():
            yield None, check, finding
        for name, report in self.definitions.items():
            for check, finding in report.all():
                yield name, check, finding

    def count(self, level: Level) -> int:
        """How many findings of a level there are."""
        return sum(finding.level is level for _, _, finding in self.all())


__all__ = [
    "CHECKS",
    "CheckName",
    "DatasetReport",
    "DefinitionReport",
    "Finding",
    "Findings",
    "Level",
    "ValidationConfig",
]
