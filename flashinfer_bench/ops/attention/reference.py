# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Causal attention request by request, and where the tokens of a paged cache lie."""

import math

QUERIES_AT_ONCE = 256


def causal_attention(
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
            output[first:end], lse[first:end] = attend(
                q[first:end].to(dtype),
                keys[:seen],
                values[:seen],
                sm_scale,
                window_left,
                logits_soft_cap,
            )
    return output, lse


def attend(q, k, v, sm_scale, window_left, logits_soft_cap):
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


def token_slots(kv_indptr, kv_indices, kv_last_page_len, page_size):
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


__all__ = ["causal_attention", "token_slots"]
