"""Saving and loading stored models as JSON and JSON Lines.

Fields that nobody set are left out, unknown keys are kept. Files are replaced or extended
atomically: a crash leaves the old content or the new, never half of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from flashinfer_bench.data.files import append_lines, read_lines, rewrite_lines, write_atomic

StoredT = TypeVar("StoredT", bound=BaseModel)
AnyPath = str | PathLike[str]


def save_json_file(obj: BaseModel, path: AnyPath) -> None:
    """Write one object, indented by 2."""
    text = obj.model_dump_json(indent=2, exclude_unset=True)
    write_atomic(Path(path), text.encode() + b"\n")


def load_json_file(cls: type[StoredT], path: AnyPath) -> StoredT:
    """Read one object; pydantic.ValidationError where it breaks the schema."""
    return cls.model_validate_json(Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf"))


def save_jsonl_file(objs: Iterable[BaseModel], path: AnyPath) -> None:
    """Write one object a line, replacing the file."""
    rewrite_lines(Path(path), [json_line(obj) for obj in objs])


def load_jsonl_file(cls: type[StoredT], path: AnyPath) -> list[StoredT]:
    """Read one object a line; pydantic.ValidationError at the first that breaks the schema."""
    return [cls.model_validate_json(line) for _, line in read_lines(Path(path))]


def append_jsonl_file(objs: Iterable[BaseModel], path: AnyPath) -> None:
    """Add one object a line; durable when it returns, and safe beside other appending processes."""
    append_lines(Path(path), [json_line(obj) for obj in objs])


def json_ready(obj: BaseModel) -> dict[str, Any]:
    """The object as plain dicts and lists; infinities and NaN are strings, as in its file."""
    record: dict[str, Any] = from_json(json_line(obj))
    return record


def json_line(obj: BaseModel) -> bytes:
    """The object as one line of JSON, without newline."""
    return obj.model_dump_json(exclude_unset=True).encode()


__all__ = [
    "append_jsonl_file",
    "json_line",
    "json_ready",
    "load_json_file",
    "load_jsonl_file",
    "save_json_file",
    "save_jsonl_file",
]
