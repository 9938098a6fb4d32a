"""A Definition: the interface of an operation, with a reference that says what it computes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from flashinfer_bench.data import flashinfer_dialect
from flashinfer_bench.data.base import NonEmptyString, NonNegativeInt, StoredModel, TaggedModel


class AxisConst(TaggedModel):
    """An axis whose length is part of the operation."""

    type: Literal["const"] = "const"
    """The constant `const`."""
    value: NonNegativeInt
    """Length in elements."""
    description: str | None = None
    """What the axis counts."""


class AxisVar(TaggedModel):
    """An axis whose length differs from call to call."""

    type: Literal["var"] = "var"
    """The constant `var`."""
    description: str | None = None
    """What the axis counts."""


def _axis_kind(axis: Any) -> str | None:
    if isinstance(axis, dict):
        kind = axis.get("type", "const" if "value" in axis else "var")
        return kind if isinstance(kind, str) else repr(kind)
    return getattr(axis, "type", None)


AxisSpec = Annotated[
    Annotated[AxisConst, Tag("const")] | Annotated[AxisVar, Tag("var")],
    Discriminator(_axis_kind),
]


class DType(str, Enum):
    """Element types by their torch names; those marked (new) are unknown to the public tool."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E8M0FNU = "float8_e8m0fnu"
    FLOAT4_E2M1 = "float4_e2m1"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    UINT64 = "uint64"
    UINT32 = "uint32"
    UINT16 = "uint16"
    UINT8 = "uint8"
    BOOL = "bool"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def torch_name(self) -> str:
        """The attribute of `torch` that is this type; two float4 values share one byte."""
        return "float4_e2m1fn_x2" if self is DType.FLOAT4_E2M1 else self.value


NEW_DTYPES = frozenset(
    {
        DType.FLOAT64,
        DType.FLOAT8_E8M0FNU,
        DType.UINT64,
        DType.UINT32,
        DType.UINT16,
        DType.UINT8,
        DType.UNKNOWN,
    }
)
"""Types that our schema has and the public tool's reader rejects."""


class TensorSpec(StoredModel):
    """One input or output: its axes and element type."""

    shape: list[str] | None
    """Axis names; `[]` is a 0-D tensor, `null` a Python scalar."""
    dtype: DType
    """Element type."""
    description: str | None = None
    """What the tensor holds."""
    optional: bool = False
    """Whether a call may leave it out (ignored by the public tool)."""


