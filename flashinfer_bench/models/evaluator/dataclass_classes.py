"""Data classes, made without compiling the source that Python's own `dataclass` writes."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

from flashinfer_bench.models.evaluator.functions import Parameters

_MADE_LATER = object()
_ORDER = {f"__{name}__": getattr(operator, name) for name in ("lt", "le", "gt", "ge")}


def dataclass(cls: Any = None, **options: Any) -> Any:
    """As `dataclasses.dataclass`, with and without arguments; slots are not made."""
    if cls is None:
        return lambda inner: dataclass(inner, **options)
    cls.__doc__ = cls.__doc__ or cls.__name__
    only_fields = {"init": False, "repr": False, "eq": False, "match_args": False}
    dataclasses.dataclass(**only_fields, kw_only=options.get("kw_only", False))(cls)
    for name, value in _methods(cls, options).items():
        if name not in vars(cls):
            setattr(cls, name, value)
    return cls


def _methods(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    frozen = options.get("frozen", False)
    made: dict[str, Any] = {}
    if options.get("init", True):
        made["__init__"] = _init(cls, frozen)
    if options.get("repr", True):
        made["__repr__"] = _repr
    if options.get("eq", True):
        made["__eq__"] = _comparing(cls, operator.eq)
        made["__hash__"] = (lambda self: hash(_compared(self))) if frozen else None
    if options.get("order", False):
        made.update((name, _comparing(cls, compare)) for name, compare in _ORDER.items())
    if frozen:
        made["__setattr__"] = made["__delattr__"] = _frozen
    return made


def _init(cls: Any, frozen: bool) -> Callable[..., None]:
    own = {it.name for it in dataclasses.fields(cls)}
    listed = [
        it
        for it in cls.__dataclass_fields__.values()
        if it.name in own or isinstance(it.type, dataclasses.InitVar)
    ]
    started = [it for it in listed if it.init]
    parameters = Parameters(
        ("self", *(it.name for it in started if not it.kw_only)),
        tuple(it.name for it in started if it.kw_only),
        None,
        None,
        {it.name: _default(it) for it in started if _default(it) is not dataclasses.MISSING},
    )
    put = object.__setattr__ if frozen else setattr

    def start(self: Any, *args: Any, **keywords: Any) -> None:
        given = parameters.bind("__init__", (self, *args), keywords)
        for field in listed:
            value = given.get(field.name, _default(field) if not field.init else None)
            if value is _MADE_LATER:
                value = given[field.name] = field.default_factory()
            if field.name in own and value is not dataclasses.MISSING:
                put(self, field.name, value)
        finish = getattr(self, "__post_init__", None)
        if finish is not None:
            finish(*[given[it.name] for it in listed if it.name not in own])

    return start


def _default(field: Any) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else _MADE_LATER


def _repr(self: Any) -> str:
    parts = [f"{it.name}={getattr(self, it.name)!r}" for it in dataclasses.fields(self) if it.repr]
    return f"{type(self).__qualname__}({', '.join(parts)})"


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, it.name) for it in dataclasses.fields(self) if it.compare)


def _comparing(cls: type, compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(self: Any, other: Any) -> Any:
        if type(self) is not type(other):
            return NotImplemented
        return compare(_compared(self), _compared(other))

    return compared


def _frozen(self: Any, name: str, *value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


__all__ = ["dataclass"]
