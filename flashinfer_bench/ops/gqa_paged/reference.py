# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Grouped-query attention over a paged cache; `options` are those of `causal_attention`."""

from flashinfer_bench.ops.attention.reference import causal_attention, token_slots


def gqa_paged_decode(
    q, k_cache, v_cache, kv_indptr, kv_indices, kv_last_page_len, sm_scale, **options
):
    import torch

    slots, token_indptr = token_slots(kv_indptr, kv_indices, kv_last_page_len, k_cache.shape[1])
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    qo_indptr = torch.arange(len(q) + 1)
    return causal_attention(q, k, v, qo_indptr, token_indptr, sm_scale, **options)


def gqa_paged_decode_ps1(q, k_cache, v_cache, kv_indptr, kv_indices, sm_scale, **options):
    import torch

    slots = kv_indices.long()
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    qo_indptr = torch.arange(len(q) + 1)
    return causal_attention(q, k, v, qo_indptr, kv_indptr, sm_scale, **options)


def gqa_paged_prefill_causal(
    q, k_cache, v_cache, qo_indptr, kv_indptr, kv_indices, kv_last_page_len, sm_scale, **options
):
    slots, token_indptr = token_slots(kv_indptr, kv_indices, kv_last_page_len, k_cache.shape[1])
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    return causal_attention(q, k, v, qo_indptr, token_indptr, sm_scale, **options)


def gqa_paged_prefill_causal_ps1(
    q, k_cache, v_cache, qo_indptr, kv_indptr, kv_indices, sm_scale, **options
):
    slots = kv_indices.long()
    k, v = k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]
    return causal_attention(q, k, v, qo_indptr, kv_indptr, sm_scale, **options)


__all__ = [
    "gqa_paged_decode",
    "gqa_paged_decode_ps1",
    "gqa_paged_prefill_causal",
    "gqa_paged_prefill_causal_ps1",
]
