"""Real tensors against a Definition: rank, lengths, dtypes, constraints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flashinfer_bench.data.constraints import UnsupportedExpression, check_constraint
from flashinfer_bench.data.definition import Definition, DType, TensorSpec

Values = Sequence[Any] | Mapping[str, Any]


def violations(definition: Definition, inputs: Values, outputs: Values | None = None) -> list[str]:
    """What is wrong with a call's inputs (and outputs), one sentence each; empty when it is valid.

    Compares ranks, the lengths of constant and variable axes, dtypes, and evaluates the
    constraints. Tensors may be torch's, numpy's or anything with `shape` and `dtype`; values go by
    position or by name. float4 tensors may be packed, two values to a byte.
    """
    values = _by_name(definition.inputs, inputs) | _by_name(definition.outputs, outputs or ())
    specs = definition.inputs | (definition.outputs if outputs is not None else {})
    lengths: dict[str, int] = dict(definition.const_axes)
    found: list[str] = []
    for name, spec in specs.items():
        if values.get(name) is None:
            found += [] if spec.optional else [f"{name}: missing"]
        else:
            found += _mismatches(name, spec, values[name], lengths)
    bindings = {**{name: value for name, value in values.items() if value is not None}, **lengths}
    return found + list(_broken_constraints(definition, bindings))


def dtype_name(value: Any) -> str:
    """Our name of a tensor's dtype."""
    name = str(value.dtype).rpartition(".")[2]
    return DType.FLOAT4_E2M1.value if name == DType.FLOAT4_E2M1.torch_name else name


def _by_name(specs: Mapping[str, TensorSpec], values: Values) -> dict[str, Any]:
    if isinstance(values, Mapping):
        return dict(values)
    if len(values) > len(specs):
        raise ValueError(f"{len(values)} values for {len(specs)} tensors: {', '.join(specs)}")
    return dict(zip(specs, values))


def _mismatches(name: str, spec: TensorSpec, value: Any, lengths: dict[str, int]) -> Iterator[str]:
    """Faults of one value; variable axes met for the first time are added to `lengths`."""
    shape = getattr(value, "shape", None)
    if spec.shape is None:
        yield from _scalar_faults(name, spec.dtype, value)
        return
    if shape is None:
        yield f"{name}: a tensor with axes {spec.shape} expected, got {type(value).__name__}"
        return
    if len(shape) != len(spec.shape):
        axes = ", ".join(spec.shape)
        yield f"{name}: rank {len(spec.shape)} ({axes}) expected, got {list(shape)}"
        return
    packed = spec.dtype is DType.FLOAT4_E2M1
    for dim, (axis, length) in enumerate(zip(spec.shape, shape)):
        expected = lengths.setdefault(axis, length)
        half = packed and dim == len(shape) - 1 and 2 * length == expected
        if length != expected and not half:
            yield f"{name}: axis {axis} is {expected}, but dimension {dim} has length {length}"
    if spec.dtype not in (DType.UNKNOWN, dtype_name(value)):
        yield f"{name}: dtype {spec.dtype} expected, got {dtype_name(value)}"


def _scalar_faults(name: str, dtype: DType, value: Any) -> Iterator[str]:
    accepted: tuple[type, ...] = (int, float)
    if dtype is DType.BOOL:
        accepted = (bool,)
    elif "int" in dtype.value:
        accepted = (int,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and dtype is not DType.BOOL):
        yield f"{name}: a Python number of type {dtype} expected, got {value!r:.60}"


def _broken_constraints(definition: Definition, bindings: Mapping[str, Any]) -> Iterator[str]:
    for constraint in definition.constraints:
        try:
            outcome = check_constraint(constraint, bindings)
        except UnsupportedExpression as error:
            yield f"constraint {constraint!r} cannot be evaluated: {error}"
            continue
        if outcome.holds is False:
            yield f"constraint violated: {outcome.detail}"


__all__ = ["dtype_name", "violations"]
