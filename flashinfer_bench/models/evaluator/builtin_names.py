"""Python's builtins, as far as evaluated code may use them."""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Callable
from typing import Any

from flashinfer_bench.models.evaluator import limits
from flashinfer_bench.models.evaluator.inner_names import namespace, read, remove, write
from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.evaluator.values import Refused, Undecided, is_unknown

_PLAIN = (
    *("abs", "all", "any", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate"),
    *("filter", "float", "format", "frozenset", "hash", "id", "int", "iter", "len", "list", "map"),
    *("max", "min", "next", "object", "ord", "pow", "print", "property", "repr", "reversed"),
    *("round", "set", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "type"),
    *("zip", "classmethod", "NotImplemented", "Ellipsis", "hex", "bin", "oct", "memoryview"),
    "bytearray",
)
_ERRORS = tuple(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


def _isinstance(value: Any, kinds: Any) -> Any:
    """Unknown where the value is, or where only unknown kinds could match."""
    if is_unknown(value):
        return value
    listed = _flat(kinds)
    if isinstance(value, tuple(it for it in listed if isinstance(it, type))):
        return True
    return next((it for it in listed if is_unknown(it) and not it.quiet), False)


def _issubclass(value: Any, kinds: Any) -> Any:
    if is_unknown(value):
        return value
    listed = _flat(kinds)
    return issubclass(value, tuple(it for it in listed if isinstance(it, type)))


def _flat(kinds: Any) -> list[Any]:
    parts = kinds if isinstance(kinds, tuple) else typing.get_args(kinds)
    if isinstance(kinds, (tuple, types.UnionType)) or typing.get_origin(kinds) is typing.Union:
        return [inner for it in parts for inner in _flat(it)]
    return [kinds]


def get_attribute(value: Any, name: Any, *default: Any) -> Any:
    """As `getattr`; where a stand-in knows nothing of a name, the default counts."""
    if is_unknown(name) or is_unknown(value):
        return name if is_unknown(name) else value
    try:
        found = _attribute(value, name)
    except AttributeError:
        if default:
            return default[0]
        raise
    if default and is_unknown(found) and not _is_stated(value, name):
        return default[0]
    return found


def _attribute(value: Any, name: str) -> Any:
    return value.evaluator.attribute(value, name) if type(value) is Module else read(value, name)


def _is_stated(value: Any, name: str) -> bool:
    """Whether an Unknown was assigned, and is not what a stand-in gives for any name."""
    stated = getattr(value, "__states__", None)
    return stated is None or stated(name)


def has_attribute(value: Any, name: Any) -> Any:
    """As `hasattr`; a stand-in has what it states."""
    if is_unknown(value) or is_unknown(name):
        return value if is_unknown(value) else name
    try:
        found = _attribute(value, name)
    except (AttributeError, Refused, Undecided):
        return False
    return not is_unknown(found) or _is_stated(value, name)


def _set_attribute(value: Any, name: Any, new: Any) -> None:
    if type(value) is Module:
        value.rebind(name, new)
    elif not is_unknown(value) and not is_unknown(name):
        write(value, name, new)


def _callable(value: Any) -> Any:
    return value if is_unknown(value) else callable(value)


def _no_print(*args: Any, **keywords: Any) -> None:
    """Evaluated code has nowhere to print to."""


def _no_file(path: Any = None, *args: Any, **options: Any) -> Any:
    """Evaluated code reads no files: to it there are none."""
    raise FileNotFoundError(f"{path}: files are not read")


BUILTINS: dict[str, Any] = {
    **{name: getattr(builtins, name) for name in (*_PLAIN, *_ERRORS)},
    "callable": _callable,
    "format": limits.formatted,
    "iter": limits.limited_iter,
    "pow": limits.power,
    "delattr": remove,
    "getattr": get_attribute,
    "hasattr": has_attribute,
    "open": _no_file,
    "isinstance": _isinstance,
    "issubclass": _issubclass,
    "print": _no_print,
    "range": limits.limited_range,
    "setattr": _set_attribute,
    "vars": namespace,
    "__debug__": True,
}

Native = Callable[..., Any]

__all__ = ["BUILTINS", "get_attribute", "has_attribute"]
