"""The language of `Definition.constraints`: Python conditions over axes and tensors.

Expressions are walked as a syntax tree against a whitelist and never run as Python code. Tensors
are anything with a `.shape`. Three things differ from Python: a 0-d tensor is a number; `max(t)`,
`sum(t)` and the like cover all elements of a tensor; operators take two tensors of one shape only.
"""

from __future__ import annotations

import ast
import math
import operator
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from flashinfer_bench.errors import DataError

MAX_CHARACTERS = 2_000
MAX_DEPTH = 64
MAX_BITS = 4_096
MAX_EXPONENT = 64

Bindings = Mapping[str, object]

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: lambda value: not _truth(value),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda item, items: item in items),
    ast.NotIn: ("not in", lambda item, items: item not in items),
    ast.Is: ("is", operator.is_),
    ast.IsNot: ("is not", operator.is_not),
}
_OF_SHAPE: dict[str, Callable[..., Any]] = {
    "shape": lambda tensor: tuple(int(length) for length in tensor.shape),
    "ndim": lambda tensor: len(tensor.shape),
    "dtype": lambda tensor: _bare(tensor.dtype),
    "dim": lambda tensor: len(tensor.shape),
    "numel": lambda tensor: math.prod(tensor.shape),
    "size": lambda tensor, dim=slice(None): tuple(tensor.shape)[dim],
    "len": lambda value: value.shape[0] if _is_tensor(value) else len(value),
}
_OF_VALUES: dict[str, Callable[[Any], Any]] = {
    "item": lambda value: value.item() if _is_tensor(value) else value,
    "tolist": lambda value: value.tolist() if _is_tensor(value) else value,
    "abs": abs,
    "int": int,
    "bool": lambda value: _truth(value),
}
_REDUCTIONS: dict[str, Any] = {"max": max, "min": min, "sum": sum, "all": all, "any": any}
_ATTRIBUTES = ("shape", "ndim", "dtype")
_METHODS = ("item", "tolist", "abs", "numel", "dim", "size", *_REDUCTIONS)
_FUNCTIONS = ("len", "abs", "int", "bool", *_REDUCTIONS)
_SUPPORTED = (
    "supported: numbers, strings, None, names, tuples, lists, + - * / // % **, comparisons, "
    "`in` a tuple or list, `is None`, and/or/not, `a if b else c`, subscripts, "
    f".{' .'.join(_ATTRIBUTES)}, {'() '.join(_FUNCTIONS)}(), .{'() .'.join(_METHODS)}()"
)
_FAILURES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_REFUSALS = (RuntimeError, NotImplementedError)


class Unavailable(Exception):
    """A value is needed that is not known; the message names it."""


class UnsupportedExpression(DataError):
    """A constraint is outside the language."""


