"""Multi-head latent attention before absorption: keys longer than values, one per head."""

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
from flashinfer_bench.ops.mla_ragged.binding import PREFILL
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw


def _interface(constants: Constants) -> Interface:
    axes: dict[str, int | None] = {
        "num_qo_heads": constants["num_qo_heads"],
        "num_kv_heads": constants["num_qo_heads"],
        "qk_dim": constants["qk_dim"],
        "vo_dim": constants["vo_dim"],
    }
    axes |= dict.fromkeys(("total_q", "total_kv", "len_indptr"))
    index = Tensor(("len_indptr",), "int32")
    inputs = {
        "q": Tensor(("total_q", "num_qo_heads", "qk_dim"), DTYPE),
        "k": Tensor(("total_kv", "num_kv_heads", "qk_dim"), DTYPE),
        "v": Tensor(("total_kv", "num_kv_heads", "vo_dim"), DTYPE),
        "qo_indptr": index,
        "kv_indptr": index,
        "sm_scale": Tensor(None, "float32"),
    }
    outputs = {
        "output": Tensor(("total_q", "num_qo_heads", "vo_dim"), DTYPE),
        "lse": Tensor(("total_q", "num_qo_heads"), "float32"),
    }
    constraints = ("total_q == qo_indptr[-1].item()", "total_kv == kv_indptr[-1].item()")
    return Interface(axes, inputs, outputs, constraints)


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    import torch

    heads, qk_dim, vo_dim = (constants[name] for name in ("num_qo_heads", "qk_dim", "vo_dim"))
    keys = split_keys(draw, lengths["total_kv"], lengths["len_indptr"] - 1)
    queries = split_queries(draw, lengths["total_q"], keys)
    return {
        "q": draw.normal((lengths["total_q"], heads, qk_dim), torch.bfloat16),
        "k": draw.normal((lengths["total_kv"], heads, qk_dim), torch.bfloat16),
        "v": draw.normal((lengths["total_kv"], heads, vo_dim), torch.bfloat16),
        "qo_indptr": indptr(draw, queries),
        "kv_indptr": indptr(draw, keys),
        "sm_scale": qk_dim**-0.5,
    }


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    drawn = draw_prefill_lengths(draw, 1)
    return {
        "total_q": drawn["total_q"],
        "total_kv": drawn["num_kv_indices"],
        "len_indptr": drawn["len_indptr"],
    }


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    heads, both = constants["num_qo_heads"], constants["qk_dim"] + constants["vo_dim"]
    return attention_cost(
        constants,
        lengths["len_indptr"] - 1,
        lengths["total_q"],
        lengths["total_kv"],
        row_bytes=(heads * (2 * both + 4), 2 * heads * both),
        pair_flops=2 * heads * both,
        index_bytes=8 * lengths["len_indptr"],
    )


OPERATIONS = (
    Operation(
        op_type="mla_ragged",
        kind="mla_ragged_prefill_causal",
        summary="Causal attention with keys longer than values; lse is to base 2.",
        naming=Naming("mla_ragged_prefill_causal_h{num_qo_heads}_qk{qk_dim}_vo{vo_dim}"),
        interface=_interface,
        reference=causal_attention,
        make_inputs=_make_inputs,
        draw_lengths=_draw_lengths,
        check=CHECK,
        cost=_cost,
        binding=PREFILL,
        example=Example(
            "mla_ragged_prefill_causal_h16_qk192_vo128",
            {"total_q": 4096, "total_kv": 4096, "len_indptr": 5},
            "DeepSeek V3 at tensor parallel 8, 4 prompts of 1,024 tokens",
        ),
        tags=("stage:prefill",),
    ),
)
