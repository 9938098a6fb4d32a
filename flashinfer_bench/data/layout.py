"""Where everything lies in a dataset folder.

Names become parts of paths; one that would leave its folder is a DataError (a ValueError).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.model import Model
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.errors import DataError


def definition_file(definition: Definition) -> PurePosixPath:
    """definitions/{op_type}/{name}.json"""
    return _path("definitions", definition.op_type, f"{definition.name}.json")


def definition_names(root: Path) -> set[str]:
    """Of the definitions in a dataset, by their files alone."""
    return {it.stem for it in root.glob("definitions/*/*.json")}


def solution_file(solution: Solution, op_type: str) -> PurePosixPath:
    """solutions/{author}/{op_type}/{definition}/{name}.json"""
    names = (solution.author, op_type, solution.definition, f"{solution.name}.json")
    return _path("solutions", *names)


def workload_file(definition: Definition) -> PurePosixPath:
    """workloads/{op_type}/{definition}.jsonl"""
    return _path("workloads", definition.op_type, f"{definition.name}.jsonl")


def trace_file(definition: Definition, author: str) -> PurePosixPath:
    """traces/{author}/{op_type}/{definition}.jsonl"""
    return _path("traces", author, definition.op_type, f"{definition.name}.jsonl")


def old_trace_file(definition: Definition) -> PurePosixPath:
    """traces/{op_type}/{definition}.jsonl, as datasets before 2026-04 have it"""
    return _path("traces", definition.op_type, f"{definition.name}.jsonl")


def blob_file(definition: Definition, uuid: str) -> PurePosixPath:
    """blob/workloads/{op_type}/{definition}/{definition}_{uuid}.safetensors"""
    file = f"{definition.name}_{uuid}.safetensors"
    return _path("blob", "workloads", definition.op_type, definition.name, file)


def model_file(model: Model) -> PurePosixPath:
    """models/{id}.json"""
    return _path("models", f"{model.id}.json")


def blob_path(root: Path, path: str) -> Path:
    """The file that a workload input's `path` names; ValueError when it leaves the dataset."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{path!r} leaves the dataset; give a path relative to its root")
    return root / relative


def _path(*parts: str) -> PurePosixPath:
    for part in parts:
        if part in (".", "..") or set(part) & set("/\\\0"):
            raise DataError(f"{part!r} cannot name a file; names hold no slash or backslash")
    return PurePosixPath(*parts)


__all__ = [
    "blob_file",
    "blob_path",
    "definition_file",
    "model_file",
    "old_trace_file",
    "solution_file",
    "trace_file",
    "workload_file",
]
