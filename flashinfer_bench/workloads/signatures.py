"""Names of arguments that a dump holds by position, from the text of a function's signature."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_OPEN, _CLOSE, _QUOTES = "([{<", ")]}>", "'\""


@dataclass(frozen=True)
class Signature:
    """Parameters of a function."""

    positional: tuple[str, ...]
    rest: str | None
    """Name of `*args`."""
    keywords: str | None
    """Name of `**kwargs`."""
    named: frozenset[str]
    """Parameters that a keyword may mean."""
    defaults: Mapping[str, Any]
    """Those that are plain values."""

    def bind(
        self, values: Sequence[Any], named: Mapping[str, Any], *, defaults: bool = True
    ) -> dict[str, Any]:
        """Arguments by parameter; keywords without one in a dict of their own."""
        given = dict(zip(self.positional, values))
        if self.rest is not None:
            given[self.rest] = tuple(values[len(self.positional) :])
        others = {key: it for key, it in named.items() if key not in self.named}
        given.update({key: it for key, it in named.items() if key in self.named})
        if self.keywords is not None and others:
            given[self.keywords] = others
        elif others:
            given.update(others)
        given.pop("self", None)
        return {**self.defaults, **given} if defaults else given


@lru_cache(maxsize=512)
def read_signature(text: str) -> Signature:
    """Of `str(inspect.signature(function))`, whatever its annotations hold."""
    positional: list[str] = []
    named: set[str] = set()
    defaults: dict[str, Any] = {}
    rest = keywords = None
    only_named = False
    for part in _split(text.partition("(")[2].rpartition(")")[0]):
        name = _name(part)
        if part.startswith("**"):
            keywords = name
        elif part.startswith("*"):
            only_named, rest = True, name or None
        elif part != "/":
            if not only_named:
                positional.append(name)
            named.add(name)
            default = _default(part)
            if default is not None:
                defaults[name] = default[0]
    defaults.pop("self", None)
    return Signature(tuple(positional), rest, keywords, frozenset(named), defaults)


def _split(text: str) -> list[str]:
    """At commas outside of brackets and strings; the arrow of a callable is no bracket."""
    parts: list[str] = []
    depth, start, quote = 0, 0, ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[at - 1] != "\\" else quote
        elif sign in _QUOTES:
            quote = sign
        elif sign in _OPEN:
            depth += 1
        elif sign in _CLOSE and text[at - 1] not in "-=":
            depth -= 1
            if depth < 0:  # of `-> result` behind the parameters
                return [it.strip() for it in (*parts, text[start:at]) if it.strip()]
        elif sign == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [it.strip() for it in (*parts, text[start:]) if it.strip()]


def _name(part: str) -> str:
    return part.lstrip("*").partition(":")[0].partition("=")[0].strip()


def _default(part: str) -> tuple[Any] | None:
    """Behind the last `=`, where it is a plain value."""
    _, equals, value = part.rpartition("=")
    if not equals:
        return None
    try:
        return (ast.literal_eval(value.strip()),)
    except (ValueError, SyntaxError):
        return None


__all__ = ["Signature", "read_signature"]
