"""Functions of the evaluated source, callable like Python's own."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.values import Place, Refused, register_definition, sealed

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator


@sealed
@dataclass(frozen=True)
class Parameters:
    """Names of a function's parameters, in order, and which have defaults."""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    rest: str | None
    """Name after `*`."""
    keywords: str | None
    """Name after `**`."""
    defaults: Mapping[str, Any]
    positional_only: int = 0

    def bind(self, name: str, args: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Name -> value, as Python binds a call; raises TypeError."""
        names: dict[str, Any] = dict(zip(self.positional, args))
        extra: dict[str, Any] = {}
        if self.rest is not None:
            names[self.rest] = tuple(args[len(self.positional) :])
        elif len(args) > len(self.positional):
            raise TypeError(
                f"{name}() takes {len(self.positional)} positional arguments but "
                f"{len(args)} were given"
            )
        known = (*self.positional[self.positional_only :], *self.keyword_only)
        for key, value in given.items():
            if key in known:
                if key in names:
                    raise TypeError(f"{name}() got multiple values for argument {key!r}")
                names[key] = value
            elif self.keywords is not None:
                extra[key] = value
            else:
                raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
        for key in (*self.positional, *self.keyword_only):
            if key not in names:
                if key not in self.defaults:
                    raise TypeError(f"{name}() missing required argument {key!r}")
                names[key] = self.defaults[key]
        if self.keywords is not None:
            names[self.keywords] = extra
        return names


@register_definition
class Function:
    """A function, lambda or method, with the scope it was defined in.

    Attributes that evaluated code gives it stand in its `__dict__`, apart from its own.
    """

    inner: ClassVar[frozenset[str]] = frozenset(
        ("evaluator", "node", "scope", "parameters", "cell", "place", "from_node", "inner")
    )
    """Names that are not for evaluated code."""
    __slots__ = ("__dict__", "__name__", "cell", "evaluator", "node", "parameters", "scope")

    def __init__(
        self,
        evaluator: Evaluator,
        node: Any,
        scope: Scope,
        parameters: Parameters,
        name: str,
        cell: dict[str, type] | None = None,
    ) -> None:
        self.evaluator, self.node, self.scope = evaluator, node, scope
        self.parameters, self.__name__ = parameters, name
        self.cell: dict[str, type] = {} if cell is None else cell
        """Under `class` the class in whose body it was defined, once that is made."""

    def __init_subclass__(cls) -> NoReturn:
        raise Refused("a class of functions")

    def __copy__(self) -> Function:
        return self

    def __deepcopy__(self, memo: Any) -> Function:
        return self

    @staticmethod
    def from_node(evaluator: Evaluator, node: Any, scope: Scope, name: str) -> Function:
        """Defaults are evaluated now, as Python does."""
        parameters = read_parameters(evaluator, node.args, scope)
        parent = scope.method_parent()
        if parent.parent is None:
            parent = scope.module.scope
        return Function(evaluator, node, parent, parameters, name, scope.cell)

    @property
    def place(self) -> Place:
        return self.scope.module.place(self.node)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.evaluator.run_function(self, args, keywords)

    def __repr__(self) -> str:
        return f"<function {self.__name__} at {self.place}>"


def read_parameters(evaluator: Evaluator, args: ast.arguments, scope: Scope) -> Parameters:
    """Of a definition, with the values of its defaults."""
    positional = [it.arg for it in (*args.posonlyargs, *args.args)]
    defaults: dict[str, Any] = {}
    if args.defaults:
        for name, node in zip(positional[-len(args.defaults) :], args.defaults):
            defaults[name] = evaluator.value(node, scope)
    for argument, default in zip(args.kwonlyargs, args.kw_defaults):
        if default is not None:
            defaults[argument.arg] = evaluator.value(default, scope)
    return Parameters(
        tuple(positional),
        tuple(it.arg for it in args.kwonlyargs),
        args.vararg.arg if args.vararg else None,
        args.kwarg.arg if args.kwarg else None,
        defaults,
        len(args.posonlyargs),
    )


def is_generator(node: Any) -> bool:
    """Whether a function yields, not counting functions inside it."""
    if not hasattr(node, "yields"):
        node.yields = _yields(node)
    return bool(node.yields)


def _yields(node: Any) -> bool:
    stack: list[ast.AST] = list(
        getattr(node, "body", []) if not isinstance(node, ast.Lambda) else []
    )
    while stack:
        inner = stack.pop()
        if isinstance(inner, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(inner))
    return False


Native = Callable[..., Any]

__all__ = ["Function", "Parameters", "is_generator", "read_parameters"]
