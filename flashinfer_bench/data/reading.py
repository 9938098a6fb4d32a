"""Reading a folder of JSON files, one record each; what does not load becomes a Problem."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flashinfer_bench.collector import paused_gc
from flashinfer_bench.data.explain import Problem, explain
from flashinfer_bench.data.index import files_under
from flashinfer_bench.errors import DataError

_LOG = logging.getLogger("flashinfer_bench")
_BOM = b"\xef\xbb\xbf"

RecordT = TypeVar("RecordT", bound=BaseModel)


def parse_file(cls: type[RecordT], path: Path) -> RecordT | Problem:
    """The record in a file, or what is wrong with it."""
    try:
        text = path.read_bytes().removeprefix(_BOM)
        return cls.model_validate_json(text)
    except ValidationError as error:
        return explain(error, path, text)
    except OSError as error:
        return Problem(path, None, f"cannot be read: {error.strerror}")


def read_file(cls: type[RecordT], path: Path) -> RecordT:
    """The record in a file; DataError with file and line where it breaks the schema."""
    record = parse_file(cls, path)
    if isinstance(record, Problem):
        raise DataError(str(record))
    return record


def parse_folder(cls: type[RecordT], folder: Path) -> Iterator[tuple[Path, RecordT | Problem]]:
    """Every JSON file under a folder, at any depth."""
    with paused_gc():
        for path in files_under(folder, ".json"):
            yield path, parse_file(cls, path)


def read_folder(
    cls: type[RecordT], folder: Path, key: str, problems: list[Problem]
) -> dict[str, RecordT]:
    """Records by their unique field `key`; what does not load is logged and added to `problems`.

    Raises DataError (a ValueError) when two files hold records of the same name.
    """
    records: dict[str, RecordT] = {}
    paths: dict[str, Path] = {}
    for path, record in parse_folder(cls, folder):
        if isinstance(record, Problem):
            _LOG.warning("%s (file skipped)", record)
            problems.append(record)
            continue
        name = getattr(record, key)
        if name in records:
            raise DataError(
                f"{path}: {cls.__name__.lower()} {name!r} is also in {paths[name]}; rename one"
            )
        records[name], paths[name] = record, path
    return records


__all__ = ["parse_file", "parse_folder", "read_file", "read_folder"]
