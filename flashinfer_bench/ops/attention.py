"""What the attention operations share: the reference, inputs, checks and costs.

All of them are causal, aligned at the end: of n queries and m keys, query i stands at position
i + m - n and sees the keys up to there. Decode is the case of one query. Rows that see nothing give
zeros and a log-sum-exp of -inf; the log-sum-exp is to base 2, as FlashInfer's is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.checks import Bounds, Numeric
from flashinfer_bench.ops.contract import Constants, Cost, Lengths

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

DTYPE = "bfloat16"
QUERIES_AT_ONCE = 256

CHECK = Numeric({"lse": Bounds(row=4.0, total=1.0, eps=2.0**-10, absolute=True)})
"""A log-sum-exp of float32 logits is right within 1e-5; the hardware's tanh of soft caps, with a
relative error of 2**-11, costs up to 1e-3 on average and 4e-3 where one key has all the weight."""


def causal_attention(  # type: ignore[no-untyped-def]
    q, k, v, qo_indptr, kv_indptr, sm_scale, dtype=None, window_left=None, logits_soft_cap=None
):
    import torch

    dtype = dtype or torch.float32
    output = torch.zeros(*q.shape[:2], v.shape[-1], dtype=dtype, device=q.device)
    lse = torch.full(q.shape[:2], -math.inf, dtype=dtype, device=q.device)
    q_edges, kv_edges = qo_indptr.tolist(), kv_indptr.tolist()
    for q_first, q_end, kv_first, kv_end in zip(q_edges, q_edges[1:], kv_edges, kv_edges[1:]):
        keys, values = k[kv_first:kv_end].to(dtype), v[kv_first:kv_end].to(dtype)
        for first in range(q_first, q_end, QUERIES_AT_ONCE):
            end = min(first + QUERIES_AT_ONCE, q_end)
            seen = max(0, kv_end - kv_first - (q_end - end))
            output[first:end], lse[first:end] = attend(  # type: ignore[no-untyped-call]
                q[first:end].to(dtype),
                keys[:seen],
                values[:seen],
                sm_scale,
                window_left,
                logits_soft_cap,
            )
    return output, lse


def attend(q, k, v, sm_scale, window_left, logits_soft_cap):  # type: ignore[no-untyped-def]
    """Queries and keys of one request; the last query sees the last key."""
    import torch

    queries, heads, _ = q.shape
    keys, kv_heads, _ = k.shape
    q = q.reshape(queries, kv_heads, heads // kv_heads, -1)
    logits = torch.einsum("qhgd,khd->hgqk", q, k) * sm_scale
    if logits_soft_cap is not None:
        logits = logits_soft_cap * torch.tanh(logits / logits_soft_cap)
    position = torch.arange(keys - queries, keys, device=q.device)
    distance = position[:, None] - torch.arange(keys, device=q.device)
    hidden = distance < 0
    if window_left is not None:
        hidden = hidden | (distance > window_left)
    logits = logits.masked_fill(hidden, -math.inf)
    lse = logits.logsumexp(dim=-1, keepdim=True)
    weights = torch.exp(logits - lse.clamp_min(torch.finfo(lse.dtype).min))
    output = torch.einsum("hgqk,khd->qhgd", weights, v).reshape(queries, heads, -1)
    return output, lse.permute(2, 0, 1, 3).reshape(queries, heads) / math.log(2)


def token_slots(kv_indptr, kv_indices, kv_last_page_len, page_size):  # type: ignore[no-untyped-def]
    """Slots of all requests' tokens in a flattened cache, and where each request's begin."""
    import torch

    pages = kv_indptr.diff()
    lengths = torch.where(pages > 0, (pages - 1) * page_size + kv_last_page_len, 0)
    token_indptr = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    offset = torch.arange(page_size, device=kv_indices.device)
    slots = kv_indices.long()[:, None] * page_size + offset
    used = torch.ones_like(slots, dtype=torch.bool)
    last_page = kv_indptr[1:][pages > 0].long() - 1
    used[last_page] = offset < kv_last_page_len[pages > 0][:, None]
    return slots[used], token_indptr


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


def split_keys(draw: Draw, total: int, requests: int) -> list[int]:
    """Pages (or tokens) of each request; where there are enough, at most one has none."""
    if requests == 0:
        return []
    counts = draw.split(total, requests, least=int(total >= requests))
    if requests > 1 and draw.integer(0, 7) == 0:
        emptied = draw.integer(0, requests - 1)
        counts[emptied - 1] += counts[emptied]
        counts[emptied] = 0
    return counts


def split_queries(draw: Draw, total: int, room: Sequence[int]) -> list[int]:
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


def indptr(draw: Draw, counts: Sequence[int]) -> Any:
    """Where each request begins, and the end."""
    import torch

    edges = [sum(counts[:i]) for i in range(len(counts) + 1)]
    return torch.tensor(edges, dtype=torch.int32, device=draw.device)


def page_indices(draw: Draw, pages: Sequence[int], num_pages: int) -> Any:
    """Pages in random order; where there are too few, requests share some."""
    import torch

    if sum(pages) <= num_pages:
        chosen = draw.permutation(num_pages)[: sum(pages)]
    else:
        orders = [draw.permutation(num_pages).repeat(-(-n // num_pages))[:n] for n in pages]
        chosen = torch.cat(orders)
    return chosen.to(torch.int32).to(draw.device)


def paged_indices(
    draw: Draw, page_size: int, lengths: Lengths, requests: int, total_q: int | None
) -> dict[str, Any]:
    """qo_indptr (given `total_q`), kv_indptr, kv_indices and kv_last_page_len of pages > 1."""
    import torch

    pages = split_keys(draw, lengths["num_kv_indices"], requests)
    queries, index = [1] * requests, {}
    if total_q is not None:
        queries = split_queries(draw, total_q, [n * page_size for n in pages])
        index["qo_indptr"] = indptr(draw, queries)
    index["kv_indptr"] = indptr(draw, pages)
    index["kv_indices"] = page_indices(draw, pages, lengths["num_pages"])
    if page_size > 1:
        index["kv_last_page_len"] = torch.tensor(
            [_last_page(draw, n, count, page_size) for n, count in zip(pages, queries)],
            dtype=torch.int32,
            device=draw.device,
        )
    return index


def _last_page(draw: Draw, pages: int, queries: int, page_size: int) -> int:
    """Tokens in a request's last page, enough for its queries; 0 where it has no page."""
    if pages == 0:
        return 0
    least = queries - (pages - 1) * page_size
    return draw.integer(min(max(1, least), page_size), page_size)


