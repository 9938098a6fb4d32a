"""Writes the definitions of this dataset: each operation's example, and those of definitions.txt.

    python flashinfer_trace/generate.py            write them, remove those that are not listed
    python flashinfer_trace/generate.py --check    exit 1 and name the files that this would change

Names in older spellings give files of the official name. Needs no torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flashinfer_bench.data import layout
from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import operations, parse_name

DATASET = Path(__file__).resolve().parent
LIST = DATASET / "definitions.txt"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write flashinfer_trace/definitions/.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    check = parser.parse_args(arguments).check
    found = {file: file.read_bytes() for file in (DATASET / "definitions").rglob("*.json")}
    made = dict(made_from(name) for name in names())
    stale = sorted(file for file in found.keys() | made if found.get(file) != made.get(file))
    for file in stale:
        if check:
            state = "missing" if file not in found else "stale" if file in made else "leftover"
            command = "python flashinfer_trace/generate.py"
            print(f"{file}: {state}; run `{command}`", file=sys.stderr)
        elif file in made:
            write_atomic(file, made[file])
        else:
            file.unlink()
    return 1 if check and stale else 0


def names() -> list[str]:
    """The example of every operation, and all names of the list."""
    lines = [line.strip() for line in LIST.read_text(encoding="utf-8").splitlines()]
    listed = [line for line in lines if line and not line.startswith("#")]
    return [*(operation.example.name for operation in operations()), *listed]


def made_from(name: str) -> tuple[Path, bytes]:
    """A definition's file and what it holds; NotFoundError for a name of no operation."""
    definition = emit(*parse_name(name))
    text = definition.model_dump_json(indent=2, exclude_unset=True)
    return DATASET / layout.definition_file(definition), f"{text}\n".encode()


if __name__ == "__main__":
    sys.exit(main())
