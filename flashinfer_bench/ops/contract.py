"""The contract of an operation: every fact the system knows about it, typed, in one place.

Importing operations loads no torch; the functions that compute import it in their bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Binding, Unbound
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.checks import Check
    from flashinfer_bench.ops.draw import Draw

Constants = Mapping[str, int]
"""Constant or parameter -> value, as a definition's name states them."""
Lengths = Mapping[str, int]
"""Variable axis -> length in one call."""


@dataclass(frozen=True)
class Tensor:
    """An input or output."""

    axes: tuple[str, ...] | None
    """Axis names; None is a Python number."""
    dtype: str
    description: str = ""
    """What it holds, where its name and shape do not say."""
    optional: bool = False


@dataclass(frozen=True)
class Interface:
    """What a Definition states, for given constants."""

    axes: Mapping[str, int | None]
    """Axis -> constant length, or None where it differs from call to call."""
    inputs: Mapping[str, Tensor]
    """In the order of the reference's arguments."""
    outputs: Mapping[str, Tensor]
    """In the order of the reference's results."""
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """The least work that any implementation has to do."""

    bytes_moved: int
    """Bytes read from and written to global memory, each tensor once."""
    flops: int
    """Floating-point operations; a multiply-add counts two."""


@dataclass(frozen=True)
class Example:
    """One definition and one call of it, as a known model makes it when it serves."""

    name: str
    """Of the definition, in the official spelling."""
    lengths: Lengths
    of: str
    """Model and situation, e.g. `Llama 3.1 8B, 64 requests of 1,024 tokens`."""


@dataclass(frozen=True)
class Operation:
    """One operation, for every choice of its constants."""

    op_type: str
    """Family, also the folder of its definitions."""
    kind: str
    """Unique name of the operation, e.g. `gqa_paged_decode`."""
    summary: str
    """One sentence: what it computes."""
    naming: Naming
    """Constants <-> name of the definition."""
    interface: Callable[[Constants], Interface]
    """Axes, tensors and constraints."""
    reference: Callable[..., Any]
    """`f(*inputs, dtype=None, **parameters)`: the outputs, computed in `dtype` (float32) or better
    and not rounded to the output's dtype; only torch and math, imported in its body."""
    make_inputs: Callable[[Draw, Constants, Lengths], dict[str, Any]]
    """Valid inputs by name, from a seeded source."""
    draw_lengths: Callable[[Draw, Constants], dict[str, int]]
    """Lengths of the variable axes of a small realistic call."""
    check: Check
    """How outputs are judged against the reference in float64."""
    cost: Callable[[Constants, Lengths], Cost]
    """The least work, from constants and lengths."""
    binding: Binding | Unbound
    """How FlashInfer is called for it."""
    example: Example
    """Shown in the documentation, measured by `benchmarks/references.py`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Constant that is no axis but a keyword argument of the reference -> what it means."""
    requires: tuple[str, ...] = ()
    """Conditions on constants that the definition's constraints do not state, e.g.
    `num_qo_heads % num_kv_heads == 0`."""
    tags: tuple[str, ...] = ()
    """Tags of every definition, beside `fi_api:…` from the binding."""

    def compute(
        self, constants: Constants, inputs: Mapping[str, Any], dtype: Any = None
    ) -> dict[str, Any]:
        """The reference's outputs by name, not rounded; `inputs` in the order of the interface."""
        given = {name: constants[name] for name in self.parameters if name in constants}
        outputs = self.reference(*inputs.values(), dtype=dtype, **given)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(self.interface(constants).outputs, outputs, strict=True))


__all__ = ["Constants", "Cost", "Example", "Interface", "Lengths", "Operation", "Tensor"]
