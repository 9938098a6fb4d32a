"""Stored workloads as a benchmark will meet them: inputs made, and the reference run on some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flashinfer_bench.data.checking import violations
from flashinfer_bench.data.files import read_lines
from flashinfer_bench.data.layout import blob_path
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.data.workload import Workload
from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import parse_name

MOST_BYTES, MOST_FLOPS = 300_000_000, 4_000_000_000
"""Of a call on which the reference is run."""


def stored_problems(dataset: Path, file: Path, most: int) -> list[str]:
    """Of a list of workloads: each one loads, and at most so many small ones are computed."""
    problems, found = list[str](), list[tuple[str, Workload]]()
    for number, line in read_lines(file):
        try:
            trace = Trace.model_validate_json(line)
            found.append((trace.definition, trace.workload))
        except ValueError as error:
            problems.append(f"{file}:{number}: {str(error).splitlines()[0]}")
    cheap = sorted(found, key=lambda it: _cost(*it))[:most]
    for name, workload in found:
        problems += _missing(dataset, name, workload)
    for name, workload in cheap if not problems else ():
        if _cost(name, workload) <= 1:
            problems += _run_problems(dataset, name, workload)
    return problems


def _missing(dataset: Path, name: str, workload: Workload) -> list[str]:
    paths = {it.path for it in workload.inputs.values() if it.type == "safetensors"}
    gone = [path for path in paths if not blob_path(dataset, path).is_file()]
    return [f"{name} {workload.uuid}: no blob {path}" for path in gone]


def _cost(name: str, workload: Workload) -> float:
    """1 for the largest call that is computed."""
    operation, constants = parse_name(name)
    cost = operation.cost(constants, workload.axes)
    return max(cost.bytes_moved / MOST_BYTES, cost.flops / MOST_FLOPS)


def _run_problems(dataset: Path, name: str, workload: Workload) -> list[str]:
    operation, constants = parse_name(name)
    where = f"{name} {workload.uuid}"
    try:
        inputs = inputs_of(dataset, name, workload)
        wrong = violations(emit(operation, constants), inputs)
        if wrong:
            return [f"{where}: {wrong[0]}"]
        outputs = operation.compute(constants, inputs)
    except (RuntimeError, ValueError, IndexError, FlashInferBenchError) as error:
        return [f"{where}: the reference fails: {' '.join(str(error).split())}"]
    wrong = [key for key, it in outputs.items() if bool(it.isnan().any())]
    return [f"{where}: the reference gives NaN in {', '.join(wrong)}"] if wrong else []


def inputs_of(dataset: Path, name: str, workload: Workload) -> dict[str, Any]:
    """All inputs on the CPU: structure and numbers as stored, the rest drawn with the seed."""
    from safetensors.torch import load_file

    operation, constants = parse_name(name)
    inputs = operation.make_inputs(Draw(workload.seed or 0), constants, workload.axes)
    blobs: dict[str, dict[str, Any]] = {}
    for key, it in workload.inputs.items():
        if it.type == "scalar":
            inputs[key] = it.value
        elif it.type == "safetensors":
            held = blobs.setdefault(it.path, {}) or load_file(blob_path(dataset, it.path))
            blobs[it.path] = held
            inputs[key] = held[it.tensor_key]
    return {key: inputs[key] for key in operation.interface(constants).inputs if key in inputs}


__all__ = ["inputs_of", "stored_problems"]
