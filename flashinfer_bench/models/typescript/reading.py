"""What a `models.ts` holds: blocks of ours between markers, and entries written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from flashinfer_bench.errors import DataError
from flashinfer_bench.models.typescript.literals import (
    UnreadableError,
    read_literal,
    string_value,
)
from flashinfer_bench.models.typescript.tokens import Source, Token

_MARKER = re.compile(r"//[ \t]*model:(\S+)[ \t]+(begin|end)\s*")


@dataclass(frozen=True)
class ReadEntry:
    """One entry of the array `models`."""

    id: str | None
    """None where it cannot be told."""
    value: dict[str, Any] | None
    """None where the entry is not a plain object."""
    line: int
    """Where it begins, from 1."""
    ours: bool
    """Whether it lies between markers."""
    reason: str | None = None
    """What stands in the way of reading it."""


class Item(NamedTuple):
    """Tokens of one element of the array, `start` to `stop`; the comma after it is `stop`."""

    start: int
    stop: int


class Block(NamedTuple):
    """What lies between two markers."""

    id: str
    begin: Token
    end: Token


class ModelsFile:
    """Where the array `models` of a source is, its elements, and our blocks.

    Raises DataError, with a line, without such an array or where markers do not fit together.
    """

    def __init__(self, text: str) -> None:
        self.source = Source(text)
        self.declaration, self.open = _find_array(self.source)
        self.close = self.source.closing[self.open]
        self.items = list(self._items())
        self.blocks = {block.id: block for block in self._blocks()}
        self._check_places()

    def entries(self) -> list[ReadEntry]:
        """All elements, in the order of the file."""
        ends = sorted((block.begin.start, block.end.start) for block in self.blocks.values())
        found = []
        at = 0
        for item in self.items:
            start = self.source.tokens[item.start].start
            while at < len(ends) and ends[at][1] < start:
                at += 1
            found.append(self._entry(item, at < len(ends) and ends[at][0] < start))
        return found

    def _entry(self, item: Item, ours: bool) -> ReadEntry:
        source = self.source
        line = source.line(source.tokens[item.start].start)
        try:
            value = read_literal(source, item.start, item.stop)
        except UnreadableError as error:
            return ReadEntry(self._id(item), None, line, ours, f"found {error}")
        if not isinstance(value, dict):
            return ReadEntry(None, None, line, ours, "found no object")
        name = value.get("id")
        return ReadEntry(name if isinstance(name, str) else None, value, line, ours)

    def _id(self, item: Item) -> str | None:
        """The `id` of an object that has more than plain values."""
        tokens = self.source.tokens
        index = item.start
        while index < item.stop and tokens[index].text == "(":
            index += 1
        if tokens[index].text != "{":
            return None
        index += 1
        while index + 2 < item.stop:
            key, colon, value = tokens[index : index + 3]
            named = key.text in ("id", '"id"', "'id'") and tokens[index - 1].text in ("{", ",")
            if named and colon.text == ":" and value.kind == "string":
                try:
                    return string_value(value.text)
                except UnreadableError:
                    return None
            index = self.source.closing.get(index, index) + 1
        return None

    def _items(self) -> Iterator[Item]:
        start = index = self.open + 1
        while index <= self.close:
            if index == self.close or self.source.tokens[index].text == ",":
                if index > start:
                    yield Item(start, index)
                start = index + 1
            index = self.source.closing.get(index, index) + 1

    def _markers(self) -> Iterator[tuple[str, str, Token]]:
        """Markers on lines of their own, right inside the array."""
        tokens = self.source.tokens
        index = self.open
        for comment in self.source.comments:
            while index < self.close and tokens[index].start < comment.start:
                inside = self.source.closing.get(index, index) if index != self.open else index
                if tokens[inside].start > comment.start:
                    break
                index = inside + 1
            begins = index <= self.close and tokens[index].start < comment.start
            if comment.start < tokens[self.open].start or begins or index > self.close:
                continue
            if tokens[self.close].start < comment.start:
                return
            match = _MARKER.fullmatch(comment.text)
            if match and self.source.indent(comment.start) is not None:
                yield match[1], match[2], comment

    def _blocks(self) -> Iterator[Block]:
        source = self.source
        opened: tuple[str, Token] | None = None
        seen: dict[str, Token] = {}
        for name, word, token in self._markers():
            if word == "begin" and opened is not None:
                raise source.error(token.start, f"marker of {name!r} begins inside {opened[0]!r}")
            if word == "begin" and name in seen:
                line = source.line(seen[name].start)
                raise source.error(token.start, f"a second block of {name!r}, first in line {line}")
            if word == "begin":
                opened = name, token
                seen[name] = token
                continue
            if opened is None or opened[0] != name:
                raise source.error(token.start, f"marker ends {name!r}, which did not begin")
            yield Block(name, opened[1], token)
            opened = None
        if opened is not None:
            raise source.error(
                opened[1].start, f"marker begins {opened[0]!r}, expected its end further down"
            )

    def _check_places(self) -> None:
        """No marker may lie inside an element, or between it and its comma."""
        tokens = self.source.tokens
        spans = [(tokens[item.start].start, tokens[item.stop].start) for item in self.items]
        marks = [mark for block in self.blocks.values() for mark in (block.begin, block.end)]
        last = tokens[self.items[-1].stop - 1].start if self.items else 0
        at = 0
        for mark in sorted(marks, key=lambda token: token.start):
            while at < len(spans) and spans[at][1] < mark.start:
                at += 1
            inside = at < len(spans) and spans[at][0] < mark.start
            if inside and not (at == len(spans) - 1 and mark.start > last):
                raise self.source.error(
                    mark.start, f"{mark.text.strip()!r} stands before the comma of an entry"
                )


def read_models(text: str) -> list[ReadEntry]:
    """All entries of the array `models`; those that are no plain literals come with a reason.

    Raises DataError, with a line, where the file has no such array, or is broken: something has no
    end, brackets or markers do not match.
    """
    return ModelsFile(text).entries()


def _find_array(source: Source) -> tuple[int, int]:
    """Indices of the name `models` where it is declared, and of the bracket of its array."""
    tokens = source.tokens
    index = 0
    while index + 1 < len(tokens):
        token = tokens[index]
        if token.text in ("const", "let", "var") and tokens[index + 1].text == "models":
            start = _initializer(source, index + 2)
            if start < len(tokens) and tokens[start].text == "[":
                return index + 1, start
            raise source.error(token.start, "models is no array, expected `const models = [`")
        index = source.closing.get(index, index) + 1
    raise DataError("line 1: no array of models, expected `export const models = [` in this file")


def _initializer(source: Source, index: int) -> int:
    """Index of the token after the `=` of a declaration."""
    while index < len(source.tokens) and source.tokens[index].text not in ("=", ";"):
        index = source.closing.get(index, index) + 1
    return index + 1


__all__ = ["Block", "Item", "ModelsFile", "ReadEntry", "read_models"]
