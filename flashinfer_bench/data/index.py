"""The trace files of a dataset, scanned once: what rankings need of each line, kept in the cache.

A scan validates every line in full, so a line is in the index exactly when it loads. The index of
a dataset is one file in the cache folder; a trace file is scanned again when its size, its inode
or one of its times has changed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pydantic_core
from pydantic import ValidationError

from flashinfer_bench import env
from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data.explain import Problem, explain
from flashinfer_bench.data.files import ends_torn, read_lines, write_atomic
from flashinfer_bench.data.trace import Trace

_FORMAT = 1
_LOG = logging.getLogger("flashinfer_bench")


class Row(NamedTuple):
    """One line of a trace or workload file, as rankings see it; a workload has no solution."""

    definition: str
    workload: str
    """The workload's uuid."""
    solution: str | None
    hardware: str | None
    status: str | None
    blame: str | None
    latency_ms: float | None
    reference_latency_ms: float | None
    timestamp: str | None

    @classmethod
    def of(cls, trace: Trace) -> Row:
        """The row of a trace in memory."""
        evaluation = trace.evaluation
        if evaluation is None:
            return cls(trace.definition, trace.workload.uuid, trace.solution, *[None] * 6)
        performance = evaluation.performance
        return cls(
            trace.definition,
            trace.workload.uuid,
            trace.solution,
            evaluation.environment.hardware,
            evaluation.status.value,
            evaluation.blame.value if evaluation.blame else None,
            performance.latency_ms if performance else None,
            performance.reference_latency_ms if performance else None,
            evaluation.timestamp,
        )


_INTERNED = [Row._fields.index(name) for name in Row._fields if not name.endswith("_ms")]


