"""Inputs of a running net: keys of length one, decays from slow to fast, states that it reaches.

Lengths of vectors are roots of exact sums and states are exact sums, each rounded once, so that
every machine makes the same bytes.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import Constants, Lengths

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw

_REMEMBERED = 16
"""Pairs of key and value that a drawn state holds."""
_TABLE = 1 << 10
_GRID = 1 << 12
_SLOWEST, _FASTEST = 1e-3, 1e-1
"""Time steps of which dt_bias is the inverse softplus."""


def make_decode_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """A state in seven of eight calls."""
    batch = lengths["batch_size"]
    tokens = _tokens(draw, constants, (batch, 1))
    state = draw_states(draw, constants, batch) if draw.integer(0, 7) else None
    return _in_order(tokens, constants, state=state)


def make_mtp_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Requests in slots of their own, in any order; no buffer for the states between."""
    batch, pool = lengths["batch_size"], lengths["pool_size"]
    tokens = _tokens(draw, constants, (batch, lengths["seq_len"]))
    states = {
        "initial_state": draw_states(draw, constants, pool),
        "initial_state_indices": draw.permutation(pool)[:batch].int().to(draw.device),
    }
    return {**_in_order(tokens, constants, **states), "intermediate_states_buffer": None}


def make_prefill_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Requests of uneven length, in some calls one without tokens; states in half of the calls.

    No two keys are alike: kernels invert the products of a chunk's keys, in low precision.
    """
    import torch

    total, requests = lengths["total_seq_len"], lengths["num_seqs"]
    tokens = _tokens(draw, constants, (total,), varied_keys=True)
    counts = draw.split(total, requests, least=int(total >= requests)) if requests else []
    if requests > 1 and draw.integer(0, 3) == 0:
        emptied = draw.integer(0, requests - 1)
        counts[emptied - 1] += counts[emptied]
        counts[emptied] = 0
    edges = torch.tensor([0, *counts], dtype=torch.int64).cumsum(0)
    state = draw_states(draw, constants, requests) if draw.integer(0, 1) else None
    inputs = _in_order(tokens, constants, state=state)
    scale = inputs.pop("scale")
    return {**inputs, "cu_seqlens": edges.to(draw.device), "scale": scale}


def draw_states(draw: Draw, constants: Constants, count: int) -> torch.Tensor:
    """[count, num_v_heads, value, key] float32: sums of values times keys of length one."""
    import torch

    heads, size = constants["num_v_heads"], constants["head_size"]
    shape = (count, heads, _REMEMBERED, size)
    keys = _unit(draw.normal(shape, torch.float32)).double()
    values = draw.normal(shape, torch.float32).double()
    return (values.mT @ keys).float()


def _in_order(
    tokens: dict[str, Any], constants: Constants, **states: torch.Tensor | None
) -> dict[str, Any]:
    qkv = {name: tokens.pop(name) for name in ("q", "k", "v")}
    return {**qkv, **states, **tokens, "scale": 1 / math.sqrt(constants["head_size"])}


def _tokens(
    draw: Draw, constants: Constants, shape: tuple[int, ...], *, varied_keys: bool = False
) -> dict[str, Any]:
    """What does not depend on where states lie."""
    import torch

    size, heads = constants["head_size"], constants["num_v_heads"]
    of_key = (*shape, constants["num_q_heads"], size)
    decays, biases = _decays()
    return {
        "q": _unit(draw.normal(of_key, torch.float32)),
        "k": _unit(draw.normal(of_key, torch.float32, varied=varied_keys)),
        "v": draw.normal((*shape, heads, size), torch.bfloat16),
        "A_log": _pick(draw, decays, heads),
        "a": draw.normal((*shape, heads), torch.bfloat16, 2.0),
        "dt_bias": _pick(draw, biases, heads),
        "b": draw.normal((*shape, heads), torch.bfloat16),
    }


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors of length one in bfloat16; zeros stay."""
    import torch

    exact = vectors.double()
    length = exact.square().sum(dim=-1, keepdim=True).sqrt()
    return (exact / length.where(length > 0, torch.ones_like(length))).to(torch.bfloat16)


def _pick(draw: Draw, table: tuple[float, ...], count: int) -> torch.Tensor:
    """Values of a table, spread evenly over it and in random order."""
    import torch

    part = len(table) // count
    places = torch.arange(count) * part + draw.integers(0, max(0, part - 1), count)
    chosen = torch.tensor(table, dtype=torch.float32)[places % len(table)]
    return chosen[draw.permutation(count)].to(draw.device)


@cache
def _decays() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A_log of A in 1 … 16, and dt_bias of time steps evenly spread in their logarithm.

    Rounded to 12 bits after the point, so that last bits of `log` do not show.
    """
    parts = [(i + 0.5) / _TABLE for i in range(_TABLE)]
    steps = [_SLOWEST * (_FASTEST / _SLOWEST) ** part for part in parts]
    return (
        tuple(round(math.log(1 + 15 * part) * _GRID) / _GRID for part in parts),
        tuple(round(math.log(math.expm1(step)) * _GRID) / _GRID for step in steps),
    )


def draw_decode_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    """A small batch."""
    return {"batch_size": draw.integer(1, 8)}


def draw_mtp_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    """A few drafted tokens each, in a pool that is full or has room."""
    batch = draw.integer(1, 5)
    pool = batch + draw.choice((0, 1, 3, 8))
    return {"batch_size": batch, "seq_len": draw.integer(2, 8), "pool_size": pool}


def draw_prefill_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    """A few requests, of one token or of several chunks."""
    requests = draw.integer(1, 4)
    total = draw.choice((1, 17, 63, 64, 65, 128, 129, 200))
    return {"total_seq_len": total, "num_seqs": requests, "len_cu_seqlens": requests + 1}


__all__ = [
    "draw_decode_lengths",
    "draw_mtp_lengths",
    "draw_prefill_lengths",
    "draw_states",
    "make_decode_inputs",
    "make_mtp_inputs",
    "make_prefill_inputs",
]
