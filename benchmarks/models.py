"""CPU time from a model's name to its module tree, cold and warm, and of SGLang's index.

    python benchmarks/models.py [--model NAME] [--sglang PATH] [--transformers PATH]
        [--configs FOLDER]

Each line is a process of its own on one core, user and system time together. Cold starts with an
empty cache of ours, warm has run before. `--configs` adds all config.json files of a folder in one
process. Without paths SGLang and transformers are found as `flashinfer-bench model` finds them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_INDEX = """
import sys
from flashinfer_bench.models.sglang.index import read_architectures
from flashinfer_bench.models.sglang.source import find_sglang
print(len(read_architectures(find_sglang(sys.argv[1] or None))), "architectures")
"""
_ALL = """
import sys
from pathlib import Path
from flashinfer_bench.errors import FlashInferBenchError
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.extraction import unquantized
from flashinfer_bench.models.sglang.build import build_tree
from flashinfer_bench.models.sglang.source import find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers
sglang = find_sglang(sys.argv[1] or None)
transformers = find_transformers(sys.argv[2] or None, sglang=sglang)
built = refused = 0
for path in sorted(Path(sys.argv[3]).glob("*.json")):
    try:
        build_tree(
            unquantized(load_json(path)),
            sglang,
            transformers=transformers.package if transformers else None,
        )
        built += 1
    except FlashInferBenchError:
        refused += 1
print(built, "trees,", refused, "refused")
"""


def cpu_seconds(command: list[str], cache: str) -> tuple[float, str]:
    """Of a process, and the last line that it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "FIB_CACHE_PATH": cache, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, (done.stdout.strip().splitlines() or [""])[-1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="kimi-k2")
    parser.add_argument("--sglang", default="")
    parser.add_argument("--transformers", default="")
    parser.add_argument("--configs", type=Path)
    given = parser.parse_args()
    command = [sys.executable, "-m", "flashinfer_bench", "model", given.model, "--offline"]
    for flag, path in (
        ("--sglang-path", given.sglang),
        ("--transformers-path", given.transformers),
    ):
        command += [flag, path] if path else []
    paths = [given.sglang, given.transformers]
    jobs = {
        f"{given.model}, tp chosen": command,
        f"{given.model}, tp 8 stated": [*command, "--tp", "8", "--ep", "8"],
        "index": [sys.executable, "-c", _INDEX, *paths],
    }
    if given.configs:
        jobs["all configs, one process"] = [sys.executable, "-c", _ALL, *paths, str(given.configs)]
    for name, job in jobs.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, said = cpu_seconds(job, cache)
            warm = min(cpu_seconds(job, cache)[0] for _ in range(3)) if "all" not in name else None
        tail = f", warm {warm:.2f} s" if warm is not None else f" ({said})"
        print(f"{name}: cold {cold:.2f} s{tail}")


if __name__ == "__main__":
    main()
