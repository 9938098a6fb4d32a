"""One step of Mamba-2: the state of each request decays, takes in its token and is read out.

Each head has one rate of decay `A`, one step `dt`, one `D` and one `dt_bias`; their tensors repeat
them over head_dim and dstate, as Mamba-1, which has one for each element, would have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.mamba_ssu.binding import DTYPE, SELECTIVE_STATE_UPDATE
from flashinfer_bench.ops.mamba_ssu.check import StateCheck
from flashinfer_bench.ops.mamba_ssu.reference import mamba_ssu_decode
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw


def _interface(constants: Constants) -> Interface:
    state = ("state_cache_size", "nheads", "head_dim", "dstate")
    token = Tensor(("batch_size", "nheads", "head_dim"), DTYPE)
    group = Tensor(("batch_size", "ngroups", "dstate"), DTYPE)
    step = "added to dt_bias, then through softplus; one value for each head, repeated"
    return Interface(
        axes={
            "batch_size": None,
            "state_cache_size": None,
            **{size: constants[size] for size in ("nheads", "head_dim", "dstate", "ngroups")},
        },
        inputs={
            "state": Tensor(state, DTYPE, "of all requests, those of this call and others"),
            "x": token,
            "dt": Tensor(token.axes, DTYPE, step),
            "A": Tensor(state[1:], "float32", "below zero; one value for each head, repeated"),
            "B": group,
            "C": group,
            "D": Tensor(("nheads", "head_dim"), DTYPE, "one value for each head, repeated"),
            "dt_bias": Tensor(("nheads", "head_dim"), DTYPE, "one value for each head, repeated"),
            "state_batch_indices": Tensor(
                ("batch_size",),
                "int32",
                "slot of each request's state, no two the same; -1 is no slot: the state before "
                "counts as zero, that after is not stored",
            ),
        },
        outputs={
            "output": token,
            "new_state": Tensor(
                state, DTYPE, "the state after this token; slots of no request stay as they are"
            ),
        },
        constraints=("nheads % ngroups == 0", "state_cache_size >= batch_size"),
    )


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Decays from nearly none to nearly all, in states of different size, as in use.

    A is -1 … -16, dt_bias -6 … 1; a smaller sum of dt and dt_bias than -8 would take away the
    digits of a softplus that is computed as log(1 + exp(x)) in float32.
    """
    import torch

    batch, slots = lengths["batch_size"], lengths["state_cache_size"]
    heads, dim, dstate, groups = (
        constants[size] for size in ("nheads", "head_dim", "dstate", "ngroups")
    )
    bfloat16 = torch.bfloat16
    sizes = torch.tensor([1, 0.5, 0.25, 0.125], dtype=bfloat16)[draw.integers(0, 3, heads)]
    state = draw.normal((slots, heads, dim, dstate), bfloat16)
    rates = draw.integers(16, 256, heads).to(torch.float32) / -16
    biases = (draw.integers(-96, 16, heads).to(torch.float32) / 16).to(bfloat16)
    steps = draw.normal((batch, heads, 1), bfloat16, 0.5).clamp(-2, 8)
    indices = draw.permutation(slots)[:batch].to(torch.int32)
    if batch > 1 and draw.integer(0, 3) == 0:
        indices[draw.integer(0, batch - 1)] = -1
    return {
        "state": state.mul_(sizes.to(draw.device)[:, None, None]),
        "x": draw.normal((batch, heads, dim), bfloat16),
        "dt": steps.expand(batch, heads, dim).contiguous(),
        "A": rates.to(draw.device)[:, None, None].expand(heads, dim, dstate).contiguous(),
        "B": draw.normal((batch, groups, dstate), bfloat16),
        "C": draw.normal((batch, groups, dstate), bfloat16),
        "D": (1 + draw.normal((heads, 1), bfloat16, 0.25)).expand(heads, dim).contiguous(),
        "dt_bias": biases.to(draw.device)[:, None].expand(heads, dim).contiguous(),
        "state_batch_indices": indices.to(draw.device),
    }


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    batch = draw.choice((1, 2, 3, 5, 9))
    return {"batch_size": batch, "state_cache_size": batch + draw.choice((0, 1, 4))}


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    """States of the batch read and written; five operations for each of their elements."""
    batch, heads, dim = lengths["batch_size"], constants["nheads"], constants["head_dim"]
    states = batch * heads * dim * constants["dstate"]
    per_token = 2 * heads * dim + heads + 2 * constants["ngroups"] * constants["dstate"]
    per_head = 4 + 2 + 2
    moved = 2 * (2 * states + batch * per_token) + heads * per_head + 4 * batch
    return Cost(moved, 5 * states)


OPERATIONS = (
    Operation(
        op_type="mamba_ssu",
        kind="mamba_ssu_decode",
        summary="One token of Mamba-2: with t = softplus(dt + dt_bias), each head's state becomes "
        "state * exp(A * t) + t * x * B, and the output is that times C, summed over dstate, plus "
        "D * x.",
        naming=Naming("mamba_ssu_decode_h{nheads}_d{head_dim}_s{dstate}_ng{ngroups}"),
        interface=_interface,
        reference=mamba_ssu_decode,
        make_inputs=_make_inputs,
        draw_lengths=_draw_lengths,
        check=StateCheck(),
        cost=_cost,
        binding=SELECTIVE_STATE_UPDATE,
        example=Example(
            "mamba_ssu_decode_h128_d64_s128_ng8",
            {"batch_size": 64, "state_cache_size": 72},
            "Nemotron-H 8B, 64 requests",
        ),
        tags=("stage:decode",),
    ),
)
