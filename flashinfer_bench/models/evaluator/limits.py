"""What keeps single operations of Python from taking without end: sizes that are refused."""

from __future__ import annotations

import itertools
import math
import operator
import re
import string
import types
from collections.abc import Iterator
from typing import Any

from flashinfer_bench.models.evaluator.values import Refused, is_unknown

LONGEST = 1 << 20
"""Items of a sequence, bits of a number and rounds of a loop that one expression may make."""
_WIDE = re.compile(r"\d{6,}")
_SEQUENCES = (str, bytes, bytearray, list, tuple)
_BUILTIN = (types.BuiltinFunctionType, types.MethodDescriptorType)


def limit(size: int) -> None:
    """Raises Refused for what is too long."""
    if size > LONGEST:
        raise Refused(f"a value of {size:,} items or bits; at most {LONGEST:,} are made")


def plus(left: Any, right: Any) -> Any:
    if isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        limit(len(left) + len(right))
    return left + right


def times(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        limit(left.bit_length() + right.bit_length())
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, _SEQUENCES) and isinstance(count, int):
            limit(len(sequence) * count)
    return left * right


def power(base: Any, exponent: Any, modulus: Any = None) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        limit(base.bit_length() * exponent)
    return pow(base, exponent, modulus)


def shifted(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        limit(left.bit_length() + right)
    return left << right


def modulo(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        _check_width(str(left))
        for it in right if isinstance(right, tuple) else (right,):
            if isinstance(it, int) and "*" in str(left):
                limit(it)
    return operator.mod(left, right)


def formatted(value: Any, spec: Any = "") -> str:
    """As `format`."""
    _check_width(str(spec))
    return format(value, spec)


def limited_range(*bounds: Any) -> Any:
    made = range(*bounds)
    if made and (made[-1] - made[0]) // made.step >= LONGEST:
        raise Refused(f"{made}; at most {LONGEST:,} rounds are evaluated")
    return made


def limited_iter(*args: Any) -> Iterator[Any]:
    """As `iter`; until a value comes, at most so many rounds."""
    return iter(*args) if len(args) == 1 else _rounds(*args)


def _rounds(function: Any, last: Any) -> Iterator[Any]:
    for at, value in enumerate(iter(function, last)):
        limit(at)
        yield value


def product(*parts: Any, repeat: int = 1) -> Any:
    """As `itertools.product`."""
    listed = [list(it) for it in parts]
    limit(repeat)
    sizes = [len(it) for it in listed]
    limit(len(sizes) * repeat)
    if all(sizes):
        limit(int(2 ** min(64, repeat * sum(math.log2(size) for size in sizes))))
    return itertools.product(*listed, repeat=repeat)


def _counting(function: Any) -> Any:
    def limited(*sizes: Any) -> Any:
        unknown = next((it for it in sizes if is_unknown(it)), None)
        if unknown is not None:
            return unknown
        if any(it > 2000 for it in sizes):
            raise Refused(f"{function.__name__}{sizes}: too large")
        return function(*sizes)

    return limited


MATH = {
    name: _counting(value) if name in ("factorial", "comb", "perm") else value
    for name, value in vars(math).items()
    if not name.startswith("_")
}
"""Names of `math`."""


def check_call(function: Any, args: Any) -> None:
    """Raises Refused for calls of Python's own functions that make something too long, and for
    templates that read inner names."""
    owner = getattr(function, "__self__", None) if type(function) in _BUILTIN else None
    text = isinstance(owner, (str, bytes, bytearray)) or function is bytes or function is bytearray
    if text or (type(function) is types.MethodDescriptorType):
        for it in args:
            if isinstance(it, int):
                limit(it)
    if type(function) in _BUILTIN and function.__name__ in ("format", "format_map"):
        _check_template(owner if isinstance(owner, str) else args[0] if args else "")


def _check_template(template: Any) -> None:
    if not isinstance(template, str):
        return
    for _, name, spec, _ in string.Formatter().parse(template):
        if "__" in (name or ""):
            raise Refused(f"{template!r}: inner names are not evaluated")
        _check_width(spec or "")


def _check_width(spec: str) -> None:
    if _WIDE.search(spec):
        raise Refused(f"a text of the width in {spec!r}")


__all__ = ["LONGEST", "MATH", "check_call", "limit"]