def attention_cost(
    constants: Constants,
    requests: int,
    total_q: int,
    total_kv: int,
    *,
    row_bytes: tuple[int, int],
    pair_flops: int,
    index_bytes: int,
) -> Cost:
    """The least work, assuming that all requests are of the same length.

    `row_bytes` of a query (with its output and log-sum-exp) and of a key with its value;
    `pair_flops` of one query and one key that it sees, all heads together.
    """
    requests = max(1, requests)
    q, kv = total_q / requests, total_kv / requests
    rows = min(q, kv)  # that see a key
    pairs = requests * (rows * kv - rows * (rows - 1) / 2)
    if "window_left" in constants:
        window = constants["window_left"]
        total_kv = min(total_kv, total_q + requests * window)
        pairs = min(pairs, total_q * (window + 1))
    moved = total_q * row_bytes[0] + total_kv * row_bytes[1] + index_bytes
    return Cost(moved, round(pairs) * pair_flops)


def cached_tokens_at_least(page_size: int, lengths: Lengths, requests: int) -> int:
    """Tokens in distinct pages where the last page of every request holds a single one."""
    pages = lengths["num_kv_indices"]
    tokens = pages * page_size - min(pages, requests) * (page_size - 1)
    return min(tokens, lengths["num_pages"] * page_size)
