"""Axes and tensors of mixture-of-experts layers, from their constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flashinfer_bench.ops.contract import Constants, Interface, Tensor

BLOCK = 128
"""Rows and columns of a weight, or columns of a token, that share a scale."""

GEMM1 = "of each expert first the rows of what is scaled (up), then those of the gate"
LLAMA4_BIAS = (
    "added to the logits; the largest sum chooses the expert, and its sigmoid weighs {weighed}"
)
MXFP4 = "values of mxfp4: those of e2m1 times a power of two for each 32 columns"
PACKED = "(expert << 16) | bits of its weight in bfloat16"
_SCALES = {
    "output1_scales_scalar": "of the up half: (up * it) * silu(gate * output1_scales_gate_scalar)",
    "output1_scales_gate_scalar": "of the gate half, before SiLU",
    "output2_scales_scalar": "of each expert's output",
}
_PER_TENSOR = (
    "hidden_states",
    "gemm1_weights",
    "output1_scales_scalar",
    "output1_scales_gate_scalar",
    "gemm2_weights",
    "output2_scales_scalar",
)
_OUTPUT = {"output": Tensor(("seq_len", "hidden_size"), "bfloat16")}
_CONSTRAINTS = (
    "gemm1_weights.shape[1] == 2 * intermediate_size",
    "gemm2_weights.shape[1] == hidden_size",
    "gemm2_weights.shape[2] == intermediate_size",
)


def total_experts(constants: Constants) -> int:
    """Experts of all ranks: 384 without groups (Kimi K2), 256 with groups (DeepSeek-V3), unless
    the name states another number or one that is needed for the groups or the local experts."""
    local, groups = constants["num_local_experts"], constants["n_group"]
    usual = max(local, 384 if groups == 1 else 256)
    return constants.get("num_experts", -(-usual // groups) * groups)


def _blocks(length: int) -> int:
    return -(-length // BLOCK)


def _sizes(constants: Constants, experts: str) -> dict[str, int | None]:
    inner = constants["intermediate_size"]
    return {
        experts: constants[experts],
        "hidden_size": constants["hidden_size"],
        "intermediate_size": inner,
        "gemm1_out_size": 2 * inner,
        "top_k": constants["top_k"],
    }


def _block_axes(constants: Constants) -> dict[str, int | None]:
    return {
        **_sizes(constants, "num_local_experts"),
        "num_hidden_blocks": _blocks(constants["hidden_size"]),
        "num_intermediate_blocks": _blocks(constants["intermediate_size"]),
        "num_gemm1_out_blocks": _blocks(2 * constants["intermediate_size"]),
    }


def _weights(experts: str, dtype: str) -> dict[str, Tensor]:
    return {
        "gemm1_weights": Tensor((experts, "gemm1_out_size", "hidden_size"), dtype, GEMM1),
        "gemm2_weights": Tensor((experts, "hidden_size", "intermediate_size"), dtype),
    }


def _fp8_block_scale_tensors() -> dict[str, Tensor]:
    experts, of_tokens = "num_local_experts", "of 128 columns of a token"
    of_weights = "of 128 x 128 elements of a weight"
    blocks1 = (experts, "num_gemm1_out_blocks", "num_hidden_blocks")
    blocks2 = (experts, "num_hidden_blocks", "num_intermediate_blocks")
    weights = _weights(experts, "float8_e4m3fn")
    return {
        "hidden_states": Tensor(("seq_len", "hidden_size"), "float8_e4m3fn"),
        "hidden_states_scale": Tensor(("num_hidden_blocks", "seq_len"), "float32", of_tokens),
        "gemm1_weights": weights["gemm1_weights"],
        "gemm1_weights_scale": Tensor(blocks1, "float32", of_weights),
        "gemm2_weights": weights["gemm2_weights"],
        "gemm2_weights_scale": Tensor(blocks2, "float32", of_weights),
    }


def ds_routing(constants: Constants) -> Interface:
    """Sigmoid routing by groups over the experts of all ranks, of which some are here."""
    bias = "added to the sigmoids of the logits to choose experts, not in their weights"
    offset = "number of the first local expert; those of other ranks add nothing"
    axes = {"seq_len": None, "num_experts": total_experts(constants), **_block_axes(constants)}
    inputs = {
        "routing_logits": Tensor(("seq_len", "num_experts"), "float32"),
        "routing_bias": Tensor(("num_experts",), "bfloat16", bias),
        **_fp8_block_scale_tensors(),
        "local_expert_offset": Tensor(None, "int32", offset),
        "routed_scaling_factor": Tensor(
            None, "float32", "times the weights, which add up to 1 for each token"
        ),
    }
    within = ("0 <= local_expert_offset", "local_expert_offset + num_local_experts <= num_experts")
    return Interface(axes, inputs, _OUTPUT, (*_CONSTRAINTS, *within))


def renorm(constants: Constants) -> Interface:
    """Softmax routing over local experts only."""
    logits = Tensor(("seq_len", "num_local_experts"), "bfloat16", "softmax over the top_k largest")
    inputs = {"routing_logits": logits, **_fp8_block_scale_tensors()}
    return Interface({"seq_len": None, **_block_axes(constants)}, inputs, _OUTPUT, _CONSTRAINTS)


def trtllm(
    states: str, weights: str, *, meaning: str = "", bias: bool = True
) -> Callable[[Constants], Interface]:
    """Routing by logits: softmax over the largest ones or, of top_k 1 with a bias, sigmoid."""

    def interface(constants: Constants) -> Interface:
        llama4 = bias and constants["top_k"] == 1
        says = "" if llama4 else "softmax over the top_k largest"
        logits = Tensor(("seq_len", "num_experts"), "bfloat16", says)
        inputs = {"routing_logits": logits, **_trtllm_tensors(states, weights, meaning)}
        if llama4:
            weighed = "its input" if weights == "float8_e4m3fn" else "its output"
            says = LLAMA4_BIAS.format(weighed=weighed)
            inputs["routing_bias"] = Tensor(("num_experts",), "bfloat16", says)
        axes = {"seq_len": None, **_sizes(constants, "num_experts")}
        return Interface(axes, inputs, _OUTPUT, _CONSTRAINTS)

    return interface


def routed(constants: Constants) -> Interface:
    """Experts and weights of each token are given."""
    ids = Tensor(("seq_len", "top_k"), "int32", PACKED)
    inputs = {"topk_ids": ids, **_trtllm_tensors("bfloat16", "float32", MXFP4)}
    axes = {"seq_len": None, **_sizes(constants, "num_experts")}
    within = ("0 <= min(topk_ids)", "max(topk_ids) < 65536 * num_experts")
    return Interface(axes, inputs, _OUTPUT, (*_CONSTRAINTS, *within))


def _trtllm_tensors(states: str, weights: str, meaning: str) -> dict[str, Tensor]:
    rows = Tensor(("seq_len", "hidden_size"), states)
    gemm1, gemm2 = _weights("num_experts", weights).values()
    if meaning:
        gemm1 = replace(gemm1, description=f"{GEMM1}; {meaning}")
        gemm2 = replace(gemm2, description=meaning)
    tensors = {"hidden_states": rows, "gemm1_weights": gemm1, "gemm2_weights": gemm2}
    if weights != "float8_e4m3fn":
        return tensors
    tensors |= {name: Tensor(("num_experts",), "float32", says) for name, says in _SCALES.items()}
    return {name: tensors[name] for name in _PER_TENSOR}


__all__ = ["BLOCK", "MXFP4", "ds_routing", "renorm", "routed", "total_experts", "trtllm"]
