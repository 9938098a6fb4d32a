"""The indexer of sparse attention: the tokens of each request that score highest, in fp8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Unbound
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.dsa_paged.check import TopkIndicesCheck
from flashinfer_bench.ops.dsa_paged.reference import dsa_topk_indexer_fp8
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw

_MOST_FP8 = 448
_CACHE = (
    "bytes; in each page first the float8_e4m3fn values of all tokens, page_size * index_head_dim "
    "bytes, then their float32 scales, page_size * 4 bytes"
)
_TOPK_INDICES = (
    "slots of the chosen tokens in the flattened cache, page * page_size + position in the page, "
    "in any order; then -1 where a request has fewer than topk tokens"
)


def _interface(constants: Constants) -> Interface:
    dim = constants["index_head_dim"]
    sizes = ("num_index_heads", "index_head_dim", "page_size", "topk")
    q = Tensor(("batch_size", "num_index_heads", "index_head_dim"), "float8_e4m3fn")
    cache = ("num_pages", "page_size", "kv_cache_num_heads", "head_dim_with_scale")
    weights = "of each head; the scale of its query is part of it"
    table = "pages of each request in order; what follows its last one is not read"
    return Interface(
        axes={
            "batch_size": None,
            **{size: constants[size] for size in sizes},
            "max_num_pages": None,
            "num_pages": None,
            "kv_cache_num_heads": 1,
            "head_dim_with_scale": dim + 4,
        },
        inputs={
            "q_index_fp8": q,
            "k_index_cache_fp8": Tensor(cache, "int8", _CACHE),
            "weights": Tensor(("batch_size", "num_index_heads"), "float32", weights),
            "seq_lens": Tensor(("batch_size",), "int32", "tokens of each request"),
            "block_table": Tensor(("batch_size", "max_num_pages"), "int32", table),
        },
        outputs={"topk_indices": Tensor(("batch_size", "topk"), "int32", _TOPK_INDICES)},
        constraints=(
            "topk <= max_num_pages * page_size",
            "max(seq_lens) <= max_num_pages * page_size",
        ),
    )


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Keys of different size; in style ties, each stands in several slots."""
    import torch

    batch, dim = lengths["batch_size"], constants["index_head_dim"]
    slots = lengths["num_pages"] * constants["page_size"]
    queries = draw.normal((batch, constants["num_index_heads"], dim), torch.float32)
    q, q_scales = _quantised(queries)
    weights = draw.normal((batch, constants["num_index_heads"]), torch.float32) * q_scales
    keys, scales = _quantised(draw.normal((slots, dim), torch.float32))
    scales = scales * torch.tensor([0.5, 1.0, 2.0])[draw.integers(0, 2, slots)].to(scales)
    if draw.style == "ties":
        copied = draw.integers(0, slots // 4, slots).clamp_max(slots - 1).to(keys.device)
        keys, scales = keys.view(torch.int8)[copied].view(keys.dtype), scales[copied]
    seq_lens, table = _sequences(draw, constants, lengths)
    return {
        "q_index_fp8": q,
        "k_index_cache_fp8": _packed(keys, scales, constants["page_size"]),
        "weights": weights,
        "seq_lens": seq_lens.to(draw.device),
        "block_table": table.to(draw.device),
    }


def _quantised(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[…, dim] as float8_e4m3fn, and the powers of two […] that they are to be multiplied with."""
    import torch

    most = values.abs().amax(dim=-1).clamp_min(2.0**-40) / _MOST_FP8
    exponent = torch.frexp(most).exponent
    scales = ((exponent + 127) << 23).to(torch.int32).view(torch.float32)
    return (values / scales.unsqueeze(-1)).to(torch.float8_e4m3fn), scales


def _packed(keys: torch.Tensor, scales: torch.Tensor, page_size: int) -> torch.Tensor:
    """[pages, page_size, 1, dim + 4] int8."""
    import torch

    values = keys.view(torch.int8).reshape(-1, page_size * keys.shape[1])
    behind = scales.contiguous().view(torch.int8).reshape(-1, page_size * 4)
    return torch.cat([values, behind], dim=1).view(-1, page_size, 1, keys.shape[1] + 4)


def _sequences(
    draw: Draw, constants: Constants, lengths: Lengths
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths and pages: one request as long as the table is wide, some shorter than topk."""
    import torch

    batch, page_size, width = (
        lengths["batch_size"],
        constants["page_size"],
        lengths["max_num_pages"],
    )
    widest = min(width, lengths["num_pages"])
    most = widest * page_size
    seq_lens = draw.integers(most - most // 4, most, batch)
    kind = draw.integers(0, 7, batch)
    short = min(constants["topk"], most)
    seq_lens[kind == 0] = draw.integers(1, short, batch)[kind == 0]
    seq_lens[kind == 1] = short
    seq_lens[draw.integer(0, batch - 1)] = most - draw.integer(0, page_size - 1)
    counts = (-(-seq_lens // page_size)).tolist()
    pages = draw.permutation(lengths["num_pages"])
    shared = sum(counts) > lengths["num_pages"]
    table = torch.zeros(batch, width, dtype=torch.int32)
    for row, count in enumerate(counts):
        table[row, :count] = pages[:count]
        pages = draw.permutation(len(pages)) if shared else pages[count:]
    return seq_lens.to(torch.int32), table


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    pages = draw.integer(1, 4) + -(-constants["topk"] // constants["page_size"])
    batch = draw.choice((1, 2, 3, 5))
    return {
        "batch_size": batch,
        "max_num_pages": pages,
        "num_pages": draw.choice((pages, batch * pages, batch * pages + 5)),
    }


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    """The least work, assuming that all requests are as long as the table is wide."""
    batch, heads = lengths["batch_size"], constants["num_index_heads"]
    dim, page_size = constants["index_head_dim"], constants["page_size"]
    tokens = batch * ((lengths["max_num_pages"] - 1) * page_size + 1)
    distinct = min(tokens, lengths["num_pages"] * page_size)
    row = heads * (dim + 4) + 4 + 4 * lengths["max_num_pages"] + 4 * constants["topk"]
    return Cost(batch * row + distinct * (dim + 4), 2 * tokens * heads * (dim + 1))


INDEXER = Operation(
    op_type="dsa_paged",
    kind="dsa_topk_indexer_fp8",
    summary="The topk tokens of each request with the highest scores: the sum over heads of "
    "weight * relu(query . key).",
    naming=Naming(
        "dsa_topk_indexer_fp8_h{num_index_heads}_d{index_head_dim}_topk{topk}_ps{page_size}"
    ),
    interface=_interface,
    reference=dsa_topk_indexer_fp8,
    make_inputs=_make_inputs,
    draw_lengths=_draw_lengths,
    check=TopkIndicesCheck(),
    cost=_cost,
    binding=Unbound(
        "FlashInfer does it in two calls: fp8_paged_mqa_logits (from 0.7, compute capability 10.x) "
        "gives all logits, top_k_page_table_transform chooses; dsa_indexer_topk is experimental"
    ),
    example=Example(
        "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64",
        {"batch_size": 16, "max_num_pages": 128, "num_pages": 2048},
        "DeepSeek V3.2, 16 requests of 8,192 tokens",
    ),
    parameters={"topk": "tokens that are chosen for each request"},
    tags=("stage:indexer", "sparse:topk", "quant:fp8"),
)

__all__ = ["INDEXER"]
