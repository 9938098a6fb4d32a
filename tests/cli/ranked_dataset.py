"""A dataset whose rankings can be worked out by hand.

On gemm_n8_k4 the workloads w1, w2 and w3 have a baseline on GPU-A, at 4 ms each; w4 has none.
    fast (alice)  w1 2 ms, after a TIMEOUT;  w2 1 ms;  w3 RUNTIME_ERROR;  w4 1 ms
    slow (bob)    w1 8 ms
On GPU-B there is no baseline, nor is there any for rmsnorm_h16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_dataset import safetensors, write

GEMM, NORM = "gemm_n8_k4", "rmsnorm_h16"
BLOB = f"blob/workloads/gemm/{GEMM}/{GEMM}_1111aaaa.safetensors"
W1, W2, W3, W4 = UUIDS = (
    "1111aaaa-0000-4000-8000-000000000001",
    "1111bbbb-0000-4000-8000-000000000002",
    "3333aaaa-0000-4000-8000-000000000003",
    "4444aaaa-0000-4000-8000-000000000004",
)
N1 = "5555aaaa-0000-4000-8000-000000000005"

Record = dict[str, Any]


def definition(name: str = GEMM, **changes: Any) -> Record:
    return {
        "name": name,
        "op_type": "gemm",
        "description": "C = A B^T",
        "tags": ["status:verified", "model:tiny"],
        "axes": {
            "M": {"type": "var", "description": "rows"},
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
        **changes,
    }


def norm() -> Record:
    return definition(
        NORM,
        op_type="rmsnorm",
        tags=[],
        constraints=[],
        axes={"batch": {"type": "var"}, "H": {"type": "const", "value": 16}},
        inputs={"x": {"shape": ["batch", "H"], "dtype": "float16"}},
        outputs={"y": {"shape": ["batch", "H"], "dtype": "float16"}},
        reference="def run(x):\n    return x\n",
    )


def solution(name: str, author: str, of: str = GEMM, **changes: Any) -> Record:
    return {
        "name": name,
        "definition": of,
        "author": author,
        "spec": {"language": "python", "target_hardware": ["cpu"], "entry_point": "main.py::run"},
        "sources": [{"path": "main.py", "content": f"# {name}\ndef run(*tensors): ...\n"}],
        **changes,
    }


def workload(uuid: str, rows: int, of: str = GEMM, **changes: Any) -> Record:
    inputs: Record = {"x": {"type": "random"}}
    if of == GEMM:
        stored = {"type": "safetensors", "path": f"./{BLOB}", "tensor_key": "A"}
        inputs = {"A": stored, "B": {"type": "random"}, "scale": {"type": "scalar", "value": 0.5}}
    axes = {"M" if of == GEMM else "batch": rows}
    content = {"axes": axes, "inputs": inputs, "uuid": uuid, **changes}
    return {"definition": of, "workload": content, "solution": None, "evaluation": None}


def result(
    of: Record, name: str, outcome: float | str, minute: int = 0, hardware: str = "GPU-A"
) -> Record:
    """A trace on workload `of`: latency in ms of a pass, or the status of a failure."""
    passed = not isinstance(outcome, str)
    evaluation: Record = {
        "status": "PASSED" if passed else outcome,
        "environment": {"hardware": hardware},
        "timestamp": f"2026-01-01T00:{minute:02d}:00",
        "log": "a line\n" * 3,
    }
    if not isinstance(outcome, str):
        evaluation["correctness"] = {"max_relative_error": 0.25, "max_absolute_error": 0.5}
        evaluation["performance"] = {
            "latency_ms": outcome,
            "reference_latency_ms": 16.0,
            "speedup_factor": 16.0 / outcome,
        }
    return {**of, "solution": name, "evaluation": evaluation}


def model() -> Record:
    return {
        "id": "tiny-llm",
        "name": "Tiny LLM",
        "modules": {
            "layers": {"count": 2, "type": "block"},
            "up": {"count": 2, "parent": "layers", "type": "layer", "definitions": [GEMM]},
            "down": {"count": 4, "parent": "layers", "type": "layer", "definitions": ["gemm_n9"]},
        },
    }


def files() -> dict[str, Any]:
    """Path -> record, records or bytes of the whole dataset."""
    w1, w2, w3, w4 = (workload(uuid, i) for i, uuid in enumerate(UUIDS, 1))
    n1 = workload(N1, 7, NORM, weight=3.0)
    header = b'{"A":{"dtype":"F16","shape":[4,4],"data_offsets":[0,32]}}'
    gemm_solutions = f"gemm/{GEMM}"
    return {
        f"definitions/gemm/{GEMM}.json": definition(),
        f"definitions/rmsnorm/{NORM}.json": norm(),
        f"solutions/baseline/{gemm_solutions}/base.json": solution("base", "baseline"),
        f"solutions/alice/{gemm_solutions}/fast.json": solution("fast", "alice"),
        f"solutions/bob/{gemm_solutions}/slow.json": solution("slow", "bob"),
        f"solutions/alice/rmsnorm/{NORM}/norm.json": solution("norm", "alice", NORM),
        f"workloads/gemm/{GEMM}.jsonl": [w1, w2, w3, w4],
        f"workloads/rmsnorm/{NORM}.jsonl": [n1],
        f"traces/baseline/gemm/{GEMM}.jsonl": [result(w, "base", 4.0) for w in (w1, w2, w3)],
        f"traces/alice/gemm/{GEMM}.jsonl": [
            result(w1, "fast", "TIMEOUT"),
            result(w1, "fast", 2.0, minute=5),
            result(w2, "fast", 1.0),
            result(w3, "fast", "RUNTIME_ERROR"),
            result(w4, "fast", 1.0),
            result(w1, "fast", 1.0, hardware="GPU-B"),
        ],
        f"traces/bob/gemm/{GEMM}.jsonl": [result(w1, "slow", 8.0)],
        f"traces/alice/rmsnorm/{NORM}.jsonl": [result(n1, "norm", 1.0)],
        BLOB: safetensors(header, bytes(32)),
        "models/tiny-llm.json": model(),
    }


def build(root: Path, **changed: Any) -> str:
    """Write the dataset, with some files' contents changed; returns its path."""
    write(root, {**files(), **changed})
    return str(root)
