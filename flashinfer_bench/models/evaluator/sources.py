"""Source files, reduced to records of what each top-level statement binds.

A record is kept in the cache by the file's content, so that a file is parsed whole once; afterwards
only the statements that are needed are parsed. `ast` is used, as libcst takes ten times as long.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.env import cache_path
from flashinfer_bench.models.evaluator.values import sealed

_FORMAT = 4
"""Of the records; older ones are made anew."""


@dataclass(frozen=True)
class Statement:
    """A top-level statement, and the names that it may bind or change."""

    first: int
    """Line, from 1, of its decorators where it has some."""
    last: int
    binds: tuple[str, ...]
    changes: tuple[str, ...] = ()
    """Names whose value it changes in place, as `TABLE[key] = …` and `TABLE.update(…)` do."""


@sealed
@dataclass
class SourceFile:
    """One file of a package, parsed as far as it is asked for."""

    path: Path
    name: str
    """Relative to the folder of its package, for messages."""
    _parsed: dict[int, ast.stmt] = field(default_factory=dict)

    @cached_property
    def _text(self) -> str:
        """Empty for a folder without an `__init__.py`."""
        if not self.path.is_file():
            return ""
        return self.path.read_text(encoding="utf-8-sig", errors="replace")

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.split("\n")

    @cached_property
    def statements(self) -> list[Statement]:
        """In source order."""
        key = hashlib.sha256(f"{_FORMAT}\n{self._text}".encode()).hexdigest()[:32]
        cached = cache_path() / "source_facts" / key[:2] / f"{key}.json"
        try:
            return [_from_row(row) for row in json.loads(cached.read_bytes())]
        except (OSError, ValueError, TypeError, IndexError):
            pass  # not there, or not readable: made anew
        tree = ast.parse(self._text, filename=str(self.path))
        found = [_reduced(statement) for statement in tree.body]
        self._parsed = dict(enumerate(tree.body))
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cached, json.dumps([_to_row(it) for it in found]).encode())
        return found

    @cached_property
    def binding(self) -> Mapping[str, list[int]]:
        """Name -> numbers of the statements that may bind it, in source order."""
        return _grouped((name, at) for at, it in enumerate(self.statements) for name in it.binds)

    @cached_property
    def changing(self) -> Mapping[str, list[int]]:
        """Name -> numbers of the statements that change its value in place."""
        return _grouped((name, at) for at, it in enumerate(self.statements) for name in it.changes)

    def parse(self, number: int) -> ast.stmt:
        """The statement of a number, with the file's own lines."""
        if number not in self._parsed:
            statement = self.statements[number]
            before = "\n" * (statement.first - 1)
            text = before + "\n".join(self._lines[statement.first - 1 : statement.last])
            self._parsed[number] = ast.parse(text, filename=str(self.path)).body[0]
        return self._parsed[number]


def _reduced(node: ast.stmt) -> Statement:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(it.lineno for it in decorators)])
    binds = dict.fromkeys(bound_names(node))
    changes = dict.fromkeys(it for it in _changed_names(node) if it not in binds)
    return Statement(first, node.end_lineno or first, tuple(binds), tuple(changes))


def bound_names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement may bind in its own scope."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0]
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _target_names(target)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        if getattr(node, "value", None) is not None:
            yield from _target_names(node.target)
    else:
        if isinstance(node, ast.For):
            yield from _target_names(node.target)
        for inner in _inner_statements(node):
            yield from bound_names(inner)


def _inner_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body


def _target_names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _target_names(element)
    elif isinstance(target, ast.Starred):
        yield from _target_names(target.value)


def _changed_names(node: ast.stmt) -> Iterator[str]:
    """Roots of assigned items and attributes, and of methods that are called as statements."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from _root(target)
    elif isinstance(node, ast.Delete):
        for target in node.targets:
            yield from _root(target)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield from _root(node.value.func)
    elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for inner in _inner_statements(node):
            yield from _changed_names(inner)
        if isinstance(node, ast.For):
            yield from (it.id for it in ast.walk(node.iter) if isinstance(it, ast.Name))


def _root(node: ast.expr) -> Iterator[str]:
    inside = False
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node, inside = node.value, True
    if inside and isinstance(node, ast.Name):
        yield node.id


def _grouped(pairs: Iterator[tuple[str, int]]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for name, number in pairs:
        groups.setdefault(name, []).append(number)
    return groups


def _to_row(it: Statement) -> list[object]:
    return [it.first, it.last, it.binds, it.changes]


def _from_row(row: list[object]) -> Statement:
    first, last, binds, changes = row
    return Statement(int(first), int(last), tuple(binds), tuple(changes))  # type: ignore


__all__ = ["SourceFile", "Statement", "bound_names"]