@dataclass(frozen=True)
class ShapeOnly:
    """A tensor whose values are not known; asking for one raises `Unavailable`."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def _values(self, *_: object) -> NoReturn:
        raise Unavailable(f"the values of {self.name}")

    item = tolist = abs = max = min = sum = all = any = _values
    __abs__ = __bool__ = __getitem__ = _values


@dataclass(frozen=True)
class Outcome:
    """What came of checking one constraint; `holds` is None where a value was missing."""

    constraint: str
    holds: bool | None
    detail: str
    """What is missing or why the constraint is violated; empty where it holds."""


def check_constraint(constraint: str, bindings: Bindings) -> Outcome:
    """Evaluates a constraint over axes (numbers) and tensors (torch, numpy or `ShapeOnly`).

    An evaluation that fails, such as a division by zero, counts as violated.

    Raises:
        UnsupportedExpression: the constraint is outside the language.
    """
    tree = _parse(constraint)
    try:
        if _truth(_evaluate(tree, bindings)):
            return Outcome(constraint, True, "")
        reason = _false_part(tree, bindings)
    except Unavailable as missing:
        return Outcome(constraint, None, f"{constraint}: undecided without {missing}")
    except UnsupportedExpression:
        raise
    except _FAILURES as error:
        # Derived from RuntimeError: RecursionError, torch's out-of-memory and device faults.
        if isinstance(error, RuntimeError) and type(error) not in _REFUSALS:
            raise
        reason = str(error).partition("\n")[0]
    shown = [_show(bindings[name], name) for name in _names(tree) if name in bindings]
    context = f" ({', '.join(shown)})" if shown else ""
    return Outcome(constraint, False, f"{constraint}: {reason}{context}")


def names_in(constraint: str) -> set[str]:
    """The names of the axes and tensors that a constraint reads."""
    return set(_names(_parse(constraint)))


def unsupported(constraint: str) -> str | None:
    """Why a constraint is outside the language, or None where it is inside."""
    try:
        _parse(constraint)
    except UnsupportedExpression as error:
        return str(error)
    return None


@lru_cache(maxsize=1024)
def _parse(constraint: str) -> ast.expr:
    if len(constraint) > MAX_CHARACTERS:
        raise UnsupportedExpression(
            f"the constraint has {len(constraint)} characters; at most {MAX_CHARACTERS} are read"
        )
    try:
        tree = ast.parse(constraint.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = getattr(error, "msg", "nested too deeply, or not text")
        column = getattr(error, "offset", 1)
        raise UnsupportedExpression(f"{problem} at column {column}; {_SUPPORTED}") from None
    if _is_not_numeric(tree):
        _refuse(tree, "a literal in place of a condition")
    _check(tree)
    return tree


def _refuse(node: ast.expr, construct: str = "") -> NoReturn:
    name = getattr(node, "attr", getattr(node, "id", ""))
    raise UnsupportedExpression(
        f"{construct or f'{type(node).__name__} {name}'.strip()} at column {node.col_offset + 1} "
        f"is not supported; {_SUPPORTED}"
    )


def _check(node: ast.expr, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        _refuse(node, f"nesting deeper than {MAX_DEPTH}")
    match node:
        case ast.UnaryOp() | ast.BinOp():
            _check_operator(node)
        case ast.Compare():
            _check_comparison(node)
        case ast.Call():
            _check_call(node)
        case ast.Constant(value=int() | float() | str() | None):
            pass
        case ast.Name(id=name) if not name.startswith("__"):
            pass
        case ast.Attribute(attr=name) if name in _ATTRIBUTES:
            pass
        case ast.BoolOp() | ast.IfExp() | ast.List() | ast.Slice() | ast.Subscript() | ast.Tuple():
            pass
        case _:
            _refuse(node)
    for child in _children(node):
        _check(child, depth + 1)


def _check_call(node: ast.Call) -> None:
    match node.func:
        case ast.Name(id=name) if name in _FUNCTIONS:
            most = len(node.args) if name in ("max", "min") else 1
        case ast.Attribute(attr=name) if name in _METHODS:
            most = 2 if name == "size" else 1
        case callee:
            _refuse(callee)
    if node.keywords or not 1 <= len(_children(node)) <= most:
        _refuse(node, f"{name}() with these arguments")


def _check_operator(node: ast.UnaryOp | ast.BinOp) -> None:
    if type(node.op) not in _UNARY and type(node.op) not in _BINARY:
        _refuse(node, f"the operator {type(node.op).__name__}")
    if any(_is_not_numeric(operand) for operand in _children(node)):
        _refuse(node, "an operator on a string, None, tuple or list")
    match node:
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=int() | float() as exponent)):
            if exponent > MAX_EXPONENT:
                _refuse(node.right, f"an exponent above {MAX_EXPONENT}")
        case ast.BinOp(op=ast.Pow(), right=right) if not isinstance(right, ast.Name):
            _refuse(right, "an exponent other than a number or a name")


def _check_comparison(node: ast.Compare) -> None:
    for relation, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(relation, ast.In | ast.NotIn) and not isinstance(right, ast.Tuple | ast.List):
            _refuse(right, "`in` something other than a tuple or list literal")
        is_none = isinstance(right, ast.Constant) and right.value is None
        if isinstance(relation, ast.Is | ast.IsNot) and not is_none:
            _refuse(right, "`is` something other than None")


def _is_not_numeric(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, int | float)
    return isinstance(node, ast.Tuple | ast.List)


def _children(node: ast.expr) -> list[ast.expr]:
    """The operands of a node, which the name of a called function or method is not."""
    if isinstance(node, ast.Call):
        return [*([node.func.value] if isinstance(node.func, ast.Attribute) else []), *node.args]
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    return list(dict.fromkeys(name for child in _children(node) for name in _names(child)))


def _evaluate(node: ast.expr, bindings: Bindings) -> Any:
    def value_of(operand: ast.expr) -> Any:
        return _read(_evaluate(operand, bindings))

    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if name not in bindings:
                raise Unavailable(f"a value for {name}")
            return bindings[name]
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            items = map(value_of, elements)
            return tuple(items) if isinstance(node, ast.Tuple) else list(items)
        case ast.UnaryOp(op=sign, operand=operand):
            return _UNARY[type(sign)](value_of(operand))
        case ast.BinOp(left=left, right=right):
            return _arithmetic(node, value_of(left), value_of(right))
        case ast.BoolOp(op=junction, values=[*first, last]):
            for value in map(value_of, first):
                if _truth(value) == isinstance(junction, ast.Or):
                    return value
            return value_of(last)
        case ast.Compare():
            for *_, value in _links(node, bindings):
                if len(node.ops) > 1 and not _truth(value):
                    break
            return value
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return value_of(body if _truth(value_of(test)) else otherwise)
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(part and value_of(part) for part in (lower, upper, step)))
        case ast.Subscript(value=owner, slice=place):
            return _subscript(value_of(owner), value_of(place))
        case ast.Attribute(value=owner, attr=name):
            return _OF_SHAPE[name](_evaluate(owner, bindings))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return _call(name, *(_evaluate(operand, bindings) for operand in _children(node)))
    raise AssertionError(f"{type(node).__name__} passed the whitelist")


def _arithmetic(node: ast.BinOp, left: Any, right: Any) -> Any:
    for operand in (left, right):
        if not isinstance(operand, int | float) and not _is_tensor(operand):
            raise TypeError(f"{_show(operand)} is not a number or tensor")
    _need_one_shape(left, right)
    operation = type(node.op)
    if operation in (ast.Div, ast.FloorDiv, ast.Mod) and _is_tensor(right) and (right == 0).any():
        raise ZeroDivisionError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        if (bits * right if operation is ast.Pow else bits + right.bit_length()) > MAX_BITS:
            _refuse(node, f"an integer that may have more than {MAX_BITS} bits")
    return _BINARY[operation](left, right)


def _need_one_shape(left: Any, right: Any) -> None:
    if _is_tensor(left) and _is_tensor(right) and tuple(left.shape) != tuple(right.shape):
        raise ValueError(f"shapes differ: {_show(left)} and {_show(right)}")


def _links(node: ast.Compare, bindings: Bindings) -> Iterator[tuple[Any, str, Any, Any]]:
    """Left, symbol, right and result of each comparison of a chain (`a < b <= c` has two)."""
    left = _evaluate(node.left, bindings)
    for relation, operand in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(operand, bindings)
        if not isinstance(relation, ast.Is | ast.IsNot):
            left, right = _read(left), _read(right)
            _need_one_shape(left, right)
        symbol, compare = _COMPARISONS[type(relation)]
        yield left, symbol, right, compare(left, right)
        left = right


def _subscript(value: Any, index: Any) -> Any:
    for part in index if isinstance(index, tuple) else (index,):
        if not isinstance(part, int | slice):
            raise TypeError(f"{_show(part)} is not an index or slice")
    return value[index]


def _call(name: str, *operands: Any) -> Any:
    if name in _OF_SHAPE:
        return _OF_SHAPE[name](operands[0], *map(_read, operands[1:]))
    first, *others = map(_read, operands)
    if name in _OF_VALUES:
        return _OF_VALUES[name](first)
    if _is_tensor(first) and not others:
        return getattr(first, name)()
    items = first if isinstance(first, tuple | list) and not others else [first, *others]
    if any(map(_is_tensor, items)):
        raise TypeError(f"{name}() of tensors, not of numbers or one tensor")
    return _REDUCTIONS[name](items)


def _bare(dtype: object) -> str:
    return str(dtype).rpartition(".")[2]


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape")


def _read(value: Any) -> Any:
    """`value`, with a 0-d tensor turned into its Python number."""
    is_number = _is_tensor(value) and not tuple(value.shape)
    return value.item() if is_number or isinstance(value, ShapeOnly) else value


def _truth(value: Any) -> bool:
    value = _read(value)
    if _is_tensor(value):
        raise UnsupportedExpression(f"{_show(value)} has no one truth value; add .all() or .any()")
    if not isinstance(value, int | float):
        raise TypeError(f"{_show(value)} is neither true nor false")
    return bool(value)


def _false_part(node: ast.expr, bindings: Bindings) -> str:
    """The comparison that makes a condition false, with the values of both sides."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            false = (part for part in parts if not _truth(_evaluate(part, bindings)))
            return _false_part(next(false), bindings)
        case ast.Compare():
            left, symbol, right, _ = next(x for x in _links(node, bindings) if not _truth(x[-1]))
            return f"{_show(left)} {symbol} {_show(right)}"
    return "false"


def _show(value: Any, name: str = "") -> str:
    if _is_tensor(value):
        dtype = _bare(getattr(value, "dtype", "tensor"))
        return f"{name}{name and ': '}{dtype}{list(value.shape)}"
    return f"{name}{name and '='}{reprlib.repr(value)}"
