"""Schema errors in one line: where in the file, what is wrong, what was expected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from pydantic import ValidationError

Place = Sequence[int | str]

_SPACE = re.compile(r"[ \t\r\n]*")
_LONGEST_VALUE = 60
_UNION_TAGS = {
    "axes": (2, ("const", "var")),
    "inputs": (2, ("random", "scalar", "safetensors")),
    "value": (1, ("int", "float", "bool")),
}
"""Key -> how many steps below it pydantic puts the name of a union member, and those names."""


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file of a dataset."""

    path: Path
    line: int | None
    """1-based; None where the whole file is meant."""
    message: str
    harmless: bool = False
    """Whether nothing is lost and nothing has to be done."""

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.message}"


def explain(error: ValidationError, path: Path, text: bytes, line: int | None = None) -> Problem:
    """The first fault of a record as a Problem.

    `line` is the record's own line in a JSON Lines file; without it the line is found in `text`.
    """
    faults = error.errors(include_url=False)
    first = faults[0]
    if first["type"] == "json_invalid":
        return _not_json(str(first["msg"]), path, line)
    place = _without_tags(first["loc"])
    others = {tuple(_without_tags(fault["loc"])) for fault in faults} - {tuple(place)}
    where = ".".join(str(part) for part in place)
    also = f" (and {len(others)} more)" if others else ""
    message = f"{where}: {_sentence(first)}{also}" if where else f"{_sentence(first)}{also}"
    return Problem(path, line or line_of(text.decode(errors="replace"), place), message)


def _not_json(message: str, path: Path, line: int | None) -> Problem:
    position = re.search(r" at line (\d+) column (\d+)$", message)
    reason = message.removeprefix("Invalid JSON: ")
    if position is None:
        return Problem(path, line, f"not JSON: {reason}")
    reason = f"{reason[: -len(position[0])]} at column {position[2]}"
    return Problem(path, line or int(position[1]), f"not JSON: {reason}")


def _without_tags(place: Place) -> list[int | str]:
    return [part for i, part in enumerate(place) if not _is_tag(place, i)]


def _is_tag(place: Place, i: int) -> bool:
    return any(
        i >= steps and place[i - steps] == key and place[i] in names
        for key, (steps, names) in _UNION_TAGS.items()
    )


def _sentence(fault: Any) -> str:
    kind, message = fault["type"], fault["msg"]
    if kind == "missing":
        return "missing; the key is required"
    if kind == "union_tag_invalid":
        context = fault["ctx"]
        return f"unknown type {context['tag']!r}; expected {context['expected_tags']}"
    if kind == "value_error":
        return str(message).removeprefix("Value error, ")
    value = repr(fault["input"])
    if len(value) > _LONGEST_VALUE:
        value = f"{value[:_LONGEST_VALUE]}…"
    return f"{message[:1].lower()}{message[1:]}, got {value}"


def line_of(text: str, place: Place) -> int:
    """1-based line of a value in a JSON text; of its nearest ancestor where it is not there."""
    position = 0
    for part in place:
        found = _enter(text, position, part)
        if found is None:
            break
        position = found
    return text.count("\n", 0, _after_space(text, position)) + 1


def _enter(text: str, position: int, part: int | str) -> int | None:
    """Position of member `part` of the object or array that starts at `position`."""
    position = _after_space(text, position)
    opening = text[position : position + 1]
    if opening not in ("{", "["):
        return None
    position, index = _after_space(text, position + 1), 0
    while text[position : position + 1] not in ("}", "]", ""):
        key: int | str = index
        if opening == "{":
            key, position = scanstring(text, position + 1, False)
            position = _after_space(text, position) + 1
        if key == part:
            return position
        position = _after_space(text, _end_of_value(text, position))
        position, index = _after_space(text, position + (text[position] == ",")), index + 1
    return None


def _end_of_value(text: str, position: int) -> int:
    try:
        return JSONDecoder(strict=False).raw_decode(text, _after_space(text, position))[1]
    except JSONDecodeError:
        return len(text)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


__all__ = ["Problem", "explain", "line_of"]
