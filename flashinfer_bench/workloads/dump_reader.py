"""Reads what FlashInfer's logging at level 10 wrote: calls with their arguments, in order.

A dump is a folder with `session.jsonl` and a folder for each call. Records of a call are repeated
as it goes on, and the last one holds. Nothing but records is read here: tensors stay in their files
until they are asked for. What cannot be read is told as a problem, and the rest is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.workloads.dumped_tensors import DumpedTensor, Tensors
from flashinfer_bench.workloads.signatures import read_signature

SESSION, RECORDS, FLUSHES = "session.jsonl", "metadata.jsonl", "graph_flushes"
_NEEDED = ("function_name", "process_id", "input_metadata", "function_signature")


@dataclass(frozen=True)
class DumpedCall:
    """One call of FlashInfer's API."""

    api: str
    """Qualified name, e.g. `flashinfer.norm.rmsnorm`."""
    arguments: Mapping[str, Any]
    """By parameter, with defaults but for `plan`; tensors are `DumpedTensor`."""
    process: int
    instance: int | None
    """Identity of the wrapper that it is a method of."""
    completed: bool
    """Whether it returned; of a call that raised, and on machines without a GPU, only the inputs
    are there."""
    in_graph: bool
    """Whether it was captured in a CUDA graph."""
    place: str
    """Folder of the call."""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """Last part of the name, e.g. `plan`."""
        return self.api.rpartition(".")[2]


@dataclass(frozen=True)
class DumpProblem:
    """Something of a dump that cannot be used."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def read_dump(root: Path) -> Iterator[DumpedCall | DumpProblem]:
    """All calls of a dump, and what cannot be read; NotFoundError where the folder holds none."""
    session = root / SESSION
    if not session.is_file() and next(root.glob(f"*/{RECORDS}"), None) is None:
        raise NotFoundError(
            f"{root}: no dump of FlashInfer ({SESSION} or */{RECORDS}); give the folder that "
            "FLASHINFER_DUMP_DIR named"
        )
    seen: set[str] = set()
    if session.is_file():
        for record in _records(session):
            if isinstance(record, DumpProblem):
                yield record
                continue
            name = Path(str(record.get("dump_dir", ""))).name
            seen.add(name)
            yield from _calls(record, root / name)
    for folder in sorted(it for it in root.iterdir() if it.is_dir() and it.name not in seen):
        yield from _folder(folder)


def _folder(folder: Path) -> Iterator[DumpedCall | DumpProblem]:
    """A call that the session does not list, as where a process was killed."""
    file = folder / RECORDS
    if not file.is_file():
        if any(folder.glob("inputs.*")):
            yield DumpProblem(folder.name, f"tensors without {RECORDS}")
        return
    records = list(_records(file))
    yield from (it for it in records if isinstance(it, DumpProblem))
    usable = [it for it in records if not isinstance(it, DumpProblem)]
    if usable:
        yield from _calls(usable[-1], folder)


def _records(file: Path) -> Iterator[dict[str, Any] | DumpProblem]:
    """The last record of each call, in the order of the first ones."""
    places: dict[str, int] = {}
    with file.open("rb") as lines:
        offset = 0
        for number, line in enumerate(lines, 1):
            start, offset = offset, offset + len(line)
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                key = str(record.get("dump_dir") or f"line {number}")
            except (ValueError, AttributeError, RecursionError):
                yield DumpProblem(f"{file.name}:{number}", "no JSON object; the writer was killed")
                continue
            places[key] = start
        for start in places.values():
            lines.seek(start)
            yield json.loads(lines.readline())


def _calls(record: dict[str, Any], folder: Path) -> Iterator[DumpedCall | DumpProblem]:
    """One call, or one for each replay of a graph that holds it."""
    flushes = sorted((folder / FLUSHES).glob(f"*/{RECORDS}")) if folder.is_dir() else []
    for file in flushes:
        replayed = [it for it in _records(file) if not isinstance(it, DumpProblem)]
        yield from (_call({**record, **it}, file.parent) for it in replayed[-1:])
    if not flushes:
        yield _call(record, folder)


def _call(record: dict[str, Any], folder: Path) -> DumpedCall | DumpProblem:
    lacking = [name for name in _NEEDED if name not in record]
    if lacking:
        return DumpProblem(folder.name, f"the record has no {', '.join(lacking)}")
    try:
        status = str(record.get("execution_status"))
        return DumpedCall(
            f"{record.get('module', 'flashinfer')}.{record['function_name']}",
            _arguments(record, Tensors(folder, record)),
            int(record["process_id"]),
            record.get("self_id"),
            status not in ("inputs_saved", "graph_capture_pending_flush"),
            bool(record.get("graph_capture")),
            folder.name,
            record.get("versions") or {},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return DumpProblem(folder.name, f"the record is not as expected ({error!r})")


def _arguments(record: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    given: dict[str, Any] = {key: tensors.named(key) for key in tensors.keys if "__" not in key}
    given.update({key: _value(it, tensors) for key, it in record["input_metadata"].items()})
    positions = {int(key[4:]): it for key, it in given.items() if key.startswith("arg_")}
    named = {key[6:]: it for key, it in given.items() if key.startswith("kwarg_")}
    values = [positions.get(at) for at in range(max(positions, default=-1) + 1)]
    # what `plan` leaves out, engines set on the wrapper later: a default says nothing
    stated = not record["function_name"].endswith(".plan")
    return read_signature(record["function_signature"]).bind(values, named, defaults=stated)


def _value(value: Any, tensors: Tensors) -> Any:
    """A value of the record: containers with what they hold, enumerations and dtypes by name."""
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if "tensor_key" in value:
        return tensors.named(value["tensor_key"])
    if kind in ("tuple", "list"):
        return tuple(_value(it, tensors) for it in value.get("items", ()))
    if kind == "dict":
        rows = value.get("items", ())
        return {it["key"]: _value(it["value"], tensors) for it in rows if isinstance(it, dict)}
    if kind in ("torch.dtype", "enum"):
        return value.get("value") if kind == "torch.dtype" else value.get("name")
    return value.get("repr", value)


__all__ = ["DumpProblem", "DumpedCall", "DumpedTensor", "read_dump"]
