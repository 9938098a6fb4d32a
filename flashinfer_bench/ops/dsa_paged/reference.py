# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Latent attention over chosen slots of a cache, and the indexer that chooses them."""

import math

TOKENS_AT_ONCE = 16


def dsa_sparse_attention(q_nope, q_pe, ckv_cache, kpe_cache, sparse_indices, sm_scale, dtype=None):
    import torch

    dtype = dtype or torch.float32
    output = torch.zeros(q_nope.shape, dtype=dtype, device=q_nope.device)
    lse = torch.full(q_nope.shape[:2], -math.inf, dtype=dtype, device=q_nope.device)
    ckv_cache, kpe_cache = ckv_cache.flatten(0, 1), kpe_cache.flatten(0, 1)
    for first in range(0, len(q_nope), TOKENS_AT_ONCE):
        some = slice(first, first + TOKENS_AT_ONCE)
        padding = sparse_indices[some] < 0
        slots = sparse_indices[some].long().masked_fill(padding, 0)
        ckv, kpe = ckv_cache[slots].to(dtype), kpe_cache[slots].to(dtype)
        ckv.masked_fill_(padding.unsqueeze(-1), 0)
        logits = torch.einsum("thd,tkd->thk", q_nope[some].to(dtype), ckv)
        logits = logits + torch.einsum("thd,tkd->thk", q_pe[some].to(dtype), kpe)
        logits = (logits * sm_scale).masked_fill(padding.unsqueeze(1), -math.inf)
        total = logits.logsumexp(dim=-1, keepdim=True)
        weights = torch.exp(logits - total.clamp_min(torch.finfo(dtype).min))
        output[some] = torch.einsum("thk,tkd->thd", weights, ckv)
        lse[some] = total.squeeze(-1) / math.log(2)
    return output, lse


def dsa_topk_indexer_fp8(
    q_index_fp8, k_index_cache_fp8, weights, seq_lens, block_table, dtype=None, topk=2048
):
    import torch

    dtype = dtype or torch.float32
    shape = (len(seq_lens), topk)
    topk_indices = torch.full(shape, -1, dtype=torch.int32, device=seq_lens.device)
    for request, length in enumerate(seq_lens.tolist()):
        slots = slots_of(block_table[request], length, k_index_cache_fp8.shape[1])
        keys = index_keys(k_index_cache_fp8, slots, dtype)
        scores = index_scores(q_index_fp8[request], keys, weights[request])
        chosen = scores.topk(min(topk, length)).indices
        topk_indices[request, : len(chosen)] = slots[chosen].to(torch.int32)
    return topk_indices


def slots_of(pages, length, page_size):
    """Slots of a request's tokens in the flattened cache."""
    import torch

    position = torch.arange(length, device=pages.device)
    return pages.long()[position // page_size] * page_size + position % page_size


def index_keys(k_index_cache_fp8, slots, dtype):
    """Keys of some slots: in each page first the values of all tokens, then their scales."""
    import torch

    num_pages, page_size, _, width = k_index_cache_fp8.shape
    pages = k_index_cache_fp8.reshape(num_pages, page_size * width)
    page, token = slots // page_size, (slots % page_size).unsqueeze(-1)
    value = torch.arange(width - 4, device=slots.device)
    scale = torch.arange(4, device=slots.device) + page_size * (width - 4)
    values = pages[page.unsqueeze(-1), token * (width - 4) + value].view(torch.float8_e4m3fn)
    scales = pages[page.unsqueeze(-1), token * 4 + scale].view(torch.float32)
    return values.to(dtype) * scales.to(dtype)


def index_scores(q, keys, weights):
    """Sum over heads of weight * relu(query . key), for each key."""
    logits = (keys @ q.to(keys.dtype).T).clamp_min(0)
    return logits @ weights.to(keys.dtype)


__all__ = [
    "dsa_sparse_attention",
    "dsa_topk_indexer_fp8",
    "index_keys",
    "index_scores",
    "slots_of",
]
