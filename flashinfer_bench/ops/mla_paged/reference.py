# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Latent attention over a paged cache: one key for all heads, its first part also the value."""

from flashinfer_bench.ops.attention.reference import causal_attention, token_slots


def latent_attention(
    q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, token_indptr, sm_scale, dtype
):
    """One key and value head for all; `slots` of the tokens in the flattened caches."""
    import torch

    ckv = ckv_cache.flatten(0, 1)[slots].unsqueeze(1)
    kpe = kpe_cache.flatten(0, 1)[slots].unsqueeze(1)
    q, k = torch.cat([q_nope, q_pe], dim=-1), torch.cat([ckv, kpe], dim=-1)
    return causal_attention(q, k, ckv, qo_indptr, token_indptr, sm_scale, dtype)


def mla_paged_decode(
    q_nope,
    q_pe,
    ckv_cache,
    kpe_cache,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
):
    import torch

    slots, token_indptr = token_slots(kv_indptr, kv_indices, kv_last_page_len, ckv_cache.shape[1])
    qo_indptr = torch.arange(len(q_nope) + 1)
    return latent_attention(
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, token_indptr, sm_scale, dtype
    )


def mla_paged_decode_ps1(
    q_nope, q_pe, ckv_cache, kpe_cache, kv_indptr, kv_indices, sm_scale, dtype=None
):
    import torch

    slots, qo_indptr = kv_indices.long(), torch.arange(len(q_nope) + 1)
    return latent_attention(
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, kv_indptr, sm_scale, dtype
    )


def mla_paged_prefill_causal(
    q_nope,
    q_pe,
    ckv_cache,
    kpe_cache,
    qo_indptr,
    kv_indptr,
    kv_indices,
    kv_last_page_len,
    sm_scale,
    dtype=None,
):
    slots, token_indptr = token_slots(kv_indptr, kv_indices, kv_last_page_len, ckv_cache.shape[1])
    return latent_attention(
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, token_indptr, sm_scale, dtype
    )


def mla_paged_prefill_causal_ps1(
    q_nope, q_pe, ckv_cache, kpe_cache, qo_indptr, kv_indptr, kv_indices, sm_scale, dtype=None
):
    slots = kv_indices.long()
    return latent_attention(
        q_nope, q_pe, ckv_cache, kpe_cache, slots, qo_indptr, kv_indptr, sm_scale, dtype
    )


__all__ = [
    "mla_paged_decode",
    "mla_paged_decode_ps1",
    "mla_paged_prefill_causal",
    "mla_paged_prefill_causal_ps1",
]
