"""Validation of a dataset: one module for each kind of file, findings in one report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from flashinfer_bench.data import layout
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.model import Model
from flashinfer_bench.data.reading import parse_folder
from flashinfer_bench.data.validation.collector import At, Collector
from flashinfer_bench.data.validation.definitions import check_definitions
from flashinfer_bench.data.validation.report import (
    CHECKS,
    CheckName,
    DatasetReport,
    DefinitionReport,
    Finding,
    Level,
    ValidationConfig,
)
from flashinfer_bench.data.validation.solutions import check_solutions
from flashinfer_bench.data.validation.traces import check_traces
from flashinfer_bench.data.validation.workloads import check_workloads
from flashinfer_bench.errors import NotFoundError

FOLDERS = ("definitions", "solutions", "workloads", "traces", "models", "blob")


def validate_dataset(
    root: Path,
    *,
    checks: Sequence[CheckName] = CHECKS,
    op_types: Sequence[str] = (),
    definitions: Sequence[str] = (),
) -> DatasetReport:
    """Check the dataset in a folder, reading tensors by their headers and writing nothing.

    With `op_types` or `definitions` only findings about those definitions are kept (the union).
    Raises NotFoundError without the folder or a definition that was named.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: no such dataset folder; give the folder of a dataset")
    config = ValidationConfig(
        dataset=str(root),
        checks=[check for check in CHECKS if check in checks],
        op_types=list(op_types),
        definitions=list(definitions),
    )
    collector = Collector(root, DatasetReport(config=config))
    if not any((root / folder).is_dir() for folder in FOLDERS):
        message = f"holds none of {', '.join(f'{folder}/' for folder in FOLDERS)}"
        collector.error("layout", None, message, At(root))
    check_definitions(collector)
    _need_chosen(collector, definitions)
    check_solutions(collector)
    check_workloads(collector)
    check_traces(collector)
    _check_models(collector)
    return collector.report


def _need_chosen(collector: Collector, definitions: Collection[str]) -> None:
    missing = [name for name in definitions if name not in collector.report.definitions]
    if missing:
        raise NotFoundError(f"{collector.root} has no definition named {', '.join(missing)}")


def _check_models(collector: Collector) -> None:
    for path, record in parse_folder(Model, collector.root / "models"):
        if isinstance(record, Problem):
            collector.problem("definition", None, record)
            continue
        collector.check_place(None, path, partial(layout.model_file, record))
        missing = [name for name in record.definitions() if name not in collector.definitions]
        if missing:
            message = f"model {record.id!r} names definitions not in this dataset: "
            collector.note("definition", None, message + ", ".join(missing), At(path))


__all__ = [
    "CHECKS",
    "CheckName",
    "DatasetReport",
    "DefinitionReport",
    "Finding",
    "Level",
    "ValidationConfig",
    "validate_dataset",
]
