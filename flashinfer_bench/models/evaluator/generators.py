"""Functions that yield: their statements, one after the other as values are asked for."""

from __future__ import annotations

import ast
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flashinfer_bench.models.evaluator.limits import limit
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.statements import (
    BREAK,
    Outcome,
    Return,
    entered,
    handler_of,
    named_error,
)
from flashinfer_bench.models.evaluator.values import Undecided, is_unknown

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator

Steps = Generator[Any, Any, Outcome]


def generate(
    evaluator: Evaluator, body: Sequence[ast.stmt], scope: Scope
) -> Generator[Any, Any, Any]:
    """What the call of a function gives that yields."""
    outcome = yield from _block(evaluator, body, scope)
    return outcome.value if isinstance(outcome, Return) else None


def _block(evaluator: Evaluator, body: Sequence[ast.stmt], scope: Scope) -> Steps:
    for node in body:
        outcome = yield from _statement(evaluator, node, scope)
        if outcome is not None:
            return outcome
    return None


def _statement(evaluator: Evaluator, node: ast.stmt, scope: Scope) -> Steps:
    evaluator.step(node, scope)
    inside = getattr(node, "value", None)
    if isinstance(inside, (ast.Yield, ast.YieldFrom)):
        return (yield from _yield(evaluator, node, inside, scope))
    if isinstance(node, ast.If):
        truth = evaluator.decide(node.test, scope)
        return (yield from _block(evaluator, node.body if truth else node.orelse, scope))
    if isinstance(node, (ast.For, ast.While)):
        return (yield from _loop(evaluator, node, scope))
    if isinstance(node, ast.With):
        return (yield from _with(evaluator, node, scope, 0))
    if isinstance(node, ast.Try):
        return (yield from _try(evaluator, node, scope))
    return evaluator.run([node], scope)


def _yield(
    evaluator: Evaluator, node: Any, inside: ast.Yield | ast.YieldFrom, scope: Scope
) -> Steps:
    value = evaluator.value(inside.value, scope) if inside.value else None
    if isinstance(inside, ast.Yield):
        sent = yield value
    else:
        items: Any = evaluator.iterate(value)
        sent = yield from items
    for target in getattr(node, "targets", ()):
        evaluator.assign(target, sent, scope)
    return Return(sent) if isinstance(node, ast.Return) else None


def _loop(evaluator: Evaluator, node: ast.For | ast.While, scope: Scope) -> Steps:
    for item in _items(evaluator, node, scope):
        evaluator.step(node, scope)
        if isinstance(node, ast.For):
            evaluator.assign(node.target, item, scope)
        outcome = yield from _block(evaluator, node.body, scope)
        if outcome is BREAK:
            return None
        if isinstance(outcome, Return):
            return outcome
    return (yield from _block(evaluator, node.orelse, scope))


def _items(evaluator: Evaluator, node: ast.For | ast.While, scope: Scope) -> Iterator[Any]:
    if isinstance(node, ast.For):
        items = evaluator.value(node.iter, scope)
        if is_unknown(items):
            raise Undecided(items)
        yield from evaluator.iterate(items)
    else:
        rounds = 0
        while evaluator.decide(node.test, scope):
            limit(rounds := rounds + 1)
            yield None


def _with(evaluator: Evaluator, node: ast.With, scope: Scope, at: int) -> Steps:
    if at == len(node.items):
        return (yield from _block(evaluator, node.body, scope))
    item = node.items[at]
    with entered(evaluator, evaluator.value(item.context_expr, scope)) as value:
        if item.optional_vars is not None:
            evaluator.assign(item.optional_vars, value, scope)
        return (yield from _with(evaluator, node, scope, at + 1))
    return None  # the manager swallowed an error


def _try(evaluator: Evaluator, node: ast.Try, scope: Scope) -> Steps:
    try:
        try:
            outcome = yield from _block(evaluator, node.body, scope)
        except Exception as error:
            handler = handler_of(evaluator, node, error, scope)
            if handler is None:
                raise
            with named_error(handler, error, scope):
                outcome = yield from _block(evaluator, handler.body, scope)
        else:
            if outcome is None:
                outcome = yield from _block(evaluator, node.orelse, scope)
    finally:
        last = evaluator.run(node.finalbody, scope)
    return outcome if last is None else last


__all__ = ["generate"]
