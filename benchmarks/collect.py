"""How fast a dump becomes workloads, and in how much memory.

    python benchmarks/collect.py [--calls 20000]

Makes a dump of decode steps and norms, half of each, and collects it in a fresh process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COLLECT = """
import sys, time, resource
from pathlib import Path
from flashinfer_bench.workloads.collecting import collect
collect(Path(sys.argv[2]))  # imports, and a first call of everything
start = time.process_time()
found = collect(Path(sys.argv[1]))
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(sum(found.calls.values()), seconds, peak)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=20_000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        started = time.time()
        write(small, 20)
        write(large, calls)
        print(f"{calls} call folders written in {time.time() - started:.0f} s")
        command = [sys.executable, "-c", _COLLECT, str(large), str(small)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, seconds, peak = map(float, done.stdout.split())
    speed = f"{calls / seconds:.0f} calls a second ({seconds:.1f} s CPU, {kept:.0f} kept)"
    print(f"{speed}, peak {peak:.0f} MB")
    return 0


def write(root: Path, calls: int) -> None:
    """Each decode step is a plan and a run."""
    sys.path.insert(0, str(ROOT))
    from tests.workloads.dump_writer import DumpWriter

    writer = DumpWriter(root)
    while writer.number < calls:
        number = writer.number
        writer.decode([1 + (number * it) % 97 for it in range(1, 9)])
        writer.rmsnorm(1 + number % 61)
        writer.rmsnorm(8)


if __name__ == "__main__":
    sys.exit(main())
