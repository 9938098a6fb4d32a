"""A workload for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flashinfer_bench.cli.output import (
    counted,
    pairs,
    print_facts,
    print_heading,
    print_table,
    print_text,
    times,
)
from flashinfer_bench.data import (
    Definition,
    InputSpec,
    SafetensorsInput,
    ScalarInput,
    Trace,
    TraceSet,
    Workload,
)
from flashinfer_bench.data.blobs import StoredTensor, read_header
from flashinfer_bench.data.comparison import newest_verdicts
from flashinfer_bench.data.layout import blob_path
from flashinfer_bench.data.listing import speedup

Blobs = dict[str, dict[str, StoredTensor] | None]
"""Path in the dataset -> its tensors, None where there is no such file or it is broken."""


def print_workload(trace_set: TraceSet, trace: Trace) -> None:
    """Its axes, where each input comes from, and the newest result of every solution on it."""
    workload, definition = trace.workload, trace_set.definitions.get(trace.definition)
    print_heading(workload.uuid, "workload")
    print_text()
    print_facts(
        {
            "definition": trace.definition + ("" if definition else " (missing)"),
            "axes": pairs(workload.axes),
            "seed": workload.seed,
            "weight": workload.weight,
        }
    )
    print_text()
    _print_inputs(workload, definition, _read_headers(trace_set.root, workload.inputs.values()))
    print_text()
    _print_results(trace_set, trace)


def _read_headers(root: Path | None, specs: Iterable[InputSpec]) -> Blobs:
    paths = [spec.path for spec in specs if isinstance(spec, SafetensorsInput)]
    blobs: Blobs = {}
    for path in dict.fromkeys(paths):
        try:
            blobs[path] = read_header(blob_path(root or Path(), path))
        except (OSError, ValueError):
            blobs[path] = None
    return blobs


def _print_inputs(workload: Workload, definition: Definition | None, blobs: Blobs) -> None:
    numbers = {path: i for i, path in enumerate(blobs, 1)}
    rows = []
    for name, spec in workload.inputs.items():
        shape, dtype = _declared(definition, workload, name)
        value: Any = None
        if isinstance(spec, ScalarInput):
            value = spec.value
        elif isinstance(spec, SafetensorsInput):
            tensor = (blobs[spec.path] or {}).get(spec.tensor_key)
            shape, dtype = (tensor.shape, tensor.dtype) if tensor else (None, None)
            value = f"{spec.tensor_key} in [{numbers[spec.path]}]{'' if tensor else ' (missing)'}"
        else:
            value = spec.generator
        bracketed = None if shape is None else f"[{', '.join(map(str, shape))}]"
        rows.append((name, spec.type, bracketed, dtype, value))
    print_table(("input", "kind", "shape", "dtype", "value"), rows)
    for path, number in numbers.items():
        print_text(f"[{number}] {path}{' (missing)' if blobs[path] is None else ''}", style="dim")


def _declared(definition: Definition | None, workload: Workload, name: str) -> tuple[Any, Any]:
    """Shape and dtype that the definition gives an input, as far as the axes are known."""
    spec = definition.inputs.get(name) if definition else None
    if definition is None or spec is None:
        return None, None
    lengths = {**workload.axes, **definition.const_axes}
    shape = None if spec.shape is None else [lengths.get(axis, axis) for axis in spec.shape]
    return shape, spec.dtype


def _print_results(trace_set: TraceSet, trace: Trace) -> None:
    verdicts = newest_verdicts(trace_set.rows("traces", trace.definition)).values()
    results = [row for row in verdicts if row.workload == trace.workload.uuid]
    results.sort(key=lambda row: (row.hardware or "", row.latency_ms or float("inf")))
    print_text(counted(len(results), "newest result"))
    if results:
        print_text()
        print_table(
            ("solution", "hardware", "status", "latency_ms", "speedup"),
            [
                (row.solution, row.hardware, row.status, row.latency_ms, times(speedup(row)))
                for row in results
            ],
        )
