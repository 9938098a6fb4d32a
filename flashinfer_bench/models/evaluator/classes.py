"""Classes of the evaluated source, made as real ones, so that inheritance is Python's own."""

from __future__ import annotations

import ast
import types
import typing
from typing import TYPE_CHECKING, Any

from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.values import is_unknown

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator

_IMPLICIT: dict[str, Any] = {
    "__init_subclass__": classmethod,
    "__class_getitem__": classmethod,
    "__new__": staticmethod,
}
"""Methods that Python takes for these without a decorator."""


class UnknownBase:
    """Takes whatever a constructor hands on; has every attribute, as an Unknown."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(self).__unknown_bases__[0]  # type: ignore[attr-defined]


def make_class(evaluator: Evaluator, node: ast.ClassDef, scope: Scope) -> type:
    """The class that a statement defines; bases that are unknown are left out and remembered."""
    module = scope.module
    found = [evaluator.value(base, scope) for base in node.bases]
    unknown = [it for it in found if is_unknown(it)]
    bases = tuple(dict.fromkeys(it for it in found if not is_unknown(it)))
    bases = tuple(it for it in bases if it is not typing.Generic)  # classes are not subscripted
    if unknown and not bases:
        bases = (UnknownBase,)
    keywords = {it.arg: evaluator.value(it.value, scope) for it in node.keywords if it.arg}
    keywords = {name: value for name, value in keywords.items() if not is_unknown(value)}
    replaced = evaluator.replaced_class(f"{module.name}.{node.name}", node, scope, bases)
    if replaced is not None:
        return replaced

    def fill(namespace: Any) -> None:
        body = Scope(module, namespace, scope, of_class=True, before=scope.before)
        namespace["__module__"] = module.name
        namespace["__qualname__"] = node.name
        evaluator.run(node.body, body)
        body.cell["evaluated"] = True  # type: ignore[assignment]
        cells.append(body.cell)
        namespace["__evaluated__"] = True
        for name, kind in _IMPLICIT.items():
            if isinstance(namespace.get(name), Function):
                namespace[name] = kind(namespace[name])
        namespace["__place__"] = module.place(node)
        if unknown:
            namespace["__unknown_bases__"] = tuple(unknown)

    cells: list[dict[str, Any]] = []
    made = types.new_class(node.name, types.resolve_bases(bases), keywords, fill)
    for cell in cells:
        cell["class"] = made
    return made


__all__ = ["make_class"]
