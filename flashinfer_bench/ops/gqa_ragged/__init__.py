"""Grouped-query attention over keys and values that lie one request after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.attention import (
    CHECK,
    DTYPE,
    attention_cost,
    causal_attention,
    draw_prefill_lengths,
    indptr,
    split_keys,
    split_queries,
)
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.gqa_ragged.binding import PREFILL
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

_SIZES = "h{num_qo_heads}_kv{num_kv_heads}_d{head_dim}[_w{window_left}][_cap{logits_soft_cap}]"


def _interface(constants: Constants) -> Interface:
    constant = ("num_qo_heads", "num_kv_heads", "head_dim")
    axes: dict[str, int | None] = {name: constants[name] for name in constant}
    axes |= dict.fromkeys(("len_indptr", "total_q", "total_kv"))
    q = Tensor(("total_q", "num_qo_heads", "head_dim"), DTYPE)
    kv = Tensor(("total_kv", "num_kv_heads", "head_dim"), DTYPE)
    index = Tensor(("len_indptr",), "int32")
    scale = Tensor(None, "float32")
    inputs = {"q": q, "k": kv, "v": kv, "qo_indptr": index, "kv_indptr": index, "sm_scale": scale}
    outputs = {"output": q, "lse": Tensor(("total_q", "num_qo_heads"), "float32")}
    constraints = ("total_q == qo_indptr[-1].item()", "total_kv == kv_indptr[-1].item()")
    return Interface(axes, inputs, outputs, constraints)


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    import torch

    dim, kv_heads = constants["head_dim"], constants["num_kv_heads"]
    keys = split_keys(draw, lengths["total_kv"], lengths["len_indptr"] - 1)
    queries = split_queries(draw, lengths["total_q"], keys)
    return {
        "q": draw.normal((lengths["total_q"], constants["num_qo_heads"], dim), torch.bfloat16),
        "k": draw.normal((lengths["total_kv"], kv_heads, dim), torch.bfloat16),
        "v": draw.normal((lengths["total_kv"], kv_heads, dim), torch.bfloat16),
        "qo_indptr": indptr(draw, queries),
        "kv_indptr": indptr(draw, keys),
        "sm_scale": dim**-0.5,
    }


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    drawn = draw_prefill_lengths(draw, 1)
    return {
        "len_indptr": drawn["len_indptr"],
        "total_q": drawn["total_q"],
        "total_kv": drawn["num_kv_indices"],
    }


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    heads, dim = constants["num_qo_heads"], constants["head_dim"]
    return attention_cost(
        constants,
        lengths["len_indptr"] - 1,
        lengths["total_q"],
        lengths["total_kv"],
        row_bytes=(heads * (4 * dim + 4), 4 * constants["num_kv_heads"] * dim),
        pair_flops=4 * heads * dim,
        index_bytes=8 * lengths["len_indptr"],
    )


OPERATIONS = (
    Operation(
        op_type="gqa_ragged",
        kind="gqa_ragged_prefill_causal",
        summary="Causal grouped-query attention of several requests; lse is to base 2.",
        naming=Naming(
            f"gqa_ragged_prefill_causal_{_SIZES}", accepted=(f"gqa_ragged_prefill_{_SIZES}",)
        ),
        interface=_interface,
        reference=causal_attention,
        make_inputs=_make_inputs,
        draw_lengths=_draw_lengths,
        check=CHECK,
        cost=_cost,
        binding=PREFILL,
        example=Example(
            "gqa_ragged_prefill_causal_h32_kv8_d128",
            {"len_indptr": 5, "total_q": 4096, "total_kv": 4096},
            "Llama 3.1 8B, 4 prompts of 1,024 tokens",
        ),
        parameters=("window_left", "logits_soft_cap"),
        tags=("stage:prefill",),
    ),
)
