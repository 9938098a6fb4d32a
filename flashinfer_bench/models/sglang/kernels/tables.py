"""What the kernel pass knows beforehand: packages of kernels, platforms, entry points of roles."""

from __future__ import annotations

import ast
from typing import Any

OTHER_PLATFORMS = ("hip", "npu", "cpu", "xpu", "musa", "aiter", "amx", "hpu", "mps", "gfx", "rocm")
KERNEL_PACKAGES = (
    *("sgl_kernel.", "flashinfer.", "sglang.jit_kernel.", "sglang.kernels.", "deep_gemm."),
    *("torch.ops.", "flash_attn.", "flash_mla.", "tilelang.", "triton_kernels."),
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
Standing = tuple[str, str, str]
_QUANTIZATION = "sglang.srt.layers.quantization"
_SCHEMES = f"{_QUANTIZATION}.compressed_tensors.schemes.compressed_tensors"


def _methods(module: str, linear: str, experts: str) -> dict[str, Standing]:
    found = {"linear": (f"{_QUANTIZATION}.{module}", linear, "apply")}
    found["experts"] = (f"{_QUANTIZATION}.{module}", experts, "apply")
    return {role: it for role, it in found.items() if it[1]}


def _scheme(stem: str, linear: str, experts: str) -> dict[str, Standing]:
    return {
        "linear": (f"{_SCHEMES}_{stem}", linear, "apply_weights"),
        "experts": (f"{_SCHEMES}_{stem}_moe", experts, "apply_weights"),
    }


_FP8 = _methods("fp8", "Fp8LinearMethod", "Fp8MoEMethod")
_INT8 = _methods("w8a8_int8", "W8A8Int8LinearMethod", "W8A8Int8MoEMethod")
_NVFP4 = _methods("modelopt_quant", "ModelOptFp4LinearMethod", "ModelOptNvFp4FusedMoEMethod")
_GPTQ = _methods("gptq.schemes.gptq_marlin", "GPTQMarlinLinearScheme", "")
_AWQ = _methods("awq.schemes.awq_marlin", "AWQMarlinLinearScheme", "")
_BITS = _methods("bitsandbytes", "BitsAndBytesLinearMethod", "BitsAndBytesMoEMethod")
_CT = "CompressedTensors"
QUANTISED: dict[tuple[str, str], dict[str, Standing]] = {
    ("modelopt", "fp8_per_tensor"): _methods(
        "modelopt_quant", "ModelOptFp8LinearMethod", "ModelOptFp8MoEMethod"
    ),
    ("compressed-tensors", "fp8_per_tensor"): _scheme(
        "w8a8_fp8", f"{_CT}W8A8Fp8", f"{_CT}W8A8Fp8MoE"
    ),
    ("compressed-tensors", "int8"): _scheme("w8a8_int8", f"{_CT}W8A8Int8", f"{_CT}W8A8Int8MoE"),
    ("compressed-tensors", "int4"): _scheme("wNa16", f"{_CT}WNA16", f"{_CT}WNA16MoE"),
    ("compressed-tensors", "fp4"): _scheme("w4a4_nvfp4", f"{_CT}W4A4Fp4", f"{_CT}W4A4Nvfp4MoE"),
    ("gptq", "int4"): _GPTQ,
    ("gptq", "int8"): _GPTQ,
    ("awq", "int4"): _AWQ,
    ("bitsandbytes", "int4"): _BITS,
    ("w8a8_fp8", "fp8_per_tensor"): _methods("w8a8_fp8", "W8A8Fp8LinearMethod", "W8A8FP8MoEMethod"),
    ("w8a8_int8", "int8"): _INT8,
    ("fbgemm_fp8", "fp8_per_tensor"): _methods("fpgemm_fp8", "FBGEMMFp8LinearMethod", ""),
    ("", "fp8_block_scale"): _FP8,
    ("", "fp8_per_tensor"): _FP8,
    ("", "mxfp4"): {"experts": (f"{_QUANTIZATION}.mxfp4", "Mxfp4MoEMethod", "apply")},
    ("", "fp4"): _NVFP4,
}
"""Quantisation's method, empty for any other, and family -> role -> module, class and method."""
_LINEAR = "sglang.srt.layers.attention.linear"
_HYBRID = "sglang.srt.layers.attention.hybrid_linear_attn_backend"
LINEAR_ATTENTION: dict[str, tuple[tuple[str, str], ...]] = {
    "gdn": ((f"{_LINEAR}.gdn_backend", "GDNAttnBackend"), (_HYBRID, "GDNAttnBackend")),
    "kda": (
        (f"{_LINEAR}.kda_backend", "KDAAttnBackend"),
        (_HYBRID, "KimiLinearAttnBackend"),
    ),
    "lightning": (
        (f"{_LINEAR}.lightning_backend", "LightningAttentionBackend"),
        (_HYBRID, "LightningAttentionBackend"),
    ),
}
"""Rule of decay -> module and class of its backend, the first that a version has."""
RUNNERS = "sglang.srt.layers.moe.moe_runner"
DEFAULT_BACKENDS: dict[bool, dict[int, str]] = {
    False: {9: "fa3", 10: "trtllm_mha"},
    True: {9: "fa3", 10: "flashinfer"},
}
"""Whether attention is latent -> generation of the GPU -> SGLang's own choice of backend."""
DEFAULT_RUNNERS: dict[str, dict[int, str]] = {
    "mxfp4": {9: "triton_kernels", 10: "flashinfer_mxfp4"},
    "fp4": {8: "marlin", 9: "marlin", 10: "flashinfer_trtllm"},
}
"""Family of quantised experts -> generation of the GPU -> SGLang's own choice of runner; else
Triton's."""
OTHER_BACKEND = {False: "flashinfer", True: "triton"}
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
    *("DEFAULT_BACKENDS", "DEFAULT_RUNNERS", "ENTRIES", "HANDED_OVER", "HANDLERS", "KERNEL_NAMES"),
    *(
        "KERNEL_PACKAGES",
        "LINEAR_ATTENTION",
        "NO_KERNELS",
        "OTHER_BACKEND",
        "OTHER_PLATFORMS",
        "QUANTISED",
    ),
    *("REGISTRY", "RUNNERS", "SAMPLER", "STANDING", "WRAPPER_METHODS", "Standing"),
    *("platform_of", "platform_truth", "situation"),
]
