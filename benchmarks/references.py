"""Times the references at the size of each operation's example, on a CPU or a GPU.

    python benchmarks/references.py [--device cuda] [--op-type gqa_paged]

Columns: making the inputs, then the reference in float32 and in float64, each the least of some
runs after one to warm up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.registry import operations, parse_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--op-type")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    where = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {where}, {torch.get_num_threads()} threads; seconds\n")
    print(f"{'example':58} {'inputs':>9} {'float32':>9} {'float64':>9}")
    for operation in operations(options.op_type):
        measure(operation, options.device, options.repeats)


def measure(operation: Operation, device: str, repeats: int) -> None:
    example = operation.example
    _, constants = parse_name(example.name)
    inputs: dict[str, Any] = {}

    def make() -> None:
        inputs.update(operation.make_inputs(Draw(0, device), constants, example.lengths))

    def reference(dtype: torch.dtype) -> Callable[[], Any]:
        return lambda: operation.compute(constants, inputs, dtype)

    times = [least(make, 1, device)]
    times += [least(reference(it), repeats, device) for it in (torch.float32, torch.float64)]
    print(f"{example.name:58} " + " ".join(f"{seconds:9.4f}" for seconds in times), flush=True)


def least(work: Callable[[], Any], repeats: int, device: str) -> float:
    """Seconds of the fastest run, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        synchronize(device)
        begin = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
