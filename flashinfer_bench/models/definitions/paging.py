"""Tokens a page of the KV cache has, as attention kernels see it."""

from __future__ import annotations

from flashinfer_bench.models.serving import ServingProfile

FIXED = {"flashinfer": 1}
"""Backend -> page size that it plans with, whatever the flag says."""
ALLOWED = {
    **{"trtllm_mha": (64, 16, 32, 128), "trtllm_mla": (64, 32), "cutedsl_mla": (64, 32)},
    **{"flashmla": (64,), "dsa": (64,), "nsa": (64,), "hpc_ops": (64,)},
}
"""Backend -> page sizes that it takes, the default first."""
SPARSE = 64
"""Of sparse latent attention, whose backend takes no other."""


def page_size(profile: ServingProfile) -> int:
    """Of the chosen backend; 1 where none is chosen and no size is stated."""
    backend, stated = profile.attention_backend or "", profile.page_size
    if backend in FIXED:
        return FIXED[backend]
    if backend in ALLOWED:
        sizes = ALLOWED[backend]
        return stated if stated in sizes else sizes[0]
    return stated or 1


__all__ = ["SPARSE", "page_size"]
