"""Checks of workload files: axes, inputs, stored tensors by their headers, constraints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from flashinfer_bench.data import layout
from flashinfer_bench.data.blobs import StoredTensor, read_header
from flashinfer_bench.data.constraints import ShapeOnly, UnsupportedExpression, check_constraint
from flashinfer_bench.data.definition import Definition, DType, TensorSpec
from flashinfer_bench.data.explain import Problem
from flashinfer_bench.data.index import files_under, parse_lines
from flashinfer_bench.data.validation.collector import At, Collector
from flashinfer_bench.data.workload import (
    SafetensorsInput,
    ScalarInput,
    Workload,
)
from flashinfer_bench.errors import DataError

_WHOLE = ("int", "uint")


def check_workloads(collector: Collector) -> None:
    """Every file under workloads/ and every blob; fills `collector.uuids`."""
    blobs = BlobChecker(collector)
    for path in files_under(collector.root / "workloads", ".jsonl"):
        names: set[str] = set()
        for line, item in parse_lines(path, of_solutions=False):
            if isinstance(item, Problem):
                collector.problem("workload", path.stem, item)
                continue
            names.add(item.definition)
            _check_line(collector, blobs, item.definition, item.workload, At(path, line))
        _check_place(collector, path, names)
    blobs.report_orphans()


def _check_place(collector: Collector, path: Path, names: set[str]) -> None:
    for name in sorted(names):
        definition = collector.definitions.get(name)
        if definition is None:
            message = f"definition {name!r} is not in this dataset; add it or remove its workloads"
            collector.error("workload", name, message, At(path))
            continue
        collector.check_place(name, path, partial(layout.workload_file, definition))


def _check_line(
    collector: Collector, blobs: BlobChecker, name: str, workload: Workload, at: At
) -> None:
    uuids = collector.uuids.setdefault(name, set())
    if workload.uuid in uuids:
        collector.error("workload", name, f"uuid {workload.uuid} is used twice; give a new one", at)
    uuids.add(workload.uuid)
    definition = collector.definitions.get(name)
    if definition is None:
        blobs.read_all(name, workload, at)
        return
    faults = [*_axis_faults(definition, workload), *_input_faults(definition, workload)]
    for fault in faults:
        collector.error("workload", name, fault, at)
    tensors = blobs.check(definition, workload, at)
    if not faults:
        _check_constraints(collector, definition, workload, tensors, at)


def _axis_faults(definition: Definition, workload: Workload) -> Iterator[str]:
    missing = [axis for axis in definition.var_axes if axis not in workload.axes]
    if missing:
        yield f"axes: {', '.join(missing)} missing; every variable axis needs a length"
    extra = [axis for axis in workload.axes if axis not in definition.var_axes]
    if extra:
        yield f"axes: {', '.join(extra)} not among the variable axes of {definition.name}"


def _input_faults(definition: Definition, workload: Workload) -> Iterator[str]:
    required = [name for name, spec in definition.inputs.items() if not spec.optional]
    missing = [name for name in required if name not in workload.inputs]
    if missing:
        yield f"inputs: {', '.join(missing)} missing"
    for name, given in workload.inputs.items():
        spec = definition.inputs.get(name)
        if spec is None:
            yield f"inputs: {name!r} is no input of {definition.name}"
        elif isinstance(given, ScalarInput):
            yield from _scalar_faults(name, spec, given)


def _scalar_faults(name: str, spec: TensorSpec, given: ScalarInput) -> Iterator[str]:
    if spec.shape:
        yield f"inputs: {name!r} is a tensor with axes {', '.join(spec.shape)}, not a scalar"
    elif spec.dtype.value.startswith(_WHOLE) and not isinstance(given.value, int):
        yield f"inputs: {name!r} is {given.value!r}, but its dtype is {spec.dtype}"


def _check_constraints(
    collector: Collector,
    definition: Definition,
    workload: Workload,
    stored: dict[str, StoredTensor],
    at: At,
) -> None:
    bindings = _bindings(definition, workload, stored)
    for constraint in definition.constraints:
        try:
            outcome = check_constraint(constraint, bindings)
        except UnsupportedExpression:
            continue  # reported once, with the definition
        if outcome.holds is False:
            collector.error("constraint", definition.name, outcome.detail, at)


def _bindings(
    definition: Definition, workload: Workload, stored: dict[str, StoredTensor]
) -> dict[str, Any]:
    lengths = {**workload.axes, **definition.const_axes}
    bindings: dict[str, Any] = dict(lengths)
    for name, spec in {**definition.inputs, **definition.outputs}.items():
        given = workload.inputs.get(name)
        if isinstance(given, ScalarInput):
            bindings[name] = given.value
        elif name in stored:
            bindings[name] = stored[name]
        elif spec.shape is not None:
            shape = tuple(lengths[axis] for axis in spec.shape)
            bindings[name] = ShapeOnly(name, shape, spec.dtype.value)
    return bindings


class BlobChecker:
    """Stored tensors of workloads; each file's header is read once."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._headers: dict[Path, dict[str, StoredTensor] | None] = {}

    def read_all(self, name: str, workload: Workload, at: At) -> None:
        """Report files that are missing or broken; all that can be said without a definition."""
        for given in workload.inputs.values():
            if isinstance(given, SafetensorsInput):
                self._tensor(name, given, at)

    def check(self, definition: Definition, workload: Workload, at: At) -> dict[str, StoredTensor]:
        """The workload's stored tensors, by input; those with a fault are reported and left out."""
        tensors = {}
        for name, given in workload.inputs.items():
            if isinstance(given, SafetensorsInput) and name in definition.inputs:
                tensor = self._tensor(definition.name, given, at)
                if tensor is None:
                    continue
                fault = _tensor_fault(definition, workload, definition.inputs[name], tensor)
                if fault:
                    message = f"{given.path}: tensor {given.tensor_key!r}: {fault}"
                    self._collector.error("blob", definition.name, message, at)
                else:
                    tensors[name] = tensor
        return tensors

    def report_orphans(self) -> None:
        """Blob files that no workload uses."""
        used = {path.resolve() for path in self._headers}
        for path in files_under(self._collector.root / "blob", ""):
            if path.resolve() not in used:
                message = "no workload uses this file; remove it"
                self._collector.warn("blob", path.parent.name, message, At(path))

    def _tensor(self, name: str, given: SafetensorsInput, at: At) -> StoredTensor | None:
        try:
            path = layout.blob_path(self._collector.root, given.path)
        except ValueError as error:
            self._collector.error("blob", name, str(error), at)
            return None
        if path not in self._headers:
            self._headers[path] = self._read(name, path, at)
        header = self._headers[path]
        if header is not None and given.tensor_key not in header:
            keys = ", ".join(header) or "none"
            message = f"{given.path} holds no tensor {given.tensor_key!r}; it holds: {keys}"
            self._collector.error("blob", name, message, at)
        return header.get(given.tensor_key) if header else None

    def _read(self, name: str, path: Path, at: At) -> dict[str, StoredTensor] | None:
        try:
            return read_header(path)
        except FileNotFoundError:
            message = f"missing; {self._collector.relative(at.path)}:{at.line} uses it"
        except (DataError, OSError) as error:
            message = str(error).removeprefix(f"{path}: ")
        self._collector.error("blob", name, message, At(path))
        return None


def _tensor_fault(
    definition: Definition, workload: Workload, spec: TensorSpec, tensor: StoredTensor
) -> str | None:
    lengths = {**workload.axes, **definition.const_axes}
    expected = [lengths.get(axis) for axis in spec.shape or ()]
    shape = list(tensor.shape)
    if spec.shape is None and tensor.shape in ((), (1,)):
        shape = []
    if len(shape) != len(expected) or any(b not in (None, a) for a, b in zip(shape, expected)):
        return (
            f"shape {list(tensor.shape)}, but {expected} ({', '.join(spec.shape or ())}) expected"
        )
    if spec.dtype not in (DType.UNKNOWN, tensor.dtype):
        return f"dtype {tensor.dtype}, but {spec.dtype} expected"
    return None


__all__ = ["check_workloads"]
