"""Inputs of mixture-of-experts layers: skewed routing whose choice no rounding can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import Constants, Lengths
from flashinfer_bench.ops.moe.interface import BLOCK, total_experts
from flashinfer_bench.ops.moe.reference import within_best_groups
from flashinfer_bench.ops.moe.values import (
    FP8_SPREAD,
    block_scales,
    fp8_rows,
    fp8_values,
    mxfp4_values,
    plain,
    scales,
    strength,
)

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw

    Margin = Callable[[torch.Tensor], torch.Tensor]

MARGIN = 2.0**-14
"""Least distance between what is chosen and what is not, hundreds of float32's rounding steps."""
_SPREAD = {"large": 1.5, "tiny": 0.25}


def draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    return {"seq_len": draw.choice((1, 2, 3, 7, 16, 33, 64))}


def routing_logits(
    draw: Draw, rows: int, popularity: torch.Tensor, dtype: torch.dtype, margin: Margin
) -> torch.Tensor:
    """Logits around each expert's popularity; rows whose choice is too close are drawn again."""
    source, spread = plain(draw), _SPREAD.get(draw.style, 1.0)

    def some(count: int) -> torch.Tensor:
        import torch

        noise = source.normal((count, len(popularity)), torch.float32).cpu()
        return ((noise + popularity) * spread).to(dtype)

    logits = some(1 if draw.style == "repeated" else rows)
    for _ in range(1000):
        close = margin(logits.double()) < MARGIN
        if not close.any():
            break
        logits[close] = some(int(close.sum()))
    return logits.expand(rows, -1).contiguous().to(draw.device)


def popularity_of(draw: Draw, experts: int, first: int = 0, last: int = -1) -> torch.Tensor:
    """Some experts get many tokens and some none; the first and last ones get some."""
    import torch

    popularity = plain(draw).normal((experts,), torch.float32).cpu()
    popularity[[first, last]] = 1.5
    return popularity


def cut(values: torch.Tensor, kept: int) -> torch.Tensor:
    """Distance of the least value that is kept from the largest that is not, for each row."""
    import torch

    if kept >= values.shape[-1]:
        return torch.full_like(values[:, 0], torch.inf)
    best = values.topk(kept + 1, dim=-1).values
    return best[:, -2] - best[:, -1]


