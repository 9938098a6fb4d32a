"""All operations, by op_type and by definition name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.ops.contract import Operation

OP_TYPES = (
    "dsa_paged",
    "gdn",
    "gemm",
    "gqa_paged",
    "gqa_ragged",
    "mamba_ssu",
    "mla_paged",
    "mla_ragged",
    "moe",
    "rmsnorm",
    "rope",
    "sampling",
)
"""One module of this package each, with its operations in `OPERATIONS`."""


@cache
def operations(op_type: str | None = None) -> tuple[Operation, ...]:
    """All operations, or those of one op_type; NotFoundError for an unknown one."""
    if op_type is not None and op_type not in OP_TYPES:
        raise NotFoundError(f"no op_type {op_type!r}; {_hint(op_type, OP_TYPES)}")
    names = OP_TYPES if op_type is None else (op_type,)
    modules = [import_module(f"flashinfer_bench.ops.{name}") for name in names]
    return tuple(operation for module in modules for operation in module.OPERATIONS)


def parse_name(name: str) -> tuple[Operation, dict[str, int]]:
    """The operation and constants that a definition's name states, in any accepted spelling.

    Raises NotFoundError with the nearest patterns.
    """
    for operation in operations():
        constants = operation.naming.parse(name)
        if constants is not None:
            return operation, constants
    bare = {_bare(operation.naming.official): operation for operation in operations()}
    close = get_close_matches(_bare(name), bare, n=3, cutoff=0.4) or list(bare)[:3]
    patterns = ", ".join(bare[key].naming.official for key in close)
    raise NotFoundError(f"{name!r} names no operation; did you mean {patterns}?")


def format_name(kind: str, constants: Mapping[str, int]) -> str:
    """The official name of an operation's definition; NotFoundError for an unknown kind."""
    for operation in operations():
        if operation.kind == kind:
            return operation.naming.format(constants)
    kinds = [operation.kind for operation in operations()]
    raise NotFoundError(f"no operation {kind!r}; {_hint(kind, kinds)}")


def _bare(name: str) -> str:
    """A name or pattern without its numbers and optional parts, to be compared."""
    return re.sub(r"\[.*?\]|\{\w+\}|\d+", "", name)


def _hint(name: str, known: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
    return f"did you mean {', '.join(close[:3])}?"


__all__ = ["OP_TYPES", "format_name", "operations", "parse_name"]
