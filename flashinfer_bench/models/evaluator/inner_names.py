"""What evaluated code may not reach: Python's inner names, and the evaluator's own objects."""

from __future__ import annotations

import ast
import functools
import pathlib
import types
import typing
from typing import Any

from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.values import Refused, is_sealed, sealed

_KINDS = (
    *(type, object, int, str, list, dict, property, functools.partial, types.FunctionType),
    *(
        types.MethodType,
        types.BuiltinFunctionType,
        types.CodeType,
        types.FrameType,
        types.ModuleType,
    ),
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
    *(
        types.TracebackType,
        types.WrapperDescriptorType,
        types.MethodDescriptorType,
        types.GetSetDescriptorType,
    ),
)
_HARMLESS = {
    f"__{name}__"
    for name in (
        *("init", "new", "init_subclass", "call", "class", "name", "qualname", "module", "doc"),
        *("dict", "annotations", "mro", "func", "wrapped", "isabstractmethod", "dir", "file"),
        *("path", "getattr", "setattr", "delattr", "getitem", "setitem", "delitem", "contains"),
        *("len", "iter", "next", "bool", "int", "float", "index", "str", "repr", "hash", "abs"),
        *("eq", "ne", "lt", "le", "gt", "ge", "or", "and", "neg", "class_getitem", "reversed"),
    )
}
_PREFIXES = ("__", "f_", "tb_", "gi_", "co_", "cr_", "ag_")
FORBIDDEN = frozenset(
    {name for kind in _KINDS for name in dir(kind) if name.startswith(_PREFIXES)} - _HARMLESS
    | {"__import__", "__loader__", "__spec__", "__builtins__", "__traceback__", "__bases__"}
    | {"__dataclass_fields__", "_convert_", "_evaluate", "with_traceback"}
)
"""Attributes that reach inside Python itself, and those that make it compute without a budget."""

_SEALED: tuple[type, ...] = (
    *(ast.AST, pathlib.PurePath, types.ModuleType, types.CodeType, types.FrameType),
    *(types.TracebackType, typing.ForwardRef),
)
for _kind in _SEALED:
    sealed(_kind)


def read(value: Any, name: str) -> Any:
    """As `getattr`; raises Refused for inner names."""
    _check(value, name)
    function = value.__func__ if type(value) is types.MethodType else value
    if isinstance(function, Function) and (name in Function.inner or name in _OF_FUNCTIONS):
        if name not in _OF_FUNCTIONS:
            raise AttributeError(f"a function has no attribute {name!r}")
        return _OF_FUNCTIONS[name](function)
    return namespace(value) if name == "__dict__" else getattr(value, name)


_OF_FUNCTIONS: dict[str, Any] = {
    "__name__": lambda function: function.__name__,
    "__qualname__": lambda function: function.__name__,
    "__module__": lambda function: function.scope.module.name,
    "__doc__": lambda function: None,
}


def write(value: Any, name: str, new: Any) -> None:
    """As `setattr`; without effect on classes and functions that were not evaluated."""
    _check(value, name)
    if name in ("__class__", "__dict__") and not is_evaluated(type(value)):
        raise Refused(f"{name} of {type(value).__name__} is not assigned")
    if isinstance(value, Function) and name in Function.inner:
        return
    if _is_open(value):
        setattr(value, name, new)


def remove(value: Any, name: str) -> None:
    """As `delattr`; without effect on classes and functions that were not evaluated."""
    _check(value, name)
    if _is_open(value) and not (isinstance(value, Function) and name in Function.inner):
        delattr(value, name)


def namespace(value: Any) -> Any:
    """As `vars`; raises Refused for what is not evaluated source's."""
    if isinstance(value, type):
        if not is_evaluated(value):
            raise Refused(f"names of {value.__name__}: inner names are not evaluated")
    elif is_sealed(value) or isinstance(value, types.FunctionType):
        raise Refused(f"names of {type(value).__name__}: inner names are not evaluated")
    return value.__dict__


def is_evaluated(kind: type) -> bool:
    return "__evaluated__" in vars(kind)


def _is_open(value: Any) -> bool:
    return is_evaluated(value) if isinstance(value, type) else type(value) is not types.FunctionType


def _check(value: Any, name: str) -> None:
    if name in FORBIDDEN or (value is type and name in ("__setattr__", "__delattr__")):
        raise Refused(f"{name} of {type(value).__name__}: inner names are not evaluated")
    if is_sealed(value):
        raise Refused(f"{name} of {value!r}: not evaluated source's")


__all__ = ["FORBIDDEN", "is_evaluated", "namespace", "read", "remove", "write"]
