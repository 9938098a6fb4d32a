"""How outputs of attention are judged."""

from __future__ import annotations

from flashinfer_bench.ops.checks import Bounds, Numeric

CHECK = Numeric(
    {
        "lse": Bounds(
            row=6.0,
            total=1.5,
            eps=2.0**-10,
            absolute=True,
            lowest=-(2.0**15),
            reason="FlashInfer adds up probabilities rounded to bfloat16, off by up to "
            "3 * 2**-10 on an H200, and gives -49,998 for a decode request without keys",
        )
    }
)

__all__ = ["CHECK"]
"""`Numeric` with an absolute bound on the log-sum-exp."""
