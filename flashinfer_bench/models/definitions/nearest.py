"""Help where a dataset lacks a definition: the nearest one it has, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.ops.registry import parse_name


@dataclass(frozen=True)
class Advice:
    """For one missing definition."""

    missing: str
    nearest: str | None
    """Of the same operation, with the closest constants; None where the dataset has none."""
    differences: tuple[str, ...]
    """As `num_kv_heads 8 instead of 4`."""
    command: str
    """Writes the missing definition."""


def advise(name: str, op_type: str, existing: Collection[str]) -> Advice:
    """For a definition that the dataset does not have."""
    operation, wanted = parse_name(name)
    candidates = []
    for other in existing:
        try:
            kind, constants = parse_name(other)
        except NotFoundError:
            continue  # a definition of no operation that we know
        if kind.kind == operation.kind:
            candidates.append((_distance(wanted, constants), other, constants))
    file = f"definitions/{op_type}/{name}.json"
    command = f"flashinfer-bench definition {name} > {file}"
    if not candidates:
        return Advice(name, None, (), command)
    _, nearest, constants = min(candidates, key=lambda it: it[:2])
    return Advice(name, nearest, _differences(wanted, constants), command)


def _distance(wanted: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Sum of the logarithms of ratios; a constant that only one has counts as a factor of two."""
    keys = wanted.keys() | other.keys()
    return sum(
        abs(math.log2((wanted[key] + 1) / (other[key] + 1)))
        if key in wanted and key in other
        else 1.0
        for key in keys
    )


def _differences(wanted: Mapping[str, int], other: Mapping[str, int]) -> tuple[str, ...]:
    keys = [key for key in (*wanted, *other) if wanted.get(key) != other.get(key)]
    return tuple(
        f"{key} {other.get(key, 'not stated')} instead of {wanted.get(key, 'not stated')}"
        for key in dict.fromkeys(keys)
    )


__all__ = ["Advice", "advise"]
