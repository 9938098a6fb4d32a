"""A configuration for an architecture of which none is at hand: the defaults of its config class.

The class is the one that the constructor's annotation names, or that transformers lists for the
architecture. Where there is none, every attribute is Unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.evaluator.values import Unknown, is_unknown

_AUTO = "transformers.models.auto.modeling_auto"
_MAPPING = "_MAPPING_NAMES"


def default_config(evaluator: Evaluator, cls: type, name: str) -> dict[str, Any]:
    """As a config.json that states nothing but what kind of model it is."""
    kinds = (*_annotated(evaluator, cls), *_listed(evaluator, name))
    stated = {"architectures": [name]}
    return {**stated, "model_type": kinds[0]} if kinds else stated


def _annotated(evaluator: Evaluator, cls: type) -> Iterator[str]:
    """Kind of the configuration that `config: SomeConfig` of a constructor names."""
    for base in cls.__mro__:
        start = vars(base).get("__init__")
        if not isinstance(start, Function):
            continue
        arguments = start.node.args
        for argument in (*arguments.args, *arguments.kwonlyargs):
            if argument.arg == "config" and argument.annotation is not None:
                yield from _kinds(evaluator, start, argument.annotation)


def _kinds(evaluator: Evaluator, start: Function, annotation: ast.expr) -> Iterator[str]:
    names = [node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)]
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        names.append(annotation.value)
    for name in names:
        try:
            kind = getattr(start.scope.look_up(name), "model_type", "")
        except (NameError, ImportError):
            continue  # a name that only type checkers see
        if isinstance(kind, str) and kind:
            yield kind


def _listed(evaluator: Evaluator, name: str) -> Iterator[str]:
    """Kinds of model that transformers has a class of this name for."""
    source = evaluator.finder.find(_AUTO)
    if source is None:
        return
    module = Module(evaluator, _AUTO, source)
    for table in module.source.binding:
        if table.endswith(_MAPPING):
            found = module.global_value(table)
            for kind, listed in () if is_unknown(found) else found.items():
                if name in (listed if isinstance(listed, (tuple, list)) else (listed,)):
                    yield kind


class OpenConfig:
    """A configuration that states nothing: every attribute is Unknown."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"config.{name} is not stated")

    def __states__(self, name: str) -> bool:
        return name in vars(self)


def with_unknowns(config: Any) -> Any:
    """The configuration, whose attributes that nothing states are Unknown."""
    plain = type(config)
    before = getattr(plain, "__getattr__", None)

    def missing(self: Any, name: str) -> Any:
        if before is not None:
            try:
                return before(self, name)
            except AttributeError:
                pass  # then it is unknown, as below
        if name.startswith("_"):
            raise AttributeError(name)
        return Unknown(f"config.{name} is not stated")

    def states(self: Any, name: str) -> bool:
        return name in vars(self) or hasattr(plain, name)

    config.__class__ = type(
        plain.__name__, (plain,), {"__getattr__": missing, "__states__": states}
    )
    return config


__all__ = ["OpenConfig", "default_config", "with_unknowns"]
