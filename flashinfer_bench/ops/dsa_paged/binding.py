"""FlashInfer's latent decode with a table of chosen slots.

Query and cache hold both parts in one tensor. With `sparse_mla_top_k` the block table has slots of
tokens in place of pages; queries come as [requests, queries, heads, dim] or, with `cum_seq_lens_q`,
as [queries, heads, dim].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flashinfer_bench.ops.attention.binding import has_values
from flashinfer_bench.ops.attention.tensors import DTYPE
from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused

_NAME = "trtllm_batch_decode_with_kv_cache_mla"
_UNSUPPORTED = {
    "sinks": "attention sinks",
    "skip_softmax_threshold_scale_factor": "skipping of small weights",
    "sparse_mla_top_k_lens": "attention without rotary part",
    "enable_dcp": "a part of a context",
    "use_fp16_softmax": "a softmax in float16",
}


def _recognise(call: Call) -> Mapping[str, int]:
    topk = int(call.get("run", "sparse_mla_top_k", 0))
    if topk <= 0:
        raise Refused(
            f"{call.api}: sparse_mla_top_k is {topk}; attention over chosen slots needs it"
        )
    for name, what in _UNSUPPORTED.items():
        if call.get("run", name):
            raise Refused(f"{call.api}: {what} ({name}) is not part of this operation")
    if call.get("run", "uses_shared_paged_kv_idx", True) is not True:
        raise Refused(f"{call.api}: tables for keys and values apart; one for both expected")
    _require_scales(call)
    ckv, kpe = (int(call.get("run", name, 0)) for name in ("kv_lora_rank", "qk_rope_head_dim"))
    query = _require(call, "query", DTYPE, (3, 4))
    cache = _require(call, "kv_cache", DTYPE, (3, 4))
    table = _require(call, "block_tables", "int32", (2, 3))
    if query[-1] != ckv + kpe or cache[-1] != ckv + kpe or min(ckv, kpe) < 1:
        raise Refused(
            f"{call.api}: query {query} and kv_cache {cache} do not hold {ckv} compressed and "
            f"{kpe} rotary dimensions"
        )
    if len(cache) == 4 and cache[1] != 1:
        raise Refused(f"{call.api}: kv_cache has shape {cache}; one key head expected")
    if table != [*query[:-2], topk]:
        raise Refused(f"{call.api}: block_tables has shape {table}; {[*query[:-2], topk]} expected")
    _require_lengths(call, table)
    return {
        "num_qo_heads": query[-2],
        "head_dim_ckv": ckv,
        "head_dim_kpe": kpe,
        "topk": topk,
        "page_size": cache[-2],
    }


def _require(call: Call, name: str, dtype: str, axes: tuple[int, ...]) -> list[int]:
    """The shape of a tensor; raises Refused where it is another."""
    tensor = call.get("run", name)
    if tensor is None:
        raise Refused(f"{call.api}: run was given no {name!r}")
    shape = [int(length) for length in tensor.shape]
    if str(tensor.dtype).rpartition(".")[2] != dtype or len(shape) not in axes:
        expected = " or ".join(map(str, axes))
        raise Refused(
            f"{call.api}: {name} is {tensor.dtype} {shape}; {dtype}, {expected} axes expected"
        )
    return shape


def _require_scales(call: Call) -> None:
    for name in ("bmm1_scale", "bmm2_scale"):
        scale = call.get("run", name, 1.0)
        if hasattr(scale, "shape"):
            raise Refused(f"{call.api}: {name} is a tensor; a number expected")
    if scale != 1:
        raise Refused(f"{call.api}: bmm2_scale is {scale}; 1 expected")


def _require_lengths(call: Call, table: list[int]) -> None:
    """No more chosen slots than the request has tokens, or the kernel would leave some out."""
    lengths, chosen = call.get("run", "seq_lens"), call.run["block_tables"]
    if lengths is None or len(table) != 3 or not (has_values(lengths) and has_values(chosen)):
        return
    counts = (chosen >= 0).sum(-1)
    if bool((counts > lengths.reshape(table[0], -1)).any()):
        raise Refused(f"{call.api}: seq_lens leaves chosen slots out; all of them expected")


def _part(rotary: bool, axes: int) -> Callable[[Any, Call], Any]:
    """Compressed or rotary part of a query or a cache."""

    def view(tensor: Any, call: Call) -> Any:
        rank = int(call.run["kv_lora_rank"])
        if len(tensor.shape) == 4:
            tensor = tensor.flatten(0, 1) if axes == 2 else tensor[:, 0]
        return tensor[..., rank:] if rotary else tensor[..., :rank]

    return view


def _rows(table: Any, call: Call) -> Any:
    return table.flatten(0, -2)


def _bmm1_default(call: Call) -> float:
    return 1.0


SPARSE_ATTENTION = Binding(
    tuple(f"flashinfer.{module}.{_NAME}" for module in ("decode", "mla", "mla._core")),
    {
        "q_nope": Argument("run", "query", view=_part(rotary=False, axes=2)),
        "q_pe": Argument("run", "query", view=_part(rotary=True, axes=2)),
        "ckv_cache": Argument("run", "kv_cache", view=_part(rotary=False, axes=3)),
        "kpe_cache": Argument("run", "kv_cache", view=_part(rotary=True, axes=3)),
        "sparse_indices": Argument("run", "block_tables", view=_rows),
        "sm_scale": Argument("run", "bmm1_scale", otherwise=_bmm1_default),
    },
    _recognise,
    note="needs compute capability 10.x for bfloat16 caches, and pages of 32 or 64 tokens; returns "
    "the output as [requests, queries, heads, head_dim_ckv], and lse with return_lse=True only",
)

__all__ = ["SPARSE_ATTENTION"]
