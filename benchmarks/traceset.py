"""How fast and how large a TraceSet is: open, summarise, rank, on synthetic datasets.

    python benchmarks/traceset.py [--sizes 1k 10k 100k] [--repeats 3]

Every number is taken in fresh processes: CPU seconds of the call alone (imports done before) and
the peak memory of the whole process, the best of the repeats. `cold` starts without an index in
the cache folder, `again` finds it there and all files unchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = {"1k": (10, 5, 20), "10k": (50, 10, 20), "100k": (100, 20, 50)}
"""Name -> definitions, solutions per definition, workloads per definition."""
STEPS = ("open", "open+summary+rank", "open+read all")


def make_dataset(root: Path, definitions: int, solutions: int, workloads: int) -> None:
    """GEMM definitions, Python solutions of about 1 kB, one trace with a 10-line log for each
    (solution, workload); the authors are `baseline` and `agent1`, `agent2`, …"""
    authors = ["baseline", *(f"agent{i}" for i in range(1, solutions))]
    for i in range(1, definitions + 1):
        name = f"gemm_n{128 * i}_k4096"
        inputs = [_workload(name, j) for j in range(workloads)]
        _write(root / f"definitions/gemm/{name}.json", json.dumps(_definition(name, 128 * i)))
        _write(root / f"workloads/gemm/{name}.jsonl", _lines(inputs))
        for a, author in enumerate(authors):
            solution = f"{author}_{name}"
            path = root / f"solutions/{author}/gemm/{name}/{solution}.json"
            _write(path, json.dumps(_solution(solution, name, author)))
            traces = [_trace(entry, solution, a, j) for j, entry in enumerate(inputs)]
            _write(root / f"traces/{author}/gemm/{name}.jsonl", _lines(traces))


def _definition(name: str, n: int) -> dict[str, Any]:
    return {
        "name": name,
        "op_type": "gemm",
        "axes": {
            "M": {"type": "var"},
            "N": {"type": "const", "value": n},
            "K": {"type": "const", "value": 4096},
        },
        "inputs": {
            "A": {"shape": ["M", "K"], "dtype": "float16"},
            "B": {"shape": ["N", "K"], "dtype": "float16"},
        },
        "outputs": {"C": {"shape": ["M", "N"], "dtype": "float16"}},
        "reference": "import torch\n\ndef run(A, B):\n    return torch.matmul(A, B.T)\n",
    }


def _solution(name: str, definition: str, author: str) -> dict[str, Any]:
    padding = "".join(f"# line {i} of a solution by {author}\n" for i in range(24))
    return {
        "name": name,
        "definition": definition,
        "author": author,
        "spec": {
            "language": "python",
            "target_hardware": ["cpu"],
            "entry_point": "main.py::run",
            "destination_passing_style": False,
        },
        "sources": [
            {"path": "main.py", "content": f"def run(A, B):\n    return A @ B.T\n{padding}"}
        ],
    }


def _workload(definition: str, index: int) -> dict[str, Any]:
    inputs = {"A": {"type": "random"}, "B": {"type": "random"}}
    uuid = f"{hash_of(definition):08x}-0000-4000-8000-{index:012x}"
    return {
        "definition": definition,
        "solution": None,
        "workload": {"axes": {"M": index + 1}, "inputs": inputs, "uuid": uuid},
        "evaluation": None,
    }


def hash_of(text: str) -> int:
    """A small number that is the same in every process."""
    return sum(i * byte for i, byte in enumerate(text.encode(), 1)) % 2**32


def _trace(workload: dict[str, Any], solution: str, author: int, index: int) -> dict[str, Any]:
    latency = 0.05 * (1 + (7 * author + 3 * index) % 11 / 10)
    evaluation: dict[str, Any] = {
        "status": "PASSED",
        "environment": {"hardware": "NVIDIA H200", "libs": {"torch": "2.11.0", "cuda": "13.0"}},
        "timestamp": f"2026-05-01T10:{index % 60:02d}:00",
        "log": "\n".join(f"[{i}] running {solution} on workload {index}" for i in range(10)),
    }
    if (author + index) % 17 == 16:
        return {**workload, "solution": solution, "evaluation": evaluation | {"status": "TIMEOUT"}}
    evaluation["correctness"] = {"max_relative_error": 0.004, "max_absolute_error": 0.002}
    evaluation["performance"] = {
        "latency_ms": latency,
        "reference_latency_ms": 0.2,
        "speedup_factor": 0.2 / latency,
    }
    return {**workload, "solution": solution, "evaluation": evaluation}


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def measure(root: Path, step: str) -> tuple[float, float]:
    """CPU seconds of one step in this process, and its peak memory in MB."""
    from flashinfer_bench.data import TraceSet

    start = time.process_time()
    trace_set = TraceSet.from_path(root)
    if step == "open+summary+rank":
        trace_set.summary()
        trace_set.rank_authors()
    elif step == "open+read all":
        sum(len(traces) for traces in trace_set.traces.values())
    seconds = time.process_time() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_in_child(root: Path, step: str, cache: Path) -> tuple[float, float]:
    """`measure` in a fresh process with its own cache folder."""
    command = [sys.executable, __file__, "--measure", str(root), step]
    environment = {**os.environ, "FIB_CACHE_PATH": str(cache)}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds, megabytes = json.loads(output.stdout)
    return seconds, megabytes


def main() -> None:
    """Make the datasets, measure, print one row per size and step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    print(f"{'traces':>7} {'step':<18} {'cold s':>8} {'again s':>8} {'peak MB':>8}")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_dataset(Path(folder, "dataset"), *SIZES[size])
            for step in STEPS:
                report(size, step, Path(folder), options.repeats)


def report(size: str, step: str, folder: Path, repeats: int) -> None:
    """Measure one step cold and again, and print its row."""
    runs = []
    for i in range(repeats):
        cache = folder / f"cache-{step.replace('+', '-').replace(' ', '-')}-{i}"
        runs += [[measure_in_child(folder / "dataset", step, cache) for _ in ("cold", "again")]]
    cold, again = (min(run[i][0] for run in runs) for i in range(2))
    peak = max(megabytes for run in runs for _, megabytes in run)
    print(f"{size:>7} {step:<18} {cold:>8.3f} {again:>8.3f} {peak:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
