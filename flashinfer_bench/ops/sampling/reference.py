# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""One token drawn from each row of a filtered distribution, and that distribution itself.

Both filters keep all tokens that are as probable as the least probable one they keep:

- top-k keeps a token when fewer than k tokens are more probable; k <= 0 or k >= vocabulary keeps
  all;
- top-p keeps a token when the mass of more probable tokens is less than p, so the token that
  crosses p stays; p >= 1 keeps all, p <= 0 the most probable;
- both: top-k first, renormalised, then top-p.

Everything is float64: 262,144 probabilities add up to an error of 1e-5 in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def top_k_sampling_from_probs(probs, top_k, dtype=None):
    import torch

    return _draw_tokens(_keep_top_k(probs.to(torch.float64), top_k))


def top_p_sampling_from_probs(probs, top_p, dtype=None):
    import torch

    return _draw_tokens(_keep_top_p(probs.to(torch.float64), top_p))


def top_k_top_p_sampling_from_probs(probs, top_k, top_p, dtype=None):
    import torch

    kept = _keep_top_k(probs.to(torch.float64), top_k)
    kept = kept / kept.sum(dim=-1, keepdim=True)
    return _draw_tokens(_keep_top_p(kept, top_p))


def _keep_top_k(probs, top_k):
    vocab_size = probs.shape[-1]
    k = top_k.long().masked_fill(top_k <= 0, vocab_size).clamp_max(vocab_size)
    descending = probs.sort(dim=-1, descending=True).values
    least = descending.gather(-1, k.unsqueeze(-1) - 1)
    return probs.masked_fill(probs < least, 0)


def _keep_top_p(probs, top_p):
    p = top_p.to(probs.dtype).unsqueeze(-1)
    descending = probs.sort(dim=-1, descending=True).values
    above = descending.cumsum(dim=-1) - descending
    kept = ((above < p) | (p >= 1)).sum(dim=-1, keepdim=True).clamp_min(1)
    least = descending.gather(-1, kept - 1)
    return probs.masked_fill(probs < least, 0)


def _draw_tokens(weights):
    import torch

    mass = weights.cumsum(dim=-1)
    point = torch.rand_like(mass[..., :1]) * mass[..., -1:]
    return torch.searchsorted(mass, point, right=True).squeeze(-1)


def target(inputs: Any) -> torch.Tensor:
    """[batch_size, vocab_size] float64: the exact distribution that a call draws from."""
    weights = inputs["probs"].double()
    if inputs.get("top_k") is not None:
        weights = _keep_top_k(weights, inputs["top_k"])
        weights = weights / weights.sum(dim=-1, keepdim=True)
    if inputs.get("top_p") is not None:
        weights = _keep_top_p(weights, inputs["top_p"])
    result: torch.Tensor = weights / weights.sum(dim=-1, keepdim=True)
    return result


__all__ = [
    "target",
    "top_k_sampling_from_probs",
    "top_k_top_p_sampling_from_probs",
    "top_p_sampling_from_probs",
]