@dataclass
class FileScan:
    """What one scan of a file found."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class FolderIndex:
    """All trace files under one folder; a source of traces grouped by definition.

    `of_solutions` says whether the lines are results (`traces/`) or inputs alone (`workloads/`).
    """

    def __init__(self, folder: Path, *, of_solutions: bool) -> None:
        self.folder = folder
        self._of_solutions = of_solutions

    def group_names(self) -> list[str]:
        """Names of all definitions that have a line here."""
        return list(self.rows)

    def read_group(self, name: str) -> list[Trace]:
        """The traces of one definition, in the order of their files and lines."""
        with paused_gc():
            return [
                item
                for path in self._files[name]
                for _, item in parse_lines(path, self._of_solutions)
                if isinstance(item, Trace) and item.definition == name
            ]

    @cached_property
    def rows(self) -> dict[str, list[Row]]:
        """Rows by definition."""
        groups: dict[str, list[Row]] = {}
        for scan in self._scans.values():
            for row in scan.rows:
                groups.setdefault(row.definition, []).append(row)
        return groups

    @property
    def problems(self) -> list[Problem]:
        """What does not load, in the order of files and lines."""
        return [problem for scan in self._scans.values() for problem in scan.problems]

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for path, scan in self._scans.items():
            for name in dict.fromkeys(row.definition for row in scan.rows):
                files.setdefault(name, []).append(path)
        return files

    @cached_property
    def _scans(self) -> dict[Path, FileScan]:
        stamps = {path: _stamp(path) for path in files_under(self.folder, ".jsonl")}
        with paused_gc():
            known = self._read_cache(stamps)
            scans = {
                path: known.get(path) or scan_file(path, self._of_solutions) for path in stamps
            }
            if len(known) < len(scans):
                self._write_cache(scans, stamps)
        for scan in scans.values():
            for problem in scan.problems:
                _LOG.warning("%s (line skipped)", problem)
        return scans

    @property
    def _cache_file(self) -> Path:
        key = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:32]
        return env.cache_path() / "trace_index" / f"{key}.json"

    def _read_cache(self, stamps: dict[Path, list[int]]) -> dict[Path, FileScan]:
        """Earlier scans of files that have not changed since."""
        try:
            cache = pydantic_core.from_json(self._cache_file.read_bytes())
            if cache["format"] != _FORMAT:
                return {}
            files = cache["files"]
            return {
                path: _restore(path, files[key])
                for path, stamp in stamps.items()
                if (key := self._key(path)) in files and files[key]["stamp"] == stamp
            }
        except (OSError, LookupError, TypeError, ValueError) as error:
            _LOG.debug("trace index not used: %s", error)
            return {}

    def _write_cache(self, scans: dict[Path, FileScan], stamps: dict[Path, list[int]]) -> None:
        files = {self._key(path): _pack(scan, stamps[path]) for path, scan in scans.items()}
        content = {"format": _FORMAT, "files": files}
        try:
            write_atomic(self._cache_file, pydantic_core.to_json(content, inf_nan_mode="constants"))
        except OSError as error:
            _LOG.debug("trace index not kept: %s", error)

    def _key(self, path: Path) -> str:
        return str(path)[len(str(self.folder)) + 1 :]


def parse_lines(path: Path, of_solutions: bool) -> Iterator[tuple[int, Trace | Problem]]:
    """Line number and trace of every line; a Problem for each line that is none.

    `of_solutions` says whether the lines are results (`traces/`) or inputs alone (`workloads/`).
    """
    try:
        yield from _parse_lines(path, of_solutions)
    except OSError as error:
        yield 0, Problem(path, None, f"cannot be read: {error.strerror}")


def _parse_lines(path: Path, of_solutions: bool) -> Iterator[tuple[int, Trace | Problem]]:
    number = 0
    failed: Problem | None = None
    for number, line in read_lines(path):
        if failed:
            yield failed.line or 0, failed
        failed = None
        try:
            trace = Trace.model_validate_json(line)
        except ValidationError as error:
            failed = explain(error, path, line, number)
            continue
        yield number, _misplaced(trace, path, number, of_solutions) or trace
    if failed and ends_torn(path):
        message = "cut short by an interrupted append; the next append removes it"
        yield number, Problem(path, number, message, harmless=True)
    elif failed:
        yield number, failed


def _misplaced(trace: Trace, path: Path, line: int, of_solutions: bool) -> Problem | None:
    if of_solutions and trace.solution is None:
        return Problem(path, line, "no solution: a workload alone belongs in workloads/")
    if not of_solutions and not trace.is_workload_trace():
        return Problem(path, line, "has a solution or an evaluation: results belong in traces/")
    return None


def scan_file(path: Path, of_solutions: bool) -> FileScan:
    """Rows and problems of one file."""
    scan = FileScan()
    for _, item in parse_lines(path, of_solutions):
        if isinstance(item, Problem):
            scan.problems.append(item)
        else:
            scan.rows.append(Row.of(item))
    return scan


def files_under(folder: Path, suffix: str) -> list[Path]:
    """Files of one suffix at any depth, sorted; hidden ones (temporary files) are left out."""
    found = [
        f"{parent}/{name}"
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith(suffix) and not name.startswith(".")
    ]
    return [Path(path) for path in sorted(found)]


def _stamp(path: Path) -> list[int]:
    """What changes when a file does; empty when there is nothing to read."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _pack(scan: FileScan, stamp: list[int]) -> dict[str, Any]:
    columns = [list(column) for column in zip(*scan.rows)]
    for i in _INTERNED if columns else ():
        codes = {value: code for code, value in enumerate(dict.fromkeys(columns[i]))}
        columns[i] = [list(codes), [codes[value] for value in columns[i]]]
    problems = [[problem.line, problem.message, problem.harmless] for problem in scan.problems]
    return {"stamp": stamp, "columns": columns, "problems": problems}


def _restore(path: Path, packed: dict[str, Any]) -> FileScan:
    columns: list[Any] = packed["columns"]
    for i in _INTERNED if columns else ():
        values, codes = columns[i]
        columns[i] = [values[code] for code in codes]
    rows = list(map(Row._make, zip(*columns)))
    return FileScan(rows, [Problem(path, *problem) for problem in packed["problems"]])


__all__ = ["FolderIndex", "Row", "files_under", "parse_lines"]
