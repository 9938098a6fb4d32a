"""Sliding windows and soft caps: no axes, but constants of names and references."""

from __future__ import annotations

from flashinfer_bench.ops.attention.binding import setting
from flashinfer_bench.ops.binding import Call, Refused

VARIANTS = "[_w{window_left}][_cap{logits_soft_cap}]"
"""Pattern at the end of a definition's name."""
PARAMETERS = {
    "window_left": "a query sees itself and at most so many keys before it",
    "logits_soft_cap": "scaled logits become cap * tanh(logit / cap)",
}
"""What the constants of the pattern mean."""


def variant(call: Call) -> dict[str, int]:
    """The constants of a sliding window and a soft cap, where there are any."""
    constants = {}
    window = int(setting(call, "window_left", -1))
    if window >= 0:
        constants["window_left"] = window
    cap = float(setting(call, "logits_soft_cap", 0.0))
    if cap > 0:
        if not cap.is_integer():
            raise Refused(f"{call.api}: logits_soft_cap is {cap}; a whole number expected")
        constants["logits_soft_cap"] = int(cap)
    return constants


__all__ = ["PARAMETERS", "VARIANTS", "variant"]
