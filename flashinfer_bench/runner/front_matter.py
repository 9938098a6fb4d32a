"""The header of a SKILL.md: the small part of YAML that every agent reads alike."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flashinfer_bench.errors import DataError

_FENCE = "---"
_ENTRY = re.compile(r"(?P<key>[A-Za-z][\w-]*):(?:\s+(?P<value>.*))?$")
_ITEM = re.compile(r"\s*- (?P<value>.+)$")
_UNSUPPORTED = ("|", ">", "&", "*", "!", "%", "@", "`", "{", "#")
"""Starts of a plain value that mean something else in YAML."""

Value = str | list[str] | dict[str, str]


@dataclass
class FrontMatter:
    """What a header states."""

    fields: dict[str, Value] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Where each field stands, from 1."""
    body: str = ""
    line_of_body: int = 1


def parse(text: str, path: Path) -> FrontMatter:
    """Header and body of a file; DataError with file and line where it is not what we allow.

    Allowed are `key: value`, quoted strings, lists as `[a, b]` or `- item` lines, and one level of
    `key: value` lines below a key.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise DataError(f"{path}:1: expected a header that starts with ---")
    ends = [i for i in range(1, len(lines)) if lines[i].rstrip() == _FENCE]
    if not ends:
        raise DataError(f"{path}:{len(lines)}: the header is not closed by ---")
    found = FrontMatter(body="\n".join(lines[ends[0] + 1 :]).lstrip("\n"))
    found.line_of_body = text[: len(text) - len(found.body)].count("\n") + 1
    i = 1
    while i < ends[0]:
        i = _read_entry(lines[: ends[0]], i, path, found)
    return found


def _read_entry(lines: Sequence[str], i: int, path: Path, found: FrontMatter) -> int:
    """Reads the field of line `i`; the first line after it."""
    where = f"{path}:{i + 1}"
    if not lines[i].strip() or lines[i].startswith("#"):
        return i + 1
    entry = _ENTRY.match(lines[i].rstrip())
    if entry is None:
        raise DataError(f"{where}: expected `key: value`, found {lines[i].strip()!r}")
    key, value = entry["key"], entry["value"]
    if key in found.fields:
        raise DataError(f"{where}: {key} is stated twice")
    found.lines[key] = i + 1
    if value:
        found.fields[key] = _value(value, where)
        return i + 1
    end = i + 1
    while end < len(lines) and (lines[end].startswith(" ") or _ITEM.match(lines[end])):
        end += 1
    found.fields[key] = _block(lines, range(i + 1, end), path)
    return end


def _block(lines: Sequence[str], rows: range, path: Path) -> Value:
    items = [_ITEM.match(lines[i]) for i in rows]
    if rows and all(items):
        return [_scalar(it["value"], f"{path}:{i + 1}") for i, it in zip(rows, items) if it]
    found: dict[str, str] = {}
    for i in rows:
        entry = _ENTRY.match(lines[i].strip())
        if entry is None or not entry["value"]:
            what = "expected an indented `key: value` or `- item`"
            raise DataError(f"{path}:{i + 1}: {what}, found {lines[i].strip()!r}")
        if entry["key"] in found:
            raise DataError(f"{path}:{i + 1}: {entry['key']} is stated twice")
        found[entry["key"]] = _scalar(entry["value"], f"{path}:{i + 1}")
    return found or ""


def _value(text: str, where: str) -> Value:
    if text.startswith("["):
        if not text.endswith("]"):
            raise DataError(
                f"{where}: the list is not closed by ]; quote a text that starts with ["
            )
        return [_scalar(it.strip(), where) for it in text[1:-1].split(",") if it.strip()]
    return _scalar(text, where)


def _scalar(text: str, where: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        return _double_quoted(text, where)
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'") or "'" in text[1:-1].replace("''", ""):
            raise DataError(f"{where}: the quote is not closed")
        return text[1:-1].replace("''", "'")
    if text.startswith(_UNSUPPORTED) or ": " in text or " #" in text or text.endswith(":"):
        raise DataError(f"{where}: quote this value, YAML reads it as something else: {text!r}")
    return text


def _double_quoted(text: str, where: str) -> str:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: the quoted text is not closed or not escaped") from error
    return str(found)


__all__ = ["FrontMatter", "Value", "parse"]
