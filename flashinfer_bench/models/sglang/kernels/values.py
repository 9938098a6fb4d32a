"""What the walk over a `forward` computes with: names, objects and two ways not to know."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from flashinfer_bench.models.sglang.kernels.files import Definition, File


class Open(Enum):
    """Values that are not known."""

    SOMETHING = "something"
    """A tensor or what a call gave: not None."""
    OPTION = "option"
    """An attribute that nothing states: taken to be off."""


SOMETHING, OPTION = Open.SOMETHING, Open.OPTION
_WAYS = 16


@dataclass(frozen=True)
class Full:
    """What an import names, such as a kernel."""

    name: str


@dataclass(frozen=True)
class Token:
    """A member of an enumeration, by its text."""

    text: str


@dataclass(frozen=True)
class Wrapper:
    """An object of a wrapper class of FlashInfer."""

    name: str
    """Full name of the class."""


@dataclass
class Object:
    """An object of a class of SGLang; with a path it is a module of the tree."""

    bases: tuple[tuple[File, ast.ClassDef], ...]
    """Its class and those it inherits from."""
    attributes: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    children: Mapping[str, Any] = field(default_factory=dict)
    """Nodes of modules inside, by name."""

    def method(self, name: str, after: ast.ClassDef | None = None) -> Method | None:
        """As Python finds it; `after` a class where `super()` asks."""
        seen = after is None
        for file, node in self.bases:
            for it in node.body if seen else ():
                if isinstance(it, Definition) and it.name == name:
                    return Method(file, it, self, node)
            seen = seen or node is after
        return None


@dataclass(frozen=True)
class Method:
    """A function of SGLang, with the object that it is called on if any."""

    file: File
    node: Definition | ast.Lambda
    owner: Object | None = None
    within: ast.ClassDef | None = None


@dataclass(frozen=True)
class Boundary:
    """What hands the stream between stages: it runs a norm as it prepares."""

    norm: Object
    first: bool
    """Whether it is the first of its layer."""


@dataclass(frozen=True)
class Condition:
    """A test, and which way it went."""

    text: str
    taken: bool

    def __str__(self) -> str:
        return self.text if self.taken else f"not ({self.text})"


@dataclass(frozen=True)
class Alternatives:
    """What a name is, by tests that are not decided here."""

    ways: tuple[tuple[tuple[Condition, ...], Any], ...]
    """Tests, and what it is then: a function, an object or a kernel."""


@dataclass(frozen=True)
class Given:
    """What a function gives that a constructor calls, such as one that chooses a kernel."""

    method: Method


def alternatives(ways: Iterable[tuple[tuple[Condition, ...], Any]]) -> Any:
    """Those that can be called; OPTION where none can, the only one where no test stands."""
    found: dict[Any, tuple[tuple[Condition, ...], Any]] = {}
    for tests, it in ways:
        inner = it.ways if isinstance(it, Alternatives) else (((), it),)
        for more, value in inner:
            if callable_value(value):
                found.setdefault(_key((*tests, *more), value), ((*tests, *more), value))
    rows = tuple(found.values())[:_WAYS]
    if len(rows) == 1 and not rows[0][0]:
        return rows[0][1]
    return Alternatives(rows) if rows else OPTION


def callable_value(value: Any) -> bool:
    return isinstance(value, (Method, Object, Full, Given, Alternatives))


def _key(tests: tuple[Condition, ...], value: Any) -> Any:
    same = value.name if isinstance(value, Full) else id(getattr(value, "node", value))
    return tests, same


def truth(value: Any) -> bool:
    """What is not known is off."""
    if isinstance(value, Open):
        return False
    return bool(value)


def is_none(value: Any) -> bool:
    return value is None or value is OPTION


def compared(left: Any, operator: ast.cmpop, right: Any) -> bool:
    """Of one comparison; of what is not known, `!=`, `not in` and `<=` are taken to hold."""
    negated = isinstance(operator, (ast.NotEq, ast.NotIn, ast.IsNot))
    if isinstance(operator, (ast.Is, ast.IsNot)) and right is None:
        return is_none(left) != negated
    if isinstance(left, Open) or isinstance(right, Open):
        return negated or isinstance(operator, ast.LtE)
    if isinstance(operator, (ast.In, ast.NotIn)):
        try:
            return bool(left in right) != negated
        except TypeError:
            return negated
    if isinstance(operator, (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)):
        return bool(left == right) != negated
    try:
        return bool(_ORDERS[type(operator)](left, right))
    except TypeError:
        return False


_ORDERS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}

__all__ = [
    *("ARITHMETIC", "OPTION", "SOMETHING", "Alternatives", "Boundary", "Condition", "Full"),
    *("Given", "Method", "Object", "Open", "Token", "Wrapper", "alternatives", "callable_value"),
    *("compared", "is_none", "truth"),
]
