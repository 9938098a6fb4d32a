"""What the kernel pass knows beforehand: packages of kernels, platforms, entry points of roles."""

from __future__ import annotations

import ast
from typing import Any

OTHER_PLATFORMS = ("hip", "npu", "cpu", "xpu", "musa", "aiter", "amx", "hpu", "mps", "gfx", "rocm")
KERNEL_PACKAGES = (
    *("sgl_kernel.", "flashinfer.", "sglang.jit_kernel.", "sglang.kernels.", "deep_gemm."),
    *("torch.ops.", "flash_attn.", "flash_mla.", "tilelang."),
)
KERNEL_NAMES = frozenset(
    f"torch.{name}"
    for name in ("nn.functional.linear", "nn.functional.embedding", "matmul", "mm", "bmm", "addmm")
)
NO_KERNELS = (
    *("sglang.kernels.fused_op", "sglang.kernels.registry", "sglang.kernels.selection"),
    *(
        "sglang.kernels.spec",
        "sglang.kernels.selector",
        "flashinfer.utils",
        "flashinfer.autotuner",
        "flashinfer.jit",
    ),
)
"""Packages among these that only manage kernels."""
_NORMS = ("rmsnorm", "fused_add_rmsnorm", "gemma_rmsnorm", "gemma_fused_add_rmsnorm")
_RENORM = {"top_k_renorm_prob": "top_k_renorm_probs", "top_p_renorm_prob": "top_p_renorm_probs"}
HANDED_OVER = {
    **{f"sgl_kernel.{name}": f"flashinfer.norm.{name}" for name in _NORMS},
    **{
        f"sgl_kernel{inner}.{name}": f"flashinfer.sampling.{_RENORM.get(name, name)}"
        for inner in ("", ".sampling")
        for name in (
            *_RENORM,
            *_RENORM.values(),
            *("min_p_sampling_from_probs", "top_k_top_p_sampling_from_probs"),
            *("top_p_sampling_from_probs", "top_k_top_p_sampling_from_logits"),
        )
    },
}
"""Kernels of sgl_kernel that call FlashInfer's for half precision."""
WRAPPER_METHODS = {
    **{"begin_forward": "plan", "plan": "plan", "forward": "run", "run": "run"},
    **{"forward_return_lse": "run", "run_return_lse": "run"},
}
"""Methods of FlashInfer's wrappers -> where they end."""
ENTRIES: dict[str, tuple[str, ...]] = {
    "norm": ("forward_cuda", "forward"),
    "activation": ("forward_cuda", "forward"),
    "routing": ("forward_cuda", "forward"),
    "rope": ("forward_cuda", "forward"),
    "logits": ("forward",),
    "experts": ("forward",),
    "pooling": ("forward",),
}
"""Role -> methods, the first that the class has."""
STANDING: dict[str, tuple[str, str, str]] = {
    "linear": ("sglang.srt.layers.quantization.unquant", "UnquantizedLinearMethod", "apply"),
    "embedding": (
        "sglang.srt.layers.quantization.unquant",
        *("UnquantizedEmbeddingMethod", "embedding"),
    ),
    "rope": ("sglang.srt.layers.rotary_embedding.base", "RotaryEmbedding", "forward_cuda"),
    "experts": ("sglang.srt.layers.moe.moe_runner.triton", "TritonRunnerCore", "run"),
}
"""Role -> module, class and method where its kernels are."""
_FP8 = {"linear": ("sglang.srt.layers.quantization.fp8", "Fp8LinearMethod", "apply")}
QUANTISED: dict[str, dict[str, tuple[str, str, str]]] = {
    "fp8_block_scale": _FP8,
    "fp8_per_tensor": _FP8,
}
"""Family of quantised weights -> role -> module, class and method; others are not looked into."""
RUNNERS = ("auto", "triton")
"""Runners of experts whose kernels are those of `STANDING`."""
SAMPLER = ("sglang.srt.layers.sampler", "Sampler", "forward")
REGISTRY = "sglang.srt.layers.attention.attention_registry"
HANDLERS = (
    "sglang.srt.models.deepseek_common.attention_backend_handler",
    "sglang.srt.models.deepseek_v2",
)
"""Modules in which multi-head latent attention chooses its path by the backend's name."""


def situation(mode: str, *, cached_prefix: bool, sampling: str, backend: str) -> dict[str, Any]:
    """What attributes and functions of these names give while one batch is served."""
    prefill = mode == "prefill"
    rules = ("is_extend", "is_extend_without_speculative", "is_extend_or_draft_extend_or_mixed")
    return {
        **dict.fromkeys(("is_decode", "is_decode_or_idle"), not prefill),
        **dict.fromkeys(rules, prefill),
        **{"is_first_rank": True, "is_last_rank": True, "world_size": 1},
        **{"attention_backend": backend, "sampling_backend": "flashinfer"},
        **{"decode_attention_backend": backend, "prefill_attention_backend": backend},
        "extend_prefix_lens_cpu": [16 if cached_prefix else 0],
        **{"seq_lens_cpu": [32], "get_max_chunk_capacity": 128 << 10},
        "chunked_prefix_cache_threshold": 8192,
        "is_all_greedy": sampling == "greedy",
        "need_min_p_sampling": sampling == "min_p",
        **{f"need_top_{it}_sampling": sampling != "greedy" for it in "kp"},
        **{"can_use_fused_inplace_qknorm": True, "_use_fused_qk_norm": True},
        **{"_is_flashinfer_available": True, "moe_runner": "triton"},
    }


def platform_of(name: str) -> bool | None:
    """Whether a flag of this name is set on CUDA; None where it is of no platform."""
    words = name.lower().strip("_").split("_")
    if "is" in words[:1] or "use" in words[:1]:
        if "cuda" in words and len(words) == 2:
            return True
        if any(word.startswith(OTHER_PLATFORMS) for word in words) and "graph" not in words:
            return False
    return None


def platform_truth(test: ast.expr) -> bool | None:
    """Of a condition, as far as the platform decides it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = platform_truth(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        truths = [platform_truth(it) for it in test.values]
        decisive = isinstance(test.op, ast.Or)
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive
    if isinstance(test, ast.Call):
        return platform_truth(test.func)
    name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
    return False if name == "TYPE_CHECKING" else platform_of(name) if name else None


__all__ = [
    *("ENTRIES", "HANDED_OVER", "HANDLERS", "KERNEL_NAMES", "KERNEL_PACKAGES", "NO_KERNELS"),
    *(
        "QUANTISED",
        "REGISTRY",
        "RUNNERS",
        "SAMPLER",
        "STANDING",
        "WRAPPER_METHODS",
        "platform_of",
        "platform_truth",
    ),
    "situation",
]
