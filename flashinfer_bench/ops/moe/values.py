"""Weights and activations as quantised checkpoints hold them, made without large copies."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod
from typing import TYPE_CHECKING

from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.moe.interface import BLOCK

if TYPE_CHECKING:
    import torch

POOL = (1 << 24) - 3
"""Values that are drawn at most; a prime, so that no expert begins where another one did."""
MX_BLOCK = 32
MX_POOL = (1 << 19) - 1
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
FP8_SPREAD = 64.0
"""Standard deviation of fp8 values, whose largest is 448."""
FP8_LARGEST = 448.0
_SIZES = {"large": 2.0**3, "tiny": 2.0**-10}


def plain(draw: Draw) -> Draw:
    """A draw of plain values, for what a style must not change."""
    return Draw(draw.integer(0, (1 << 31) - 1), draw.device)


def strength(draw: Draw) -> float:
    """Size of activations in the draw's style."""
    return _SIZES.get(draw.style, 1.0)


def tiled(pool: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A tensor that holds the pool's rows over and over."""
    rows = prod(shape) // pool[0].numel()
    copies = -(-rows // len(pool))
    repeated = pool.repeat(copies, *[1] * (pool.dim() - 1)) if copies > 1 else pool
    return repeated[:rows].reshape(*shape)


def fan_in_weights(draw: Draw, shape: Sequence[int]) -> torch.Tensor:
    """bfloat16, scaled by the last axis."""
    import torch

    drawn = min(prod(shape), POOL)
    values = plain(draw).normal((drawn,), torch.float32, shape[-1] ** -0.5)
    return tiled(values.to(torch.bfloat16), shape)


def fp8_values(draw: Draw, shape: Sequence[int]) -> torch.Tensor:
    """float8_e4m3fn of all sizes; whole multiples of the spread in the style `ties`."""
    import torch

    values = plain(draw).normal((min(prod(shape), POOL),), torch.float32)
    if draw.style == "ties":
        values = values.round()
    values = (values * FP8_SPREAD).clamp(-FP8_LARGEST, FP8_LARGEST).to(torch.float8_e4m3fn)
    # as bytes, since few kernels copy fp8
    return tiled(values.view(torch.uint8), shape).view(torch.float8_e4m3fn)


def fp8_rows(draw: Draw, rows: int, columns: int) -> torch.Tensor:
    """Activations in fp8, all rows the same in the style `repeated`."""
    values = fp8_values(draw, (1 if draw.style == "repeated" else rows, columns))
    return values.expand(rows, columns).contiguous()


def scales(draw: Draw, shape: Sequence[int], size: float) -> torch.Tensor:
    """float32 in [size, 4 size), neighbours mostly far apart."""
    import torch

    source, count = plain(draw), prod(shape)
    steps = source.integers(16, 31, count) << source.integers(0, 1, count)
    return (steps.to(torch.float32) * (size / 16)).view(*shape).to(draw.device)


def block_scales(draw: Draw, rows: int, columns: int, experts: int) -> torch.Tensor:
    """Scales of fp8 weights [experts, rows, columns] that make them weights by fan-in."""
    shape = (experts, -(-rows // BLOCK), -(-columns // BLOCK))
    return scales(draw, shape, columns**-0.5 / FP8_SPREAD)


def mxfp4_values(draw: Draw, shape: Sequence[int]) -> torch.Tensor:
    """float32 that mxfp4 represents exactly, about fan-in by the last axis."""
    import torch

    *leading, columns = shape
    blocks = -(-columns // MX_BLOCK)
    drawn = min(prod(leading) * blocks, MX_POOL)
    source = plain(draw)
    codes = source.integers(0, 15, drawn * MX_BLOCK)
    values = torch.tensor([*E2M1, *(-value for value in E2M1)], dtype=torch.float32)[codes]
    usual = round(log2(columns**-0.5)) - 2
    exponents = source.integers(usual - 1, usual + 1, drawn)
    pool = values.view(drawn, MX_BLOCK) * 2.0 ** exponents[:, None].to(torch.float32)
    whole = tiled(pool.to(draw.device), (*leading, blocks * MX_BLOCK))
    return whole if columns == blocks * MX_BLOCK else whole[..., :columns].contiguous()


__all__ = [
    "FP8_SPREAD",
    "block_scales",
    "fan_in_weights",
    "fp8_rows",
    "fp8_values",
    "mxfp4_values",
    "plain",
    "scales",
    "strength",
    "tiled",
]
