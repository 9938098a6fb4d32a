"""Keys of JSON files: given twice, or unknown and close to one that exists."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flashinfer_bench.data.base import unknown_keys
from flashinfer_bench.data.validation.collector import At, Collector
from flashinfer_bench.data.validation.report import CheckName


def check_keys(
    collector: Collector,
    check: CheckName,
    name: str,
    path: Path,
    record: BaseModel,
    expected: Collection[str] = (),
) -> None:
    """Report repeated keys, and unknown ones that are not `expected`: likely slips as warnings."""
    at = At(path)
    for key in _repeated(path.read_text(encoding="utf-8-sig")):
        collector.warn(check, name, f"key {key!r} is given twice; the last one counts", at)
    known = sorted(set(_known_keys(record)))
    for place in unknown_keys(record):
        key = place.rpartition(".")[2]
        if key in expected:
            continue
        close = difflib.get_close_matches(key, known, 1, 0.8)
        if close:
            collector.warn(check, name, f"{place}: unknown key; is {close[0]!r} meant?", at)
        else:
            collector.note(check, name, f"{place}: unknown key, kept as it is", at)


def _repeated(text: str) -> list[str]:
    repeated: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        repeated.extend(sorted({key for key in keys if keys.count(key) > 1}))

    json.loads(text, object_pairs_hook=collect, strict=False)
    return repeated


def _known_keys(value: object) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from type(value).model_fields
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, dict):
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _known_keys(item)


__all__ = ["check_keys"]
