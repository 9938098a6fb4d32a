"""What skills check of files that were written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flashinfer_bench.data.model import Model
from flashinfer_bench.errors import DataError
from flashinfer_bench.models.typescript import tree_problems


def record_in(value: Any, where: str) -> Model:
    """The record of a model; DataError where it is none."""
    try:
        return Model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {place}: {first['msg']}; expected a model's record") from error


def architecture_problems(architecture: Mapping[str, Any]) -> list[str]:
    """What is wrong in model_architecture.json, one line each."""
    try:
        record = record_in(architecture.get("model"), "model_architecture.json")
    except DataError as error:
        return [str(error)]
    return [*tree_problems(record), *_count_problems(architecture.get("tree") or {}, "")]


def _count_problems(node: Mapping[str, Any], path: str) -> list[str]:
    """Items of a list of layers stand for as many as they count."""
    found = []
    here = f"{path}.{node.get('name')}".strip(".")
    items, count = node.get("items"), node.get("count", 0)
    if items and count % len(items):
        found.append(f"{here}: counts {count}, which is no multiple of its {len(items)} places")
    for child in node.get("children") or ():
        found += _count_problems(child, here)
    return found


def place_problem(place: str, snippet: str, root: Path) -> str | None:
    """What is wrong with `file:line` and the text that begins there."""
    name, _, line = place.rpartition(":")
    try:
        lines = (root / name).read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        return f"{place}: {error.strerror or error}"
    first = snippet.split("\n", 1)[0].strip()
    if not line.isdigit() or not 1 <= int(line) <= len(lines):
        return f"{place}: no such line"
    if first not in lines[int(line) - 1]:
        return f"{place}: does not hold {first!r}"
    return None


__all__ = ["architecture_problems", "place_problem", "record_in"]
