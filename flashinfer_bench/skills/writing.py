"""Files that skills write: whole or not at all, and only where something changes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.skills.contract import Output, shown


@dataclass
class Writer:
    """Writes the files of one run, or in a dry run only says what it would."""

    dry_run: bool = False
    outputs: list[Output] = field(default_factory=list)

    def json(self, path: Path, value: Any, kind: str) -> None:
        self.text(path, json.dumps(value, indent=2) + "\n", kind)

    def text(self, path: Path, text: str, kind: str) -> None:
        """Raises OSError, the old file untouched, where it cannot be written."""
        data = text.encode()
        try:
            changed = path.read_bytes() != data
        except OSError:
            changed = True
        if changed and not self.dry_run:
            write_atomic(path, data)
        self.outputs.append(Output(shown(path), kind, hashlib.sha256(data).hexdigest(), changed))


def output_of(path: Path, kind: str, *, changed: bool) -> Output:
    """Of a file that something else wrote."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Output(shown(path), kind, digest, changed)


def unwritten(outputs: list[Output]) -> list[str]:
    """Files that do not hold what a run says it wrote, one line each."""
    wrong = []
    for it in outputs:
        try:
            found = hashlib.sha256(Path(it.path).read_bytes()).hexdigest()
        except OSError as error:
            wrong.append(f"{it.path}: {error.strerror or error}")
            continue
        if found != it.sha256:
            wrong.append(f"{it.path}: holds something else than was written")
    return wrong


__all__ = ["Writer", "output_of", "unwritten"]
