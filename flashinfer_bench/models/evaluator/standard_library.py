"""Modules of the standard library that evaluated code may use: pure ones, and shells of others."""

from __future__ import annotations

import abc
import collections
import collections.abc
import contextlib
import copy
import dataclasses
import enum
import functools
import itertools
import operator
import re
import types
import typing
import warnings
from typing import Any

from flashinfer_bench.models.evaluator.builtin_names import get_attribute
from flashinfer_bench.models.evaluator.dataclass_classes import dataclass
from flashinfer_bench.models.evaluator.limits import MATH, product
from flashinfer_bench.models.evaluator.values import Unknown


class Shell:
    """Stands for a module: what is stated, and Unknown for every other name."""

    def __init__(self, name: str, **stated: Any) -> None:
        self.__dict__.update(stated)
        self.__dict__["_shell"] = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{self.__dict__['_shell']}.{name} is not evaluated", quiet=True)

    def __states__(self, name: str) -> bool:
        return name in self.__dict__

    def renewed(self) -> Shell:
        """A copy that can be changed alone."""
        made = Shell("")
        for name, value in self.__dict__.items():
            made.__dict__[name] = dict(value) if type(value) is dict else value
        return made

    def __repr__(self) -> str:
        return f"<stand-in for {self.__dict__['_shell']}>"


def _nothing(*args: Any, **keywords: Any) -> None:
    """Of what evaluated code says or registers there is no effect."""


class Logger:
    """Says nothing."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _cached(function: Any = None, **options: Any) -> Any:
    """As `functools.cache` and `lru_cache`, without keeping anything."""
    return function if callable(function) else lambda inner: inner


def _attribute_getter(*paths: str) -> Any:
    """As `operator.attrgetter`."""

    def get(value: Any) -> Any:
        found = tuple(functools.reduce(get_attribute, it.split("."), value) for it in paths)
        return found[0] if len(paths) == 1 else found

    return get


def _only(module: Any, *names: str) -> Shell:
    return Shell(module.__name__, **{name: getattr(module, name) for name in names})


_COLLECTIONS = ("OrderedDict", "defaultdict", "namedtuple", "deque", "Counter")
_ITERTOOLS = ("chain", "accumulate", "islice", "groupby", "zip_longest", "starmap")
_COMPILING = ("ForwardRef", "evaluate_forward_ref", "get_type_hints")
"""Of `typing`; they run text as Python."""
_TYPING = {name: getattr(typing, name) for name in typing.__all__ if name not in _COMPILING}
_TYPING.update(
    TYPE_CHECKING=False, override=lambda function: function, NamedTuple=typing.NamedTuple
)
_FUNCTOOLS = Shell(
    "functools",
    partial=functools.partial,
    reduce=functools.reduce,
    cached_property=functools.cached_property,
    partialmethod=functools.partialmethod,
    wraps=lambda function: lambda inner: inner,
    cache=_cached,
    lru_cache=_cached,
    total_ordering=lambda cls: cls,
    singledispatch=lambda function: function,
)
_LOGGING = Shell("logging", getLogger=lambda *names: Logger(), Logger=Logger)
_OS = Shell("os", environ={}, getenv=lambda name, default=None: default, getpid=lambda: 1)

_MODULES: dict[str, Any] = {
    "__future__": Shell("__future__", annotations=None),
    "abc": _only(abc, "ABC", "ABCMeta", "abstractmethod"),
    "collections": _only(
        collections, "OrderedDict", "defaultdict", "namedtuple", "deque", "Counter"
    ),
    "collections.abc": _only(collections.abc, *collections.abc.__all__),
    "contextlib": _only(
        contextlib,
        "contextmanager",
        "nullcontext",
        "suppress",
        "ExitStack",
        "AbstractContextManager",
    ),
    "copy": _only(copy, "copy", "deepcopy"),
    "dataclasses": Shell(
        "dataclasses",
        dataclass=dataclass,
        field=dataclasses.field,
        fields=dataclasses.fields,
        replace=dataclasses.replace,
        asdict=dataclasses.asdict,
        is_dataclass=dataclasses.is_dataclass,
        MISSING=dataclasses.MISSING,
    ),
    "enum": _only(enum, "Enum", "IntEnum", "Flag", "IntFlag", "auto", "unique"),
    "functools": _FUNCTOOLS,
    "itertools": _only(itertools, *_ITERTOOLS),
    "logging": _LOGGING,
    "math": Shell("math", **MATH),
    "operator": _only(operator, "mul", "add", "or_", "and_", "itemgetter"),
    "os": _OS,
    "re": _only(re, "compile", "match", "search", "sub", "fullmatch", "findall", "split", "escape"),
    "types": _only(types, "SimpleNamespace", "MappingProxyType"),
    "typing": Shell("typing", **_TYPING),
    "typing_extensions": Shell("typing_extensions", **_TYPING),
    "warnings": _only(warnings),
}
_MODULES["itertools"].__dict__["product"] = product
_MODULES["operator"].__dict__["attrgetter"] = _attribute_getter
_MODULES["regex"] = _MODULES["re"]
_MODULES["warnings"].__dict__["warn"] = _nothing


def standard_library() -> dict[str, Any]:
    """Name -> module, for one evaluation: what its code sets there ends with it."""
    return {name: shell.renewed() for name, shell in _MODULES.items()}


__all__ = ["Logger", "Shell", "standard_library"]
