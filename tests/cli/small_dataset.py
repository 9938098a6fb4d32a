"""A dataset with one file of each kind that is right, to be broken by tests."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

DEFINITION = "definitions/gemm/gemm_n8_k4.json"
SOLUTION = "solutions/baseline/gemm/gemm_n8_k4/base.json"
WORKLOADS = "workloads/gemm/gemm_n8_k4.jsonl"
TRACES = "traces/baseline/gemm/gemm_n8_k4.jsonl"
BLOB = "blob/workloads/gemm/gemm_n8_k4/gemm_n8_k4_w1.safetensors"
MODEL = "models/tiny.json"

Record = dict[str, Any]


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def base() -> dict[str, Any]:
    """A dataset that is right: path -> record, list of records, or bytes."""
    inputs = {
        "A": {"type": "safetensors", "path": f"./{BLOB}", "tensor_key": "A"},
        "B": {"type": "random"},
        "scale": {"type": "scalar", "value": 0.5},
    }
    workload = {"axes": {"M": 2}, "inputs": inputs, "uuid": "w1"}
    evaluation = {
        "status": "PASSED",
        "environment": {"hardware": "CPU", "libs": {}},
        "timestamp": "2026-01-01T00:00:00",
        "correctness": {"max_relative_error": 0.0, "max_absolute_error": 0.0},
        "performance": {"latency_ms": 1, "reference_latency_ms": 2, "speedup_factor": 2},
    }
    line = {"definition": "gemm_n8_k4", "workload": workload}
    header = b'{"A":{"dtype":"F16","shape":[2,4],"data_offsets":[0,16]}}'
    return {
        DEFINITION: {
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
            "constraints": ["M <= 64"],
            "reference": "def run(A, B, scale):\n    return A @ B.T * scale\n",
        },
        SOLUTION: {
            "name": "base",
            "definition": "gemm_n8_k4",
            "author": "baseline",
            "spec": {
                "language": "python",
                "target_hardware": ["cpu"],
                "entry_point": "main.py::run",
                "destination_passing_style": False,
            },
            "sources": [{"path": "main.py", "content": "def run(A, B, s):\n    return A @ B.T\n"}],
        },
        WORKLOADS: [{**line, "solution": None, "evaluation": None}],
        TRACES: [{**line, "solution": "base", "evaluation": evaluation}],
        BLOB: safetensors(header, bytes(16)),
        MODEL: {
            "id": "tiny",
            "name": "Tiny",
            "modules": {"proj": {"count": 1, "type": "layer", "definitions": ["gemm_n8_k4"]}},
        },
    }


def encode(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        return b"".join(json.dumps(record).encode() + b"\n" for record in content)
    return json.dumps(content, indent=2).encode()


def write(root: Path, files: dict[str, Any]) -> None:
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(content))
