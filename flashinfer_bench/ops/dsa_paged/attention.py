"""Latent attention of each query over the tokens that an indexer has chosen for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.attention.check import CHECK
from flashinfer_bench.ops.attention.tensors import SM_SCALE, draw_values, outputs, per_token
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.dsa_paged.binding import SPARSE_ATTENTION
from flashinfer_bench.ops.dsa_paged.reference import dsa_sparse_attention
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw

_SIZES = "h{num_qo_heads}_ckv{head_dim_ckv}_kpe{head_dim_kpe}_topk{topk}_ps{page_size}"
_INDICES = (
    "slots that each query attends to, page * page_size + position in the page, each at most once; "
    "then -1 up to topk"
)


def _interface(constants: Constants) -> Interface:
    axes = ("num_qo_heads", "head_dim_ckv", "head_dim_kpe", "page_size", "topk")
    parts = {"nope": "head_dim_ckv", "pe": "head_dim_kpe"}
    caches = {"ckv_cache": ("head_dim_ckv",), "kpe_cache": ("head_dim_kpe",)}
    heads = "num_qo_heads"
    return Interface(
        axes={"num_tokens": None, **{it: constants[it] for it in axes}, "num_pages": None},
        inputs={
            **per_token(("num_tokens",), {f"q_{it}": (heads, dim) for it, dim in parts.items()}),
            **per_token(("num_pages", "page_size"), caches),
            "sparse_indices": Tensor(("num_tokens", "topk"), "int32", _INDICES),
            "sm_scale": SM_SCALE,
        },
        outputs=outputs("num_tokens", (heads, "head_dim_ckv")),
        constraints=(
            "sparse_indices.shape[0] == num_tokens",
            "sparse_indices.shape[-1] == topk",
            "ckv_cache.shape[1] == page_size",
        ),
    )


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Scaled as before absorption, where DeepSeek's 512 compressed dimensions stand for 128."""
    sm_scale = (constants["head_dim_ckv"] // 4 + constants["head_dim_kpe"]) ** -0.5
    return {
        **draw_values(draw, _interface(constants), lengths),
        "sparse_indices": _sparse_indices(draw, constants, lengths).to(draw.device),
        "sm_scale": float(sm_scale),
    }


def _sparse_indices(draw: Draw, constants: Constants, lengths: Lengths) -> torch.Tensor:
    """Most rows full, some partly, a few empty; the first is as full as the cache allows."""
    import torch

    tokens, topk = lengths["num_tokens"], constants["topk"]
    slots = lengths["num_pages"] * constants["page_size"]
    most = min(topk, slots)
    kind = draw.integers(0, 15, tokens)
    counts = torch.full((tokens,), most)
    partly = draw.integers(1, most, tokens)
    counts[kind < 4] = partly[kind < 4]
    counts[kind == 0] = 0
    counts[:1] = most
    place = torch.arange(topk)
    begin = draw.integers(0, slots - 1, tokens)[:, None]
    indices = draw.permutation(slots)[(begin + place) % slots]
    return indices.masked_fill(place >= counts[:, None], -1).to(torch.int32)


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    """Caches with fewer slots than topk, and with more."""
    pages = -(-constants["topk"] // constants["page_size"])
    return {
        "num_tokens": draw.choice((1, 2, 3, 7, 16, 33)),
        "num_pages": draw.integer(1, 3 * pages + 1),
    }


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    """The least work, assuming full rows that share their slots."""
    tokens, heads = lengths["num_tokens"], constants["num_qo_heads"]
    ckv, kpe = constants["head_dim_ckv"], constants["head_dim_kpe"]
    seen = min(constants["topk"], lengths["num_pages"] * constants["page_size"])
    row = 2 * heads * (2 * ckv + kpe) + 4 * heads + 4 * constants["topk"]
    return Cost(tokens * row + 2 * seen * (ckv + kpe), 2 * tokens * seen * heads * (2 * ckv + kpe))


SPARSE = Operation(
    op_type="dsa_paged",
    kind="dsa_sparse_attention",
    summary="Latent attention of each query over its chosen slots of a paged cache; lse is to "
    "base 2.",
    naming=Naming(f"dsa_sparse_attention_{_SIZES}", (f"dsa_sparse_decode_{_SIZES}",)),
    interface=_interface,
    reference=dsa_sparse_attention,
    make_inputs=_make_inputs,
    draw_lengths=_draw_lengths,
    check=CHECK,
    cost=_cost,
    binding=SPARSE_ATTENTION,
    example=Example(
        "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64",
        {"num_tokens": 64, "num_pages": 8192},
        "DeepSeek V3.2 at tensor parallel 8, 64 requests",
    ),
    tags=("sparse:topk",),
)

__all__ = ["SPARSE"]
