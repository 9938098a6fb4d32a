"""Expressions, one function for each kind of node."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from flashinfer_bench.models.evaluator import limits
from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.values import Undecided, Unknown, is_unknown

if TYPE_CHECKING:
    from flashinfer_bench.models.evaluator.evaluator import Evaluator

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: limits.plus,
    ast.Sub: operator.sub,
    ast.Mult: limits.times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: limits.modulo,
    ast.Pow: limits.power,
    ast.LShift: limits.shifted,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.MatMult: operator.matmul,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


def _constant(evaluator: Evaluator, node: ast.Constant, scope: Scope) -> Any:
    return node.value


def _attribute(evaluator: Evaluator, node: ast.Attribute, scope: Scope) -> Any:
    return evaluator.attribute(evaluator.value(node.value, scope), node.attr)


def _subscript(evaluator: Evaluator, node: ast.Subscript, scope: Scope) -> Any:
    return evaluator.item(evaluator.value(node.value, scope), evaluator.value(node.slice, scope))


def _slice(evaluator: Evaluator, node: ast.Slice, scope: Scope) -> Any:
    parts = [it and evaluator.value(it, scope) for it in (node.lower, node.upper, node.step)]
    unknown = next((it for it in parts if is_unknown(it)), None)
    return slice(*parts) if unknown is None else unknown


def _binary(evaluator: Evaluator, node: ast.BinOp, scope: Scope) -> Any:
    left, right = evaluator.value(node.left, scope), evaluator.value(node.right, scope)
    return evaluator.undecided_is_unknown(BINARY[type(node.op)], left, right)


def _unary(evaluator: Evaluator, node: ast.UnaryOp, scope: Scope) -> Any:
    if isinstance(node.op, ast.Not):
        truth = tested(evaluator, node.operand, scope)
        return truth if is_unknown(truth) else not truth
    value = evaluator.value(node.operand, scope)
    return _UNARY[type(node.op)](value)


def _bool(evaluator: Evaluator, node: ast.BoolOp, scope: Scope) -> Any:
    """`unknown or True` is true; which value `unknown or 5` is remains unknown."""
    decisive = isinstance(node.op, ast.Or)
    unknown = None
    for part in node.values:
        value = _possible(evaluator.value, part, scope, unknown)
        truth = evaluator.truth(value)
        if is_unknown(truth):
            unknown = unknown if unknown is not None else truth
        elif truth is decisive:
            return value if unknown is None or value is decisive else unknown
    return value if unknown is None else unknown


def tested(evaluator: Evaluator, node: ast.expr, scope: Scope) -> bool | Unknown:
    """The truth of a condition; an unknown part does not matter where another part decides."""
    if not isinstance(node, ast.BoolOp):
        return evaluator.truth(evaluator.value(node, scope))
    decisive = isinstance(node.op, ast.Or)
    unknown = None
    test = partial(tested, evaluator)
    for part in node.values:
        truth: bool | Unknown = _possible(test, part, scope, unknown)
        if is_unknown(truth):
            unknown = unknown if unknown is not None else truth
        elif truth is decisive:
            return decisive
    return unknown if unknown is not None else not decisive


def _possible(
    evaluate: Callable[[ast.expr, Scope], Any], node: ast.expr, scope: Scope, unknown: Any
) -> Any:
    """A part that Python would perhaps not come to; where it fails, that is unknown too."""
    if unknown is None:
        return evaluate(node, scope)
    try:
        return evaluate(node, scope)
    except Exception:  # evaluated code may raise any, and Python may not run it
        return unknown


def _compare(evaluator: Evaluator, node: ast.Compare, scope: Scope) -> Any:
    left = evaluator.value(node.left, scope)
    result: Any = True
    for kind, comparator in zip(node.ops, node.comparators):
        right = evaluator.value(comparator, scope)
        result = _compared(evaluator, kind, left, right)
        truth = evaluator.truth(result)
        if is_unknown(truth) or not truth:
            return result
        left = right
    return result


def _compared(evaluator: Evaluator, kind: ast.cmpop, left: Any, right: Any) -> Any:
    for side in (left, right):
        if is_unknown(side) and isinstance(kind, (ast.Is, ast.IsNot)):
            return side
    return evaluator.undecided_is_unknown(_COMPARE[type(kind)], left, right)


def _call(evaluator: Evaluator, node: ast.Call, scope: Scope) -> Any:
    function = evaluator.value(node.func, scope)
    if function is super:
        return _super(evaluator, node, scope)
    if is_unknown(function) and function.quiet:
        return function(*[evaluator.value(it, scope) for it in node.args])
    args = _items(evaluator, node.args, scope)
    if is_unknown(args):
        return args
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        value = evaluator.value(keyword.value, scope)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
        elif is_unknown(value):
            return value
        else:
            keywords.update(value)
    return evaluator.call(function, args, keywords, node, scope)


def _super(evaluator: Evaluator, node: ast.Call, scope: Scope) -> Any:
    if node.args:
        owner, instance = (evaluator.value(it, scope) for it in node.args)
        return super(owner, instance)
    inside: Scope | None = scope
    while inside is not None and inside.owner is None:
        inside = inside.parent
    if inside is None:
        raise RuntimeError("super(): no arguments")
    return super(inside.owner, inside.names["__first__"])


def _conditional(evaluator: Evaluator, node: ast.IfExp, scope: Scope) -> Any:
    truth = tested(evaluator, node.test, scope)
    if is_unknown(truth):
        body = _possible(evaluator.value, node.body, scope, truth)
        other = _possible(evaluator.value, node.orelse, scope, truth)
        return body if body is other or _equal(body, other) else truth
    return evaluator.value(node.body if truth else node.orelse, scope)


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and isinstance(left, (int, str, float)) and left == right


def _sequence(kind: type) -> Callable[..., Any]:
    def make(evaluator: Evaluator, node: Any, scope: Scope) -> Any:
        items = _items(evaluator, node.elts, scope)
        return items if is_unknown(items) else kind(items)

    return make


def _items(evaluator: Evaluator, nodes: Sequence[ast.expr], scope: Scope) -> Any:
    """Values of expressions, those after a star in one row with the others."""
    items: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = evaluator.value(node.value, scope)
            if is_unknown(inner):
                return inner
            items.extend(inner)
        else:
            items.append(evaluator.value(node, scope))
    return items


def _dict(evaluator: Evaluator, node: ast.Dict, scope: Scope) -> Any:
    result: dict[Any, Any] = {}
    for key, part in zip(node.keys, node.values):
        value = evaluator.value(part, scope)
        if key is not None:
            result[evaluator.value(key, scope)] = value
        elif is_unknown(value):
            return value
        else:
            result.update(value)
    return result


def _lambda(evaluator: Evaluator, node: ast.Lambda, scope: Scope) -> Any:
    return Function.from_node(evaluator, node, scope, "<lambda>")


def _comprehension(kind: Callable[[Iterator[Any]], Any]) -> Callable[..., Any]:
    def make(evaluator: Evaluator, node: Any, scope: Scope) -> Any:
        parent = scope.method_parent() if scope.of_class else scope
        inner = Scope(scope.module, {}, parent, of_comprehension=not scope.of_class)
        if scope.of_class:
            inner.names.update(scope.names)
        try:
            first = evaluator.value(node.generators[0].iter, scope)
            if is_unknown(first):
                return first
            return kind(_rounds(evaluator, node, inner, 0, first))
        except Undecided as undecided:
            return undecided.unknown

    return make


def _rounds(evaluator: Evaluator, node: Any, scope: Scope, depth: int, items: Any) -> Iterator[Any]:
    generator = node.generators[depth]
    for item in items:
        evaluator.step(node, scope)
        evaluator.assign(generator.target, item, scope)
        if not all(evaluator.sure(test, scope) for test in generator.ifs):
            continue
        if depth + 1 < len(node.generators):
            deeper = evaluator.value(node.generators[depth + 1].iter, scope)
            yield from _rounds(evaluator, node, scope, depth + 1, deeper)
        elif isinstance(node, ast.DictComp):
            yield evaluator.value(node.key, scope), evaluator.value(node.value, scope)
        else:
            yield evaluator.value(node.elt, scope)


def _text(evaluator: Evaluator, node: ast.JoinedStr, scope: Scope) -> Any:
    parts = [evaluator.value(part, scope) for part in node.values]
    unknown = next((it for it in parts if is_unknown(it)), None)
    return "".join(map(str, parts)) if unknown is None else unknown


def _formatted(evaluator: Evaluator, node: ast.FormattedValue, scope: Scope) -> Any:
    value = evaluator.value(node.value, scope)
    if is_unknown(value):
        return value
    if node.conversion == ord("r"):
        value = repr(value)
    spec = evaluator.value(node.format_spec, scope) if node.format_spec else ""
    if not isinstance(value, (int, float, str)):
        return str(value)
    return limits.formatted(value, spec)


def _walrus(evaluator: Evaluator, node: ast.NamedExpr, scope: Scope) -> Any:
    value = evaluator.value(node.value, scope)
    outside = scope  # of comprehensions, in which only their targets are bound
    while outside.of_comprehension and outside.parent is not None:
        outside = outside.parent
    evaluator.assign(node.target, value, outside)
    return value


def _await(evaluator: Evaluator, node: ast.AST, scope: Scope) -> Any:
    return Unknown("await", scope.module.place(node))


EXPRESSIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Constant: _constant,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _bool,
    ast.Compare: _compare,
    ast.Call: _call,
    ast.IfExp: _conditional,
    ast.List: _sequence(list),
    ast.Tuple: _sequence(tuple),
    ast.Set: _sequence(set),
    ast.Dict: _dict,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension(list),
    ast.SetComp: _comprehension(set),
    ast.DictComp: _comprehension(dict),
    ast.GeneratorExp: _comprehension(iter),
    ast.JoinedStr: _text,
    ast.FormattedValue: _formatted,
    ast.NamedExpr: _walrus,
    ast.Await: _await,
}

__all__ = ["BINARY", "EXPRESSIONS", "tested"]
