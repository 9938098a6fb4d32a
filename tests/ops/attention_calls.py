"""Calls of attention operations taken apart by request, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.registry import parse_name


def draw_inputs(name: str, seed: int, lengths: dict[str, int] | None = None) -> dict[str, Any]:
    operation, constants = parse_name(name)
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
