"""Statements, one function for each kind of node. What they return says how the block goes on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from flashinfer_bench.models.evaluator.classes import make_class
from flashinfer_bench.models.evaluator.expressions import BINARY
from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.inner_names import remove
from flashinfer_bench.models.evaluator.limits import limit
from flashinfer_bench.models.evaluator.scope import Lazy, Scope
from flashinfer_bench.models.evaluator.values import Unknown, is_unknown, matches

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator


@dataclass(frozen=True)
class Return:
    value: Any


class _Signal:
    pass


BREAK, CONTINUE = _Signal(), _Signal()
Outcome = Return | _Signal | None


def _expression(evaluator: Evaluator, node: ast.Expr, scope: Scope) -> Outcome:
    if not isinstance(node.value, ast.Constant):
        evaluator.value(node.value, scope)
    return None


def _assign(evaluator: Evaluator, node: ast.Assign, scope: Scope) -> Outcome:
    value = evaluator.value(node.value, scope)
    for target in node.targets:
        evaluator.assign(target, value, scope)
    return None


def _annotated(evaluator: Evaluator, node: ast.AnnAssign, scope: Scope) -> Outcome:
    if scope.of_class and isinstance(node.target, ast.Name):
        annotations = scope.names.setdefault("__annotations__", {})
        annotations[node.target.id] = _annotation(node.annotation)
    if node.value is not None:
        evaluator.assign(node.target, evaluator.value(node.value, scope), scope)
    return None


def _annotation(node: ast.expr) -> Any:
    """Only that matters to dataclasses whether a name is a field."""
    said = ast.unparse(node)
    kinds = {"ClassVar": ClassVar[Any], "KW_ONLY": KW_ONLY, "InitVar": InitVar[Any]}
    return next((kind for name, kind in kinds.items() if name in said), Any)


def _augmented(evaluator: Evaluator, node: ast.AugAssign, scope: Scope) -> Outcome:
    old = evaluator.value(_as_load(node.target), scope)
    value = evaluator.value(node.value, scope)
    if isinstance(old, list) and isinstance(node.op, ast.Add) and not is_unknown(value):
        added = list(evaluator.iterate(value))
        limit(len(old) + len(added))
        old.extend(added)
        return None
    result = evaluator.undecided_is_unknown(BINARY[type(node.op)], old, value)
    evaluator.assign(node.target, result, scope)
    return None


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load(), lineno=target.lineno, col_offset=target.col_offset)
    return target


def _return(evaluator: Evaluator, node: ast.Return, scope: Scope) -> Outcome:
    return Return(evaluator.value(node.value, scope) if node.value else None)


def _if(evaluator: Evaluator, node: ast.If, scope: Scope) -> Outcome:
    truth = evaluator.decide(node.test, scope)
    return evaluator.run(node.body if truth else node.orelse, scope)


def _for(evaluator: Evaluator, node: ast.For, scope: Scope) -> Outcome:
    items = evaluator.value(node.iter, scope)
    if is_unknown(items):
        evaluator.doubt(items, node, scope, "no round of this loop is counted")
        return None
    return _loop(evaluator, node, scope, evaluator.rounds(items, node, scope))


def _while(evaluator: Evaluator, node: ast.While, scope: Scope) -> Outcome:
    return _loop(evaluator, node, scope, _while_true(evaluator, node, scope))


def _while_true(evaluator: Evaluator, node: ast.While, scope: Scope) -> Iterator[None]:
    while evaluator.decide(node.test, scope):
        evaluator.step(node, scope)
        yield None


def _loop(
    evaluator: Evaluator, node: ast.For | ast.While, scope: Scope, rounds: Iterator[Any]
) -> Outcome:
    for item in rounds:
        if isinstance(node, ast.For):
            evaluator.assign(node.target, item, scope)
        outcome = evaluator.run(node.body, scope)
        if outcome is BREAK:
            return None
        if isinstance(outcome, Return):
            return outcome
    return evaluator.run(node.orelse, scope)


def _with(evaluator: Evaluator, node: ast.With, scope: Scope) -> Outcome:
    return _with_items(evaluator, node, scope, 0)


def _with_items(evaluator: Evaluator, node: ast.With, scope: Scope, at: int) -> Outcome:
    if at == len(node.items):
        return evaluator.run(node.body, scope)
    item = node.items[at]
    with entered(evaluator, evaluator.value(item.context_expr, scope)) as value:
        if item.optional_vars is not None:
            evaluator.assign(item.optional_vars, value, scope)
        return _with_items(evaluator, node, scope, at + 1)


@contextmanager
def entered(evaluator: Evaluator, manager: Any) -> Iterator[Any]:
    """As `with` does; an unknown manager is entered without effect."""
    if is_unknown(manager):
        yield manager
        return
    with manager as value:
        yield value


def _try(evaluator: Evaluator, node: ast.Try, scope: Scope) -> Outcome:
    try:
        outcome = _try_body(evaluator, node, scope)
    except BaseException:
        last = evaluator.run(node.finalbody, scope)
        if last is not None:
            return last
        raise
    last = evaluator.run(node.finalbody, scope)
    return last if last is not None else outcome


def _try_body(evaluator: Evaluator, node: ast.Try, scope: Scope) -> Outcome:
    try:
        outcome = evaluator.run(node.body, scope)
    except Exception as error:
        handler = handler_of(evaluator, node, error, scope)
        if handler is None:
            raise
        with named_error(handler, error, scope):
            return evaluator.run(handler.body, scope)
    return outcome if outcome is not None else evaluator.run(node.orelse, scope)


def handler_of(
    evaluator: Evaluator, node: ast.Try, error: Exception, scope: Scope
) -> ast.ExceptHandler | None:
    """The `except` that catches an error."""
    for handler in node.handlers:
        kind = evaluator.value(handler.type, scope) if handler.type else Exception
        if is_unknown(kind) or matches(error, kind):
            return handler
    return None


@contextmanager
def named_error(handler: ast.ExceptHandler, error: Exception, scope: Scope) -> Iterator[None]:
    """The error has its name in the handler, and no longer afterwards."""
    if handler.name:
        scope.bind(handler.name, error)
    try:
        yield
    finally:
        if handler.name:
            scope.names.pop(handler.name, None)


def _raise(evaluator: Evaluator, node: ast.Raise, scope: Scope) -> Outcome:
    import sys

    if node.exc is None:
        error = sys.exc_info()[1]
        raise error if error is not None else RuntimeError("no active exception to reraise")
    error = evaluator.value(node.exc, scope)
    if isinstance(error, type) and issubclass(error, BaseException):
        error = error()
    if not isinstance(error, BaseException):
        error = RuntimeError(str(error))
    raise error


def _assert(evaluator: Evaluator, node: ast.Assert, scope: Scope) -> Outcome:
    value = evaluator.value(node.test, scope)
    if not is_unknown(value) and evaluator.truth(value) is False:
        said = evaluator.value(node.msg, scope) if node.msg else ast.unparse(node.test)
        raise AssertionError(str(said))
    return None


def _delete(evaluator: Evaluator, node: ast.Delete, scope: Scope) -> Outcome:
    for target in node.targets:
        if isinstance(target, ast.Name):
            scope.unbind(target.id)
        elif isinstance(target, ast.Attribute):
            remove(evaluator.value(target.value, scope), target.attr)
        elif isinstance(target, ast.Subscript):
            del evaluator.value(target.value, scope)[evaluator.value(target.slice, scope)]
    return None


def _function(evaluator: Evaluator, node: ast.FunctionDef, scope: Scope) -> Outcome:
    value: Any = Function.from_node(evaluator, node, scope, node.name)
    scope.bind(node.name, decorated(evaluator, node.decorator_list, value, scope))
    return None


def _class(evaluator: Evaluator, node: ast.ClassDef, scope: Scope) -> Outcome:
    made = make_class(evaluator, node, scope)
    scope.bind(node.name, decorated(evaluator, node.decorator_list, made, scope))
    return None


def decorated(
    evaluator: Evaluator, decorators: Sequence[ast.expr], value: Any, scope: Scope
) -> Any:
    """What decorators make of a function or class; unknown ones leave it as it is."""
    for node in reversed(decorators):
        decorator = evaluator.value(node, scope)
        if not is_unknown(decorator):
            made = evaluator.call(decorator, [value], {}, node, scope)
            value = value if is_unknown(made) else made
    return value


def _import(evaluator: Evaluator, node: ast.Import, scope: Scope) -> Outcome:
    for alias in node.names:
        if alias.asname:
            scope.bind(alias.asname, _lazily(evaluator.import_module, alias.name))
        else:
            root = alias.name.split(".")[0]
            scope.bind(root, _lazily(evaluator.import_module, root))
    return None


def _lazily(make: Callable[..., Any], *args: Any) -> Lazy:
    return Lazy(lambda: make(*args))


def _import_from(evaluator: Evaluator, node: ast.ImportFrom, scope: Scope) -> Outcome:
    module = scope.module.absolute_name(node)
    for alias in node.names:
        if alias.name != "*":
            name = alias.asname or alias.name
            scope.bind(name, _lazily(evaluator.import_name, module, alias.name))
    return None


def _declare(evaluator: Evaluator, node: ast.Global | ast.Nonlocal, scope: Scope) -> Outcome:
    scope.declare(node.names, as_global=isinstance(node, ast.Global))
    return None


def _pass(evaluator: Evaluator, node: ast.stmt, scope: Scope) -> Outcome:
    return None


def _match(evaluator: Evaluator, node: ast.Match, scope: Scope) -> Outcome:
    evaluator.doubt(
        Unknown("match statements are not evaluated", scope.module.place(node)),
        node,
        scope,
        "none of its cases is taken",
    )
    return None


STATEMENTS: dict[type[ast.AST], Callable[..., Outcome]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Return: _return,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.With: _with,
    ast.Try: _try,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.Delete: _delete,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Global: _declare,
    ast.Nonlocal: _declare,
    ast.Pass: _pass,
    ast.Break: lambda evaluator, node, scope: BREAK,
    ast.Continue: lambda evaluator, node, scope: CONTINUE,
    ast.Match: _match,
}

__all__ = [
    "BREAK",
    "CONTINUE",
    "STATEMENTS",
    "Outcome",
    "Return",
    "entered",
    "handler_of",
    "named_error",
]
