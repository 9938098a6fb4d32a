"""FlashInfer's fused mixture-of-experts layers with fp8 block scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused
from flashinfer_bench.ops.moe.interface import BLOCK, total_experts

RENORMALIZE, DEEPSEEK_V3, RENORMALIZE_NAIVE = 1, 2, 4
DEEPSEEK_FP8 = 1
SWIGLU = 3
_FLAGS = {
    "use_shuffled_weight": (False, "weights with shuffled rows"),
    "weight_layout": (0, "weights in blocks"),
    "do_finalize": (True, "outputs of experts that are not added up"),
    "fp8_quantization_type": (DEEPSEEK_FP8, "other scales than one for each 128 x 128"),
    "num_fused_shared_experts": (0, "shared experts"),
    "activation_type": (SWIGLU, "another activation than SwiGLU"),
    "norm_topk_prob": (True, "weights that are not normalised"),
}
_NOT_GIVEN = ("gemm1_alpha", "gemm1_beta", "gemm1_clamp_limit")
_FP8, _FLOAT32 = "float8_e4m3fn", "float32"
_DTYPES = {
    "hidden_states": _FP8,
    "hidden_states_scale": _FLOAT32,
    "gemm1_weights": _FP8,
    "gemm1_weights_scale": _FLOAT32,
    "gemm2_weights": _FP8,
    "gemm2_weights_scale": _FLOAT32,
}


def _require(call: Call, name: str, value: Any, expected: Any) -> None:
    if value != expected:
        raise Refused(f"{call.api}: {name} is {value}; {expected} expected")


def _require_method(call: Call, *methods: int) -> None:
    method = int(call.get("run", "routing_method_type", 0))
    if method not in methods:
        names = " or ".join(str(it) for it in methods)
        raise Refused(f"{call.api}: routing_method_type is {method}; {names} expected")


def _require_tensors(call: Call, dtypes: Mapping[str, str]) -> None:
    for name, dtype in dtypes.items():
        tensor = call.get("run", name)
        if tensor is None:
            raise Refused(f"{call.api}: run was given no {name!r}")
        found = str(tensor.dtype).rpartition(".")[2]
        _require(call, f"dtype of {name}", found, dtype)


def _experts(call: Call, logits_dtype: str) -> dict[str, int]:
    """Constants that both kinds of routing have."""
    for name, (usual, what) in _FLAGS.items():
        value = call.get("run", name, usual)
        if value != usual:
            raise Refused(f"{call.api}: {what} ({name}={value}); {usual} expected")
    for name in _NOT_GIVEN:
        if call.get("run", name) is not None:
            raise Refused(f"{call.api}: a changed SwiGLU ({name}) is not part of this operation")
    _require_tensors(call, {"routing_logits": logits_dtype, **_DTYPES})
    constants = {
        name: int(call.run[argument])
        for name, argument in (
            ("num_local_experts", "local_num_experts"),
            ("top_k", "top_k"),
            ("intermediate_size", "intermediate_size"),
        )
    }
    constants["hidden_size"] = int(call.run["hidden_states"].shape[-1])
    _require_shapes(call, constants)
    return constants


def _require_shapes(call: Call, constants: Mapping[str, int]) -> None:
    local, inner = constants["num_local_experts"], constants["intermediate_size"]
    hidden, rows = constants["hidden_size"], call.run["hidden_states"].shape[0]
    blocks, inner_blocks = -(-hidden // BLOCK), -(-inner // BLOCK)
    shapes = {
        "hidden_states": (rows, hidden),
        "routing_logits": (rows, int(call.run["num_experts"])),
        "hidden_states_scale": (blocks, rows),
        "gemm1_weights": (local, 2 * inner, hidden),
        "gemm1_weights_scale": (local, -(-2 * inner // BLOCK), blocks),
        "gemm2_weights": (local, hidden, inner),
        "gemm2_weights_scale": (local, blocks, inner_blocks),
    }
    for name, shape in shapes.items():
        _require(call, f"shape of {name}", list(call.run[name].shape), list(shape))


def _recognise_ds_routing(call: Call) -> Mapping[str, int]:
    _require_method(call, DEEPSEEK_V3)
    constants = _experts(call, "float32")
    _require_tensors(call, {"routing_bias": "bfloat16"})
    experts = int(call.run["num_experts"])
    _require(call, "shape of routing_bias", list(call.run["routing_bias"].shape), [experts])
    constants["n_group"] = max(1, int(call.get("run", "n_group", 1)))
    constants["topk_group"] = max(1, int(call.get("run", "topk_group", 1)))
    if experts != total_experts(constants):
        constants["num_experts"] = experts
    return constants


def _recognise_renorm(call: Call) -> Mapping[str, int]:
    _require_method(call, RENORMALIZE, RENORMALIZE_NAIVE)
    constants = _experts(call, "bfloat16")
    _require(call, "routing_bias", call.get("run", "routing_bias"), None)
    _require(call, "local_num_experts", constants["num_local_experts"], call.run["num_experts"])
    _require(call, "local_expert_offset", call.get("run", "local_expert_offset", 0), 0)
    _require(call, "routed_scaling_factor", call.get("run", "routed_scaling_factor", 1.0), 1.0)
    return constants


_TENSORS = {name: Argument("run", name) for name in _DTYPES}
_API = "flashinfer.fused_moe.trtllm_fp8_block_scale_moe"
_APIS = (_API, _API.replace("fused_moe.", "fused_moe.core."))

DS_ROUTING = Binding(
    _APIS,
    {
        "routing_logits": Argument("run", "routing_logits"),
        "routing_bias": Argument("run", "routing_bias"),
        **_TENSORS,
        "local_expert_offset": Argument("run", "local_expert_offset"),
        "routed_scaling_factor": Argument(
            "run", "routed_scaling_factor", otherwise=lambda call: 1.0
        ),
    },
    _recognise_ds_routing,
    note="routing_method_type=2 (DeepSeekV3); num_experts, top_k, n_group, topk_group, "
    "intermediate_size and local_num_experts are the definition's constants; SM100 and later",
)
RENORM = Binding(
    _APIS,
    {"routing_logits": Argument("run", "routing_logits"), **_TENSORS},
    _recognise_renorm,
    note="routing_method_type=1 (Renormalize) or 4 (RenormalizeNaive), which are the same; "
    "SM100 and later",
)

__all__ = ["DS_ROUTING", "RENORM"]
