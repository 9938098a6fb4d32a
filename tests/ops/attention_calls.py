"""Calls of attention operations taken apart by request, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import Draw

OP_TYPES = ("gqa_paged", "gqa_ragged", "mla_paged", "mla_ragged")


def attention_operations() -> list[Operation]:
    modules = [import_module(f"flashinfer_bench.ops.{op_type}") for op_type in OP_TYPES]
    return [operation for module in modules for operation in module.OPERATIONS]


def parse(name: str) -> tuple[Operation, dict[str, int]]:
    for operation in attention_operations():
        constants = operation.naming.parse(name)
        if constants is not None:
            return operation, constants
    raise AssertionError(name)


def reference(operation: Operation, constants: dict[str, int], inputs: Any, dtype: Any) -> Any:
    given = {key: constants[key] for key in operation.parameters if key in constants}
    return operation.reference(*inputs.values(), dtype=dtype, **given)


def draw_inputs(name: str, seed: int, lengths: dict[str, int] | None = None) -> dict[str, Any]:
    operation, constants = parse(name)
    draw = Draw(seed)
    if lengths is None:
        lengths = operation.draw_lengths(draw, constants)
    axes = operation.interface(constants).axes
    return operation.make_inputs(draw, constants, {n: lengths[n] for n in axes if n in lengths})


@dataclass
class Request:
    """q [queries, heads, dim], k [keys, kv_heads, dim], v; `rows` of the outputs."""

    rows: slice
    q: Any
    k: Any
    v: Any
    kept: int
    """Keys that count; k and v go to the end of the last page."""


def requests(inputs: dict[str, Any]) -> Iterator[Request]:
    """Token by token through the page table."""
    import torch

    q = inputs["q"] if "q" in inputs else torch.cat([inputs["q_nope"], inputs["q_pe"]], -1)
    kv = inputs["kv_indptr"].tolist()
    qo = inputs["qo_indptr"].tolist() if "qo_indptr" in inputs else list(range(len(q) + 1))
    for i in range(len(kv) - 1):
        first, end = kv[i], kv[i + 1]
        kept = end - first
        if "kv_indices" not in inputs:
            k, v = inputs["k"][first:end], inputs["v"][first:end]
        else:
            k, v = _cached(inputs, inputs["kv_indices"][first:end].tolist())
            if "kv_last_page_len" in inputs and kept:
                page_size = len(k) // kept
                kept = (kept - 1) * page_size + int(inputs["kv_last_page_len"][i])
        yield Request(slice(qo[i], qo[i + 1]), q[qo[i] : qo[i + 1]], k, v, kept)


def _cached(inputs: dict[str, Any], pages: list[int]) -> tuple[Any, Any]:
    import torch

    if "k_cache" in inputs:
        k, v = inputs["k_cache"], inputs["v_cache"]
    else:
        v = inputs["ckv_cache"].unsqueeze(2)
        k = torch.cat([v, inputs["kpe_cache"].unsqueeze(2)], -1)
    places = [(page, token) for page in pages for token in range(k.shape[1])]
    return (
        torch.stack([cache[place] for place in places]) if places else cache[:0, 0]
        for cache in (k, v)
    )
