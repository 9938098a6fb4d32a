"""Merging datasets: the union of their files in a new folder, every record once, byte for byte."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data.definition import Definition
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.files import read_lines
from flashinfer_bench.data.index import files_under, parse_lines
from flashinfer_bench.data.model import Model
from flashinfer_bench.data.reading import parse_folder
from flashinfer_bench.data.solution import Solution
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.data.workload import SafetensorsInput
from flashinfer_bench.errors import DataError, NotFoundError, UsageError

RECORDS: dict[str, tuple[type[BaseModel], str]] = {
    "definitions": (Definition, "name"),
    "solutions": (Solution, "name"),
    "models": (Model, "id"),
}
"""Folder of one-record files -> their class, and the field that is unique."""


@dataclass
class MergeReport:
    """What a merge wrote."""

    output: Path
    written: Counter[str] = field(default_factory=Counter)
    """Folder -> records in it; `blob` counts files."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Folder -> records that an earlier dataset (or line) had already."""
    problems: list[Problem] = field(default_factory=list)
    """What did not load and was left out."""


def merge(roots: Sequence[Path], output: Path) -> MergeReport:
    """Merge datasets into the new folder `output`, which appears only when all is in it.

    Files keep their places and bytes, lines of JSON Lines files theirs. Definitions, solutions and
    models of one name must be equal; workloads of one definition and uuid too, but for their
    weight; blobs of one path too. Other files (reports, tests) are not copied.

    Raises NotFoundError for a missing dataset, UsageError where `output` is in use, DataError
    (naming both files) on a conflict.
    """
    for root in roots:
        if not root.is_dir():
            raise NotFoundError(f"{root}: no such dataset folder; give folders of datasets")
    _check_free(output, roots)
    report = MergeReport(output)
    with _new_folder(output) as folder, paused_gc():
        merger = _Merger(folder, report)
        for root in roots:
            merger.add(root)
    return report


class _Merger:
    """The folder in the making, and what is in it so far."""

    def __init__(self, folder: Path, report: MergeReport) -> None:
        self.folder = folder
        self.report = report
        self.records: dict[tuple[str, str], tuple[Path, str]] = {}
        """(folder, name) -> the file it came from, its content."""
        self.workloads: dict[tuple[str, str], tuple[str, str]] = {}
        """(definition, uuid) -> the line it came from, its content."""
        self.traces: set[bytes] = set()
        """Digests of lines."""
        self.sources: dict[Path, Path] = {}
        """File below `folder` -> the file it was copied from."""

    def add(self, root: Path) -> None:
        """Add all of one dataset."""
        for name in RECORDS:
            self._add_records(root, name)
        referenced = self._add_lines(root, "workloads")
        self._add_lines(root, "traces")
        for path in dict.fromkeys([*files_under(root / "blob", ""), *referenced]):
            self._copy(root, path, "blob")

    def _add_records(self, root: Path, kind: str) -> None:
        cls, key = RECORDS[kind]
        for path, record in parse_folder(cls, root / kind):
            if isinstance(record, Problem):
                self.report.problems.append(record)
                continue
            name, content = getattr(record, key), record.model_dump_json()
            first, known = self.records.setdefault((kind, name), (path, content))
            if known != content:
                raise DataError(
                    f"{path}: {kind[:-1]} {name!r} differs from that in {first}; "
                    "rename one or make them equal"
                )
            if first is path:
                self._copy(root, path, kind)
            else:
                self.report.repeated[kind] += 1

    def _add_lines(self, root: Path, kind: str) -> list[Path]:
        """Add the lines of `workloads/` or `traces/`; returns the blobs that they name."""
        blobs: list[Path] = []
        for path in files_under(root / kind, ".jsonl"):
            kept = []
            lines = parse_lines(path, kind == "traces")
            for (number, line), (_, item) in zip(read_lines(path), lines):
                if isinstance(item, Problem):
                    self.report.problems.append(item)
                elif self._is_new(item, f"{path}:{number}", line, kind):
                    kept.append(line + b"\n")
                    blobs += _blobs_of(item, root)
                else:
                    self.report.repeated[kind] += 1
            self.report.written[kind] += len(kept)
            if kept:
                target = self._make_room(root, path)
                with target.open("ab") as file:
                    file.writelines(kept)
        return blobs

    def _is_new(self, trace: Trace, place: str, line: bytes, kind: str) -> bool:
        if kind == "traces":
            digest = hashlib.blake2b(line, digest_size=16).digest()
            known = digest in self.traces
            self.traces.add(digest)
            return not known
        workload = trace.workload
        key, content = (trace.definition, workload.uuid), repr(_identity(trace))
        first, other = self.workloads.setdefault(key, (place, content))
        if other != content:
            raise DataError(
                f"{place}: workload {workload.uuid} of {trace.definition!r} differs from that in "
                f"{first}; give one a new uuid or make them equal"
            )
        return first is place

    def _copy(self, root: Path, path: Path, kind: str) -> None:
        target = self._make_room(root, path)
        source = self.sources.setdefault(target, path)
        if source is path:
            shutil.copyfile(path, target)
            self.report.written[kind] += 1
        elif filecmp.cmp(source, path, shallow=False):
            self.report.repeated[kind] += 1
        else:
            raise DataError(f"{path}: differs from {source}; rename one or make them equal")

    def _make_room(self, root: Path, path: Path) -> Path:
        target = self.folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _identity(trace: Trace) -> tuple[Any, ...]:
    """What makes a workload this one: everything but its weight and how paths are written."""
    inputs = {
        name: {**spec.model_dump(), "path": str(PurePosixPath(spec.path))}
        if isinstance(spec, SafetensorsInput)
        else spec.model_dump()
        for name, spec in sorted(trace.workload.inputs.items())
    }
    return sorted(trace.workload.axes.items()), inputs, trace.workload.seed


def _blobs_of(trace: Trace, root: Path) -> list[Path]:
    """The files that a workload's inputs name, as far as they are there."""
    specs = trace.workload.inputs.values()
    named = [spec.path for spec in specs if isinstance(spec, SafetensorsInput)]
    inside = [root / path for path in map(PurePosixPath, named) if ".." not in path.parts]
    return [path for path in inside if path.is_relative_to(root) and path.is_file()]


def _check_free(output: Path, roots: Sequence[Path]) -> None:
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise UsageError(f"{output}: exists and is not empty; name a new folder")
    inside = [root for root in roots if output.resolve().is_relative_to(root.resolve())]
    if inside:
        raise UsageError(f"{output}: lies inside {inside[0]}; name a folder outside of it")


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` in the end, or vanishes."""
    beside = next(folder for folder in path.absolute().parents if folder.is_dir())
    temporary = beside / f".{path.name}.{os.urandom(8).hex()}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rmdir()
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


__all__ = ["MergeReport", "merge"]
