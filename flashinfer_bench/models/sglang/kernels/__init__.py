"""Which kernels the modules of a model reach in SGLang."""

from flashinfer_bench.models.sglang.kernels.calls import KernelCall, kernel_calls, norm_kinds
from flashinfer_bench.models.sglang.kernels.predict import flashinfer_calls

__all__ = ["KernelCall", "flashinfer_calls", "kernel_calls", "norm_kinds"]
