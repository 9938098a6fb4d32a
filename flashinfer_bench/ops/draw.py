"""Seeded values that are the same bytes on every machine.

Everything comes from whole random numbers of torch's Mersenne Twister on the CPU and exact
arithmetic: library functions such as `randn` differ in the last bit between processors. Normal
values are looked up in a table of 65,536 quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import prod
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Style = Literal["plain", "large", "tiny", "ties", "repeated"]
STYLES: tuple[Style, ...] = ("plain", "large", "tiny", "ties", "repeated")
"""How values are distributed: plain normal, or a set that strains a kernel."""

_SCALES: dict[Style, float] = {"large": 2.0**3, "tiny": 2.0**-10}
_TABLE_BITS = 16
_DRAWN_AT_MOST = 1 << 24
"""Longer tensors repeat their first values: a page table of random pages hides the period."""


class Draw:
    """A stream of random values; calls in the same order give the same values."""

    def __init__(self, seed: int, device: str = "cpu", style: Style = "plain") -> None:
        import torch

        self.device = device
        self.style = style
        self._generator = torch.Generator().manual_seed(seed)

    def normal(
        self, shape: Sequence[int], dtype: torch.dtype, scale: float = 1.0, *, varied: bool = False
    ) -> torch.Tensor:
        """Normal values of standard deviation `scale`, in the draw's style.

        `varied` rows differ in the style `repeated` too.
        """
        codes = self._codes(prod(shape))
        values = _normal_quantiles()[codes]
        if self.style == "ties":
            values = values.round()
        values = values * (scale * _SCALES.get(self.style, 1.0))
        values = values.to(dtype)
        if values.numel() < prod(shape):
            values = values.repeat(-(-prod(shape) // values.numel()))[: prod(shape)]
        values = values.view(*shape)
        if self.style == "repeated" and values.dim() > 1 and not varied:
            values = values[:1].expand(*shape).contiguous()
        return values.to(self.device)

    def integer(self, low: int, high: int) -> int:
        """One whole number in [low, high]."""
        return int(self.integers(low, high, 1)[0])

    def integers(self, low: int, high: int, count: int) -> torch.Tensor:
        """Whole numbers in [low, high], int64 on the CPU."""
        import torch

        return torch.randint(low, high + 1, (count,), generator=self._generator)

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def permutation(self, count: int) -> torch.Tensor:
        """0 … count-1 in random order, int64 on the CPU."""
        import torch

        return torch.randperm(count, generator=self._generator)

    def split(self, total: int, parts: int, least: int = 0) -> list[int]:
        """`parts` lengths of at least `least` that add up to `total`, unevenly."""
        if total < parts * least:
            raise ValueError(f"{total} cannot be split into {parts} parts of at least {least}")
        cuts = self.integers(0, total - parts * least, parts - 1).sort().values.tolist()
        edges = [0, *cuts, total - parts * least]
        return [high - low + least for low, high in pairwise(edges)]

    def _codes(self, count: int) -> torch.Tensor:
        return self.integers(0, (1 << _TABLE_BITS) - 1, min(count, _DRAWN_AT_MOST))


@cache
def _normal_quantiles() -> torch.Tensor:
    """Quantiles of the normal distribution, rounded to 12 bits after the point."""
    import torch

    size, normal = 1 << _TABLE_BITS, NormalDist()
    rounded = [round(normal.inv_cdf((i + 0.5) / size) * 4096) for i in range(size)]
    return torch.tensor(rounded, dtype=torch.float32) / 4096


__all__ = ["STYLES", "Draw", "Style"]
