"""How outputs of mixture-of-experts layers are judged.

The bounds are half as wide again as the errors of emulated kernels (`tests/ops/moe_kernel.py`).
"""

from __future__ import annotations

from flashinfer_bench.ops.checks import Bounds, Numeric

_BF16 = Bounds(
    row=1.5,
    total=1.4,
    gain=0.3,
    gain_of_one_row=0.8,
    reason="bfloat16 holds routing weights, activations and what each expert adds",
)
_FP8 = Bounds(
    element=30.0,
    row=8.5,
    total=7.5,
    gain=0.5,
    gain_of_one_row=4.5,
    reason="kernels round the inputs of gemm2 to fp8, by 2.6 % on average",
)
_FP8_TWICE = Bounds(
    element=54.0,
    row=16.0,
    total=14.0,
    gain=0.5,
    gain_of_one_row=6.5,
    reason="kernels round to fp8 twice: inputs or outputs of gemm1, then the inputs of gemm2",
)

BF16 = Numeric({"output": _BF16})
FP8 = Numeric({"output": _FP8})
BLOCK_SCALE = Numeric({"output": _FP8_TWICE})

__all__ = ["BF16", "BLOCK_SCALE", "FP8"]
