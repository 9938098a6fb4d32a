"""Small valid records, for tests to change and break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flashinfer_bench.data import Definition, Solution, Trace, TraceSet

Data = dict[str, Any]


def definition_data(**changes: Any) -> Data:
    return {
        "name": "gemm_n8_k4",
        "op_type": "gemm",
        "axes": {
            "M": {"type": "var"},
            "N": {"type": "const", "value": 8},
            "K": {"type": "const", "value": 4},
        },
        "inputs": {
            "A": {"shape": ["M", "K"], "dtype": "float16"},
            "B": {"shape": ["N", "K"], "dtype": "float16"},
            "scale": {"shape": None, "dtype": "float32"},
        },
        "outputs": {"C": {"shape": ["M", "N"], "dtype": "float16"}},
        "reference": "def run(A, B, scale):\n    return A @ B.T * scale\n",
        **changes,
    }


def solution_data(**changes: Any) -> Data:
    return {
        "name": "torch_gemm",
        "definition": "gemm_n8_k4",
        "author": "baseline",
        "spec": spec_data(),
        "sources": [{"path": "main.py", "content": "def run(A, B, scale): ...\n"}],
        **changes,
    }


def spec_data(**changes: Any) -> Data:
    data = {"language": "python", "target_hardware": ["cpu"], "entry_point": "main.py::run"}
    return {**data, **changes}


def workload_data(**changes: Any) -> Data:
    return {
        "axes": {"M": 3},
        "inputs": {"A": {"type": "random"}, "scale": {"type": "scalar", "value": 2}},
        "uuid": "w0",
        **changes,
    }


PASSED = {
    "correctness": {"max_relative_error": 0.0, "max_absolute_error": 0.0},
    "performance": {"latency_ms": 1.0, "reference_latency_ms": 4.0, "speedup_factor": 4.0},
}


def evaluation_data(status: str = "PASSED", **changes: Any) -> Data:
    """Evidence is added where the status needs it."""
    needed = {"PASSED": ("correctness", "performance"), "INCORRECT_NUMERICAL": ("correctness",)}
    return {
        "status": status,
        "environment": {"hardware": "cpu"},
        "timestamp": "2026-01-01T00:00:00",
        **{part: PASSED[part] for part in needed.get(status, ())},
        **changes,
    }


def trace_data(**changes: Any) -> Data:
    return {
        "definition": "gemm_n8_k4",
        "workload": workload_data(),
        "solution": "torch_gemm",
        "evaluation": evaluation_data(),
        **changes,
    }


def model_data(**changes: Any) -> Data:
    modules = {
        "layers": {"count": 2, "type": "block"},
        "mlp": {"count": 2, "parent": "layers", "type": "block"},
        "down_proj": {
            "count": 2,
            "parent": "mlp",
            "type": "layer",
            "definitions": ["gemm_n8_k4"],
        },
    }
    return {"id": "tiny", "name": "Tiny", "modules": modules, **changes}


def without(data: Data, key: str) -> Data:
    return {name: value for name, value in data.items() if name != key}


def write_json(path: Path, data: Data) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def write_lines(path: Path, records: list[Data]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def result(
    solution: str,
    workload: str,
    latency_ms: float | None = None,
    *,
    definition: str = "d",
    hardware: str = "gpu",
    reference_ms: float = 8.0,
    at: str = "2026-01-01T00:00:00",
    status: str = "RUNTIME_ERROR",
    blame: str | None = None,
) -> Trace:
    """A passed trace, or without a latency one with the failed `status`."""
    facts: Data = {"environment": {"hardware": hardware}, "timestamp": at}
    if blame:
        facts["blame"] = blame
    if latency_ms is not None:
        status = "PASSED"
        facts["performance"] = {"latency_ms": latency_ms, "reference_latency_ms": reference_ms}
    return Trace.model_validate(
        {
            "definition": definition,
            "workload": workload_data(uuid=workload),
            "solution": solution,
            "evaluation": evaluation_data(status, **facts),
        }
    )


def trace_set(
    authors: dict[str, dict[str, str]], results: list[Trace], workloads: dict[str, list[str]]
) -> TraceSet:
    """In memory: `authors` is definition -> solution -> author, `workloads` definition -> uuids."""
    made = TraceSet(
        definitions={
            name: Definition.model_validate(definition_data(name=name, op_type=f"op_{name}"))
            for name in authors
        },
        solutions={
            name: [
                Solution.model_validate(solution_data(name=item, author=author, definition=name))
                for item, author in group.items()
            ]
            for name, group in authors.items()
        },
    )
    for name, uuids in workloads.items():
        made.workloads[name] = [
            Trace.model_validate({"definition": name, "workload": workload_data(uuid=uuid)})
            for uuid in uuids
        ]
    made.add_traces(results)
    return made
