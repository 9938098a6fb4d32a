"""Random batches: lengths of requests, where each begins, and the pages that hold their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.contract import Lengths

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw


def draw_decode_lengths(draw: Draw, page_size: int) -> dict[str, int]:
    """A small batch with up to some hundred tokens each."""
    batch = draw.integer(1, 8)
    pages = draw.integer(batch if draw.integer(0, 3) else 0, batch * -(-300 // page_size))
    return {
        "batch_size": batch,
        "num_pages": max(1, pages) + draw.integer(0, 64),
        "len_indptr": batch + 1,
        "num_kv_indices": pages,
    }


def draw_prefill_lengths(draw: Draw, page_size: int) -> dict[str, int]:
    """A few requests, with keys of earlier turns or without."""
    batch = draw.integer(1, 4)
    pages = draw.integer(batch, batch * -(-160 // page_size))
    total_q = pages * page_size if draw.integer(0, 1) else draw.integer(batch, pages * page_size)
    return {
        "len_indptr": batch + 1,
        "total_q": min(total_q, 400),
        "num_kv_indices": pages,
        "num_pages": pages + draw.integer(0, 64),
    }


def paged_indices(draw: Draw, page_size: int, lengths: Lengths) -> dict[str, Any]:
    """qo_indptr (given `total_q`), kv_indptr, kv_indices and kv_last_page_len of pages > 1."""
    import torch

    requests = lengths["len_indptr"] - 1
    pages = _split_keys(draw, lengths["num_kv_indices"], requests)
    queries, index = [1] * requests, {}
    if "total_q" in lengths:
        queries = _split_queries(draw, lengths["total_q"], [n * page_size for n in pages])
        index["qo_indptr"] = _indptr(draw, queries)
    index["kv_indptr"] = _indptr(draw, pages)
    index["kv_indices"] = _page_indices(draw, pages, lengths["num_pages"])
    if page_size > 1:
        index["kv_last_page_len"] = torch.tensor(
            [_last_page(draw, n, count, page_size) for n, count in zip(pages, queries)],
            dtype=torch.int32,
            device=draw.device,
        )
    return index


def ragged_indices(draw: Draw, lengths: Lengths) -> dict[str, Any]:
    """qo_indptr and kv_indptr."""
    keys = _split_keys(draw, lengths["total_kv"], lengths["len_indptr"] - 1)
    queries = _split_queries(draw, lengths["total_q"], keys)
    return {"qo_indptr": _indptr(draw, queries), "kv_indptr": _indptr(draw, keys)}


def _split_keys(draw: Draw, total: int, requests: int) -> list[int]:
    """Pages (or tokens) of each request; where there are enough, at most one has none."""
    if requests == 0:
        return []
    counts = draw.split(total, requests, least=int(total >= requests))
    if requests > 1 and draw.integer(0, 7) == 0:
        emptied = draw.integer(0, requests - 1)
        counts[emptied - 1] += counts[emptied]
        counts[emptied] = 0
    return counts


def _split_queries(draw: Draw, total: int, room: Sequence[int]) -> list[int]:
    """Queries of each request, no more than it has keys while all keys together suffice."""
    if not room:
        return []
    wanted = draw.split(total, len(room), least=int(total >= len(room)))
    if total > sum(room):
        return wanted
    counts = [min(pair) for pair in zip(wanted, room)]
    for i, most in enumerate(room):
        counts[i] += min(most - counts[i], total - sum(counts))
    return counts


def _indptr(draw: Draw, counts: Sequence[int]) -> Any:
    """Where each request begins, and the end."""
    import torch

    edges = [sum(counts[:i]) for i in range(len(counts) + 1)]
    return torch.tensor(edges, dtype=torch.int32, device=draw.device)


def _page_indices(draw: Draw, pages: Sequence[int], num_pages: int) -> Any:
    """Pages in random order; where there are too few, requests share some."""
    import torch

    if sum(pages) <= num_pages:
        chosen = draw.permutation(num_pages)[: sum(pages)]
    else:
        orders = [draw.permutation(num_pages).repeat(-(-n // num_pages))[:n] for n in pages]
        chosen = torch.cat(orders)
    return chosen.to(torch.int32).to(draw.device)


def _last_page(draw: Draw, pages: int, queries: int, page_size: int) -> int:
    """Tokens in a request's last page, enough for its queries; 0 where it has no page."""
    if pages == 0:
        return 0
    least = queries - (pages - 1) * page_size
    return draw.integer(min(max(1, least), page_size), page_size)


__all__ = [
    "draw_decode_lengths",
    "draw_prefill_lengths",
    "paged_indices",
    "ragged_indices",
]