def ds_routing(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Biases of the size that balancing gives them, local experts anywhere among all."""
    import torch

    experts, local = total_experts(constants), constants["num_local_experts"]
    offset = draw.integer(0, experts - local)
    bias = plain(draw).normal((experts,), torch.bfloat16, 0.2).cpu()
    groups, kept = constants["n_group"], constants["topk_group"]

    def margin(logits: torch.Tensor) -> torch.Tensor:
        choice, group_scores = within_best_groups(  # type: ignore[no-untyped-call]
            torch.sigmoid(logits) + bias, groups, kept
        )
        return torch.minimum(cut(group_scores, kept), cut(choice, constants["top_k"]))

    popularity = popularity_of(draw, experts, offset, offset + local - 1)
    seq_len = lengths["seq_len"]
    return {
        "routing_logits": routing_logits(draw, seq_len, popularity, torch.float32, margin),
        "routing_bias": bias.to(draw.device),
        **_fp8_block_scale(draw, constants, seq_len),
        "local_expert_offset": offset,
        "routed_scaling_factor": draw.choice((2.5, 2.75, 1.5)),
    }


def renorm(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """All experts are local."""
    logits = _bf16_logits(draw, constants, lengths, constants["num_local_experts"])
    return {"routing_logits": logits, **_fp8_block_scale(draw, constants, lengths["seq_len"])}


def per_tensor(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Scales that keep activations between gemm1 and gemm2 within fp8, as calibration does."""
    experts, size = constants["num_experts"], 2.0 * strength(draw)
    hidden, inner = constants["hidden_size"], constants["intermediate_size"]
    requantised = 8.0 / size**2
    gate = scales(draw, (experts,), size / FP8_SPREAD**2 * hidden**-0.5 / 2)
    logits, more = _llama4_or_softmax(draw, constants, lengths)
    return {
        "routing_logits": logits,
        "hidden_states": fp8_rows(draw, lengths["seq_len"], hidden),
        "gemm1_weights": fp8_values(draw, (experts, 2 * inner, hidden)),
        "output1_scales_scalar": gate * requantised,
        "output1_scales_gate_scalar": gate,
        "gemm2_weights": fp8_values(draw, (experts, hidden, inner)),
        "output2_scales_scalar": scales(draw, (experts,), inner**-0.5 / FP8_SPREAD / requantised),
        **more,
    }


def trtllm(
    weights: Callable[[Draw, tuple[int, ...]], torch.Tensor], *, bias: bool = True
) -> Callable[[Draw, Constants, Lengths], dict[str, Any]]:
    """Activations of size one in bfloat16, weights by fan-in."""

    def make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
        logits, more = _llama4_or_softmax(draw, constants, lengths, bias)
        return {"routing_logits": logits, **_unscaled(draw, constants, lengths, weights), **more}

    return make_inputs


def routed(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Distinct experts of each token; their weights add up to about 1 where there are several."""
    import torch

    experts, top_k, rows = constants["num_experts"], constants["top_k"], lengths["seq_len"]
    source = plain(draw)
    popularity = popularity_of(draw, experts)
    noise = source.normal((rows, experts), torch.float32).cpu()
    chosen = (noise + popularity).argsort(dim=-1, descending=True, stable=True)[:, :top_k]
    parts = source.integers(8, 63, rows * top_k).view(rows, top_k).to(torch.float32)
    total = parts.sum(dim=-1, keepdim=True) if top_k > 1 else 64.0
    weights = (parts / total).to(torch.bfloat16)
    packed = (chosen.int() << 16) | weights.view(torch.int16).int()
    if draw.style == "repeated":
        packed = packed[:1].expand(rows, -1)
    ids = {"topk_ids": packed.contiguous().to(draw.device)}
    return {**ids, **_unscaled(draw, constants, lengths, mxfp4_values)}


def _bf16_logits(draw: Draw, constants: Constants, lengths: Lengths, experts: int) -> torch.Tensor:
    import torch

    top_k = constants["top_k"]
    popularity = popularity_of(draw, experts)
    return routing_logits(
        draw,
        lengths["seq_len"],
        popularity,
        torch.bfloat16,
        lambda logits: cut(logits, top_k),
    )


def _llama4_or_softmax(
    draw: Draw, constants: Constants, lengths: Lengths, bias: bool = True
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits, and the bias where one expert is chosen."""
    import torch

    experts = constants["num_experts"]
    if constants["top_k"] > 1 or not bias:
        return _bf16_logits(draw, constants, lengths, experts), {}
    added = plain(draw).normal((experts,), torch.bfloat16, 0.5).cpu()
    logits = routing_logits(
        draw,
        lengths["seq_len"],
        popularity_of(draw, experts),
        torch.bfloat16,
        lambda logits: cut(logits + added, 1),
    )
    return logits, {"routing_bias": added.to(draw.device)}


def _fp8_block_scale(draw: Draw, constants: Constants, rows: int) -> dict[str, torch.Tensor]:
    hidden, inner = constants["hidden_size"], constants["intermediate_size"]
    experts = constants["num_local_experts"]
    states = (-(-hidden // BLOCK), 1 if draw.style == "repeated" else rows)
    of_states = scales(draw, states, strength(draw) / FP8_SPREAD / 2)
    return {
        "hidden_states": fp8_rows(draw, rows, hidden),
        "hidden_states_scale": of_states.expand(-1, rows).contiguous(),
        "gemm1_weights": fp8_values(draw, (experts, 2 * inner, hidden)),
        "gemm1_weights_scale": block_scales(draw, 2 * inner, hidden, experts),
        "gemm2_weights": fp8_values(draw, (experts, hidden, inner)),
        "gemm2_weights_scale": block_scales(draw, hidden, inner, experts),
    }


def _unscaled(
    draw: Draw,
    constants: Constants,
    lengths: Lengths,
    weights: Callable[[Draw, tuple[int, ...]], torch.Tensor],
) -> dict[str, torch.Tensor]:
    import torch

    experts = constants["num_experts"]
    hidden, inner = constants["hidden_size"], constants["intermediate_size"]
    return {
        "hidden_states": draw.normal((lengths["seq_len"], hidden), torch.bfloat16, 2.0),
        "gemm1_weights": weights(draw, (experts, 2 * inner, hidden)),
        "gemm2_weights": weights(draw, (experts, hidden, inner)),
    }


__all__ = ["draw_lengths", "ds_routing", "per_tensor", "renorm", "routed", "trtllm"]
