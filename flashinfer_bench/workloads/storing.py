"""Workloads into a dataset: blobs first, then lines, so that no line names what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flashinfer_bench.data.files import read_lines, rewrite_lines, write_atomic
from flashinfer_bench.data.layout import blob_file, definition_file, workload_file
from flashinfer_bench.data.trace import Trace
from flashinfer_bench.workloads.sanitizer import Kept


def store(dataset: Path, kept: Sequence[Kept]) -> dict[Path, bool]:
    """Writes workloads of one definition beside those that are there; file -> whether it changed.

    A workload that is there already is replaced in its place. The definition is written where the
    dataset lacks it.
    """
    definition = kept[0].definition
    file = dataset / definition_file(definition)
    states = {file: False}
    if not file.exists():
        text = definition.model_dump_json(indent=2, exclude_unset=True) + "\n"
        states[file] = _put(file, text.encode())
    for it in kept:
        if it.tensors:
            blob = dataset / blob_file(definition, it.workload.uuid)
            states[blob] = _put(blob, _blob(it))
    lines = {it.workload.uuid: _line(it) for it in kept}
    file = dataset / workload_file(definition)
    before = [line for _, line in read_lines(file)] if file.exists() else []
    after = [lines.pop(_uuid(line), line) for line in before] + list(lines.values())
    states[file] = after != before
    if after != before:
        rewrite_lines(file, after)
    return states


def _put(file: Path, data: bytes) -> bool:
    if file.exists() and file.read_bytes() == data:
        return False
    write_atomic(file, data)
    return True


def _blob(it: Kept) -> bytes:
    from safetensors.torch import save

    data: bytes = save(dict(it.tensors))
    return data


def _line(it: Kept) -> bytes:
    name = it.definition.name
    trace = Trace(definition=name, workload=it.workload, solution=None, evaluation=None)
    return trace.model_dump_json(exclude_unset=True).encode()


def _uuid(line: bytes) -> str:
    """Of a stored line; empty where it is not readable, which is kept as it is."""
    try:
        return Trace.model_validate_json(line).workload.uuid
    except ValueError:
        return ""


__all__ = ["store"]