class Definition(StoredModel):
    """The interface of an operation: axes, inputs, outputs, and a reference that computes it.

    Files in FlashInfer's trace-dump dialect are read too: see `flashinfer_dialect`.
    """

    name: NonEmptyString
    """Unique name; says op_type and the constant axes, e.g. `rmsnorm_h4096`."""
    op_type: NonEmptyString
    """Family of operations, also the folder name."""
    axes: dict[NonEmptyString, AxisSpec]
    """Axis name to its kind: constant, or variable from call to call."""
    inputs: dict[NonEmptyString, TensorSpec]
    """Inputs in the order of `run`'s arguments."""
    outputs: dict[NonEmptyString, TensorSpec]
    """Outputs in the order of `run`'s results."""
    reference: NonEmptyString
    """Python source with a top-level `def run(...)`."""
    tags: list[NonEmptyString] = []
    """`namespace:value` labels, e.g. `status:verified`."""
    description: str | None = None
    """What the operation does."""
    constraints: list[NonEmptyString] = []
    """Python expressions over axes and tensors that hold for every valid call."""

    @model_validator(mode="before")
    @classmethod
    def _from_flashinfer_dump(cls, data: Any) -> Any:
        return flashinfer_dialect.normalise(data) if isinstance(data, dict) else data

    @field_validator("outputs")
    @classmethod
    def _names_are_distinct(
        cls, outputs: dict[str, TensorSpec], info: ValidationInfo
    ) -> dict[str, TensorSpec]:
        shared = sorted(set(outputs) & set(info.data.get("inputs", ())))
        if shared:
            raise ValueError(f"{', '.join(shared)}: both an input and an output; rename the output")
        return outputs

    @field_validator("inputs", "outputs")
    @classmethod
    def _axes_are_declared(
        cls, tensors: dict[str, TensorSpec], info: ValidationInfo
    ) -> dict[str, TensorSpec]:
        axes: dict[str, AxisConst | AxisVar] = info.data.get("axes", {})
        for name, spec in tensors.items() if "axes" in info.data else ():
            missing = [axis for axis in spec.shape or () if axis not in axes]
            if missing:
                raise ValueError(f"{name}: axis {missing[0]!r} is not in axes ({', '.join(axes)})")
        return tensors

    @field_validator("reference")
    @classmethod
    def _reference_has_run(cls, source: str) -> str:
        try:
            module = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or "?"
            raise ValueError(f"not Python: line {line}: {_reason(error)}") from None
        if not any(
            isinstance(node, ast.FunctionDef) and node.name == "run" for node in module.body
        ):
            raise ValueError("no top-level function 'run' (a plain `def run(...)` is expected)")
        return source

    @field_validator("constraints")
    @classmethod
    def _constraints_parse(cls, constraints: list[str]) -> list[str]:
        for constraint in constraints:
            try:
                ast.parse(constraint, mode="eval")
            except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
                raise ValueError(
                    f"{constraint[:80]!r} is not a Python expression: {_reason(error)}"
                ) from None
        return constraints

    @cached_property
    def const_axes(self) -> dict[str, int]:
        """Constant axes and their lengths."""
        return {name: axis.value for name, axis in self.axes.items() if axis.type == "const"}

    @cached_property
    def var_axes(self) -> list[str]:
        """Names of the variable axes."""
        return [name for name, axis in self.axes.items() if axis.type == "var"]

    @cached_property
    def var_axes_bindings(self) -> dict[str, tuple[str, int]]:
        """Variable axis -> (input, dimension) that first gives its length."""
        bindings: dict[str, tuple[str, int]] = {}
        for name, spec in self.inputs.items():
            for dim, axis in enumerate(spec.shape or ()):
                if self.axes[axis].type == "var":
                    bindings.setdefault(axis, (name, dim))
        return bindings

    @cached_property
    def torch_input_dtypes(self) -> list[Any]:
        """torch.dtype of every input, in order."""
        return [_torch_dtype(spec.dtype) for spec in self.inputs.values()]

    @cached_property
    def torch_output_dtypes(self) -> list[Any]:
        """torch.dtype of every output, in order."""
        return [_torch_dtype(spec.dtype) for spec in self.outputs.values()]

    def get_axes_values(self, input_shapes: Iterable[Sequence[int] | None]) -> dict[str, int]:
        """Lengths of the variable axes, from one shape per input (None for a scalar).

        Raises ValueError on a wrong rank, on two lengths for one axis, and on an axis left open.
        """
        if isinstance(input_shapes, Mapping):
            input_shapes = [input_shapes.get(name) for name in self.inputs]
        values: dict[str, int] = {}
        for (name, spec), shape in zip(self.inputs.items(), input_shapes):
            if spec.shape is None or (shape is None and spec.optional):
                continue
            if shape is None or len(shape) != len(spec.shape):
                found = "a scalar" if shape is None else f"{len(shape)} ({list(shape)})"
                raise ValueError(f"input {name!r}: rank {len(spec.shape)} expected, got {found}")
            for axis, length in zip(spec.shape, shape):
                if self.axes[axis].type == "var" and values.setdefault(axis, length) != length:
                    raise ValueError(
                        f"axis {axis!r}: {values[axis]} so far, but {length} in input {name!r}"
                    )
        missing = [axis for axis in self.var_axes if axis not in values]
        if missing:
            raise ValueError(f"no input gives a length for variable axes: {', '.join(missing)}")
        return values

    def get_axes_values_from_inputs(self, inputs: Iterable[Any]) -> dict[str, int]:
        """Lengths of the variable axes, from the inputs themselves; errors as `get_axes_values`."""
        return self.get_axes_values([_shape_of(value) for value in inputs])

    def get_input_shapes(
        self, var_axes_values: Mapping[str, int] | None = None
    ) -> list[list[int] | None]:
        """Shape of every input (None for a scalar); ValueError when a variable axis is missing."""
        return self._shapes(self.inputs, var_axes_values)

    def get_output_shapes(
        self, var_values: Mapping[str, int] | None = None
    ) -> list[list[int] | None]:
        """Shape of every output (None for a scalar); ValueError when a variable axis is missing."""
        return self._shapes(self.outputs, var_values)

    def merge_kwargs_to_args(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Positional arguments (inputs, then outputs) with `kwargs` put behind `args`.

        Stops at the first argument that neither gives; other keywords are ignored.
        Raises TypeError for too many arguments, or one given twice.
        """
        names = [*self.inputs, *self.outputs]
        if len(args) > len(names):
            raise TypeError(f"{self.name} takes at most {len(names)} arguments, got {len(args)}")
        twice = [name for name in names[: len(args)] if name in kwargs]
        if twice:
            raise TypeError(f"{self.name} got two values for {', '.join(twice)}")
        merged = list(args)
        for name in names[len(args) :]:
            if name not in kwargs:
                break
            merged.append(kwargs[name])
        return tuple(merged)

    def _shapes(
        self, tensors: Mapping[str, TensorSpec], var_values: Mapping[str, int] | None
    ) -> list[list[int] | None]:
        lengths = {**(var_values or {}), **self.const_axes}
        missing = [axis for axis in self._axes_of(tensors) if axis not in lengths]
        if missing:
            raise ValueError(f"no length given for variable axes: {', '.join(missing)}")
        return [
            None if spec.shape is None else [lengths[axis] for axis in spec.shape]
            for spec in tensors.values()
        ]

    @staticmethod
    def _axes_of(tensors: Mapping[str, TensorSpec]) -> list[str]:
        return list(dict.fromkeys(axis for spec in tensors.values() for axis in spec.shape or ()))


def _reason(error: BaseException) -> str:
    return getattr(error, "msg", None) or str(error) or type(error).__name__


def _shape_of(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _torch_dtype(dtype: DType) -> Any:
    import torch

    try:
        return getattr(torch, dtype.torch_name)
    except AttributeError:
        raise ValueError(f"torch {torch.__version__} has no dtype for {dtype.value!r}") from None


__all__ = [
    "NEW_DTYPES",
    "AxisConst",
    "AxisSpec",
    "AxisVar",
    "DType",
    "Definition",
    "TensorSpec",
]
