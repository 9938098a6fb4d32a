"""How outputs are judged: bounds from the output's dtype, against a reference in float64.

`Numeric` measures in units of the dtype's rounding step `eps` and of the row's own size (the last
dimension is a row), so that the same numbers hold for all magnitudes:

- infinities and NaN stand where the reference has them;
- one element: error <= element * eps * (|expected| + size of its row);
- one row: root mean square of its errors <= row * eps * its size;
- all: root mean square of all errors, each in units of its row's size, <= total * eps;
- gain: the best common factor between result and reference is 1 within gain * eps.

The step of rounding alone is 0.5 eps for one element and about 0.2 eps for all. An honest kernel
that rounds intermediate results to the output's dtype doubles that; computing in a lower precision,
a scale off by 1 % or one wrong row exceed the bounds by far. Where all values are alike, rounding
moves them all the same way: no bound is below 1.5 times what rounding the reference costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

EPS = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float8_e4m3fn": 2.0**-3,
    "float8_e5m2": 2.0**-2,
}
"""Dtype -> distance from 1 to the next larger value."""


@dataclass(frozen=True)
class Judged:
    """One output, as the check sees it."""

    name: str
    passed: bool
    reason: str
    """Why it failed; empty when it passed."""
    max_absolute_error: float
    max_relative_error: float
    facts: Mapping[str, float] = field(default_factory=dict)
    """Measured values, in the bounds' units."""


class Check(Protocol):
    """Judges all outputs of one call."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        """`expected` is the reference in float64; `actual` has the definition's dtypes."""


@dataclass(frozen=True)
class Bounds:
    """Limits of `Numeric`, in units of eps."""

    element: float = 4.0
    """Of one element's error, relative to itself and the size of its row."""
    row: float = 1.0
    """Of a row's error."""
    total: float = 0.5
    """Of the error of all rows."""
    gain: float = 0.25
    """Of the distance from 1 of the best common factor."""
    gain_of_one_row: float = 0.0
    """Added to it for a single row; less by the root of the number of different rows."""
    eps: float | None = None
    """Rounding step; None takes that of the output's dtype."""
    absolute: bool = False
    """Whether errors count as they are, not relative to the row's size (log-sum-exp)."""
    lowest: float | None = None
    """Smaller values count as -inf."""
    reason: str = ""
    """Why these bounds are not the usual ones."""


@dataclass(frozen=True)
class Numeric:
    """Floating-point outputs within bounds, integers exactly."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Output -> its own bounds."""
    row_dimensions: int = 1
    """Last dimensions that make a row together."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        return [
            self._judge(name, expected[name], actual[name], self.bounds.get(name, Bounds()))
            for name in expected
        ]

    def _judge(self, name: str, expected: Any, actual: Any, bounds: Bounds) -> Judged:
        if self.row_dimensions > 1 and actual.shape == expected.shape:
            expected, actual = (it.flatten(-self.row_dimensions) for it in (expected, actual))
        return judge(name, expected, actual, bounds)


def judge(name: str, expected: torch.Tensor, actual: torch.Tensor, bounds: Bounds) -> Judged:
    """One output against its reference."""
    if actual.shape != expected.shape:
        reason = f"shape {list(actual.shape)}, expected {list(expected.shape)}"
        return Judged(name, False, reason, math.inf, math.inf)
    if not actual.dtype.is_floating_point:
        return _judge_exact(name, expected, actual)
    import torch

    eps = bounds.eps or EPS[str(actual.dtype).removeprefix("torch.")]
    want, got = expected.double(), actual.double()
    if bounds.lowest is not None:
        want, got = (it.masked_fill(it < bounds.lowest, -math.inf) for it in (want, got))
    if not _same_specials(want, got):
        return Judged(name, False, "infinities or NaN elsewhere", math.inf, math.inf)
    want, got = _finite(want), _finite(got)
    limits = torch.finfo(actual.dtype)
    rounding = limits.smallest_normal * limits.eps / 2  # of subnormal numbers, whatever their size
    error = ((got - want).abs() - rounding).clamp_min(0)
    facts = _measure(want, error.copysign(got - want), bounds, eps)
    rounded = _measure(want, want.to(actual.dtype).double() - want, bounds, eps)
    most = {"element": bounds.element, "row": bounds.row, "total": bounds.total}
    most["gain"] = bounds.gain + 4 / math.sqrt(max(1, want.numel()))
    if bounds.gain_of_one_row:
        most["gain"] += bounds.gain_of_one_row / math.sqrt(_different_rows(want))
    most = {key: max(limit, 1.5 * rounded[key]) for key, limit in most.items()}
    broken = [key for key, limit in most.items() if not facts[key] <= limit]
    reason = ", ".join(f"{key} {facts[key]:.3g} eps > {most[key]:.3g}" for key in broken)
    relative = error / want.abs().clamp_min(1e-30)
    return Judged(name, not broken, reason, _max(error), _max(relative), facts)


def _judge_exact(name: str, expected: torch.Tensor, actual: torch.Tensor) -> Judged:
    wrong = int((expected.long() != actual.long()).sum())
    error = (expected.double() - actual.double()).abs()
    reason = f"{wrong} of {expected.numel()} whole numbers differ" if wrong else ""
    return Judged(name, not wrong, reason, _max(error), _max(error / expected.abs().clamp_min(1)))


def _measure(
    want: torch.Tensor, error: torch.Tensor, bounds: Bounds, eps: float
) -> dict[str, float]:
    if want.numel() == 0:
        return dict.fromkeys(("element", "row", "total", "gain"), 0.0)
    if bounds.absolute:
        want, error = want.reshape(-1, 1), error.reshape(-1, 1)
        size = want.new_ones(())
    else:
        size = want.square().mean(dim=-1, keepdim=True).sqrt()
        size = size.clamp_min(size.max() * eps * eps).clamp_min(1e-300)
    scaled, relative = want / size, error / size
    norm = scaled.square().sum()
    facts = {
        "element": (error.abs() / (want.abs() + size)).max(),
        "row": relative.square().mean(dim=-1).sqrt().max(),
        "total": relative.square().mean().sqrt(),
        "gain": (relative * scaled).sum().abs() / norm if float(norm) else norm,
    }
    return {key: float(value) / eps for key, value in facts.items()}


def _different_rows(values: torch.Tensor) -> int:
    """Rows that are no other's equal and not all zero, told apart by their sizes; at least one."""
    sizes = values.square().sum(dim=-1).flatten().tolist()
    return max(1, len({f"{size:.6g}" for size in sizes if size}))


def _same_specials(want: torch.Tensor, got: torch.Tensor) -> bool:
    import torch

    special = ~want.isfinite()
    if not torch.equal(special, ~got.isfinite()):
        return False
    return torch.equal(want[special].nan_to_num(nan=7.0), got[special].nan_to_num(nan=7.0))


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.where(values.isfinite(), values.new_zeros(()))


def _max(values: torch.Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0


__all__ = ["EPS", "Bounds", "Check", "Judged", "Numeric", "judge"]
