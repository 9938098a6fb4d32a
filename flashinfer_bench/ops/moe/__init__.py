"""Mixture-of-experts layers: routing, gated feed-forward experts, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flashinfer_bench.ops.binding import Unbound
from flashinfer_bench.ops.contract import Constants, Example, Interface, Operation
from flashinfer_bench.ops.moe import inputs, interface, reference
from flashinfer_bench.ops.moe.binding import DS_ROUTING, RENORM
from flashinfer_bench.ops.moe.check import BF16, BLOCK_SCALE, FP8
from flashinfer_bench.ops.moe.cost import moe_cost
from flashinfer_bench.ops.moe.values import fan_in_weights, mxfp4_values
from flashinfer_bench.ops.naming import Naming

_TOP_K = {"top_k": "experts of each token"}
_GROUPS = {
    "n_group": "groups of experts, each as good as its two best experts together",
    "topk_group": "groups that a token's experts come from",
}
_WITHIN_GROUPS = (
    "num_experts % n_group == 0",
    "num_local_experts <= num_experts",
    "1 <= topk_group <= n_group",
    "top_k * n_group <= num_experts * topk_group",
)
_LOCAL = "e{num_local_experts}_h{hidden_size}_i{intermediate_size}"
_ALL = "topk{top_k}_e{num_experts}_h{hidden_size}_i{intermediate_size}"
_PER_TENSOR = interface.trtllm("float8_e4m3fn", "float8_e4m3fn")
_FP4 = interface.trtllm("bfloat16", "float32", meaning=interface.MXFP4)
_BF16 = interface.trtllm("bfloat16", "bfloat16", bias=False)


def _api(name: str) -> tuple[str, ...]:
    return (f"fi_api:flashinfer.fused_moe.{name}",)


def _operation(
    *,
    kind: str,
    interface: Callable[[Constants], Interface],
    example: str,
    of: str = "Qwen3 30B A3B",
    requires: tuple[str, ...] = ("top_k <= num_experts",),
    **more: Any,
) -> Operation:
    tags = _api(kind) if isinstance(more["binding"], Unbound) else ()
    return Operation(
        op_type="moe",
        kind=kind,
        interface=interface,
        draw_lengths=inputs.draw_lengths,
        cost=moe_cost(interface),
        example=Example(example, {"seq_len": 64}, f"{of}, 64 tokens"),
        requires=requires,
        tags=tags,
        **more,
    )


OPERATIONS = (
    _operation(
        kind="moe_fp8_block_scale_ds_routing",
        summary="DeepSeek-V3's experts in fp8 with block scales; the local ones of all experts.",
        naming=Naming(
            "moe_fp8_block_scale_ds_routing_topk{top_k}_ng{n_group}_kg{topk_group}[_of{num_experts}]_"
            + _LOCAL
        ),
        interface=interface.ds_routing,
        reference=reference.moe_fp8_block_scale_ds_routing,
        make_inputs=inputs.ds_routing,
        check=BLOCK_SCALE,
        binding=DS_ROUTING,
        example="moe_fp8_block_scale_ds_routing_topk8_ng8_kg4_e32_h7168_i2048",
        of="DeepSeek V3 on 8 GPUs",
        parameters={**_TOP_K, **_GROUPS},
        requires=_WITHIN_GROUPS,
    ),
    _operation(
        kind="moe_fp8_block_scale_renorm",
        summary="Experts in fp8 with block scales, weighted by a softmax over those chosen.",
        naming=Naming(
            f"moe_fp8_block_scale_renorm_topk{{top_k}}_{_LOCAL}",
            (
                f"moe_fp8_block_scale_renormalize_routing_topk{{top_k}}_{_LOCAL}",
                f"moe_fp8_block_scale_renormalize_naive_routing_topk{{top_k}}_{_LOCAL}",
            ),
        ),
        interface=interface.renorm,
        reference=reference.moe_fp8_block_scale_renorm,
        make_inputs=inputs.renorm,
        check=BLOCK_SCALE,
        binding=RENORM,
        example="moe_fp8_block_scale_renorm_topk8_e128_h2048_i768",
        parameters=_TOP_K,
        requires=("top_k <= num_local_experts",),
    ),
    _operation(
        kind="trtllm_fp8_per_tensor_scale_moe",
        summary="Experts in fp8 with one scale for each tensor.",
        naming=Naming(f"trtllm_fp8_per_tensor_scale_moe_{_ALL}"),
        interface=_PER_TENSOR,
        reference=reference.trtllm_fp8_per_tensor_scale_moe,
        make_inputs=inputs.per_tensor,
        check=FP8,
        binding=Unbound(
            "trtllm_fp8_per_tensor_scale_moe takes weights whose rows are shuffled for a tile size "
            "that the call does not state"
        ),
        example="trtllm_fp8_per_tensor_scale_moe_topk8_e128_h2048_i768",
        parameters=_TOP_K,
    ),
    _operation(
        kind="trtllm_fp4_block_scale_moe",
        summary="Experts with weights that are exact in mxfp4.",
        naming=Naming(f"trtllm_fp4_block_scale_moe_{_ALL}"),
        interface=_FP4,
        reference=reference.trtllm_moe,
        make_inputs=inputs.trtllm(mxfp4_values),
        check=BLOCK_SCALE,
        binding=Unbound(
            "trtllm_fp4_block_scale_moe takes packed and shuffled weights with separate scales"
        ),
        example="trtllm_fp4_block_scale_moe_topk8_e128_h2048_i768",
        parameters=_TOP_K,
    ),
    _operation(
        kind="trtllm_fp4_block_scale_routed_moe",
        summary="Experts that were chosen before, with weights that are exact in mxfp4.",
        naming=Naming(f"trtllm_fp4_block_scale_routed_moe_{_ALL}"),
        interface=interface.routed,
        reference=reference.trtllm_routed_moe,
        make_inputs=inputs.routed,
        check=BLOCK_SCALE,
        binding=Unbound(
            "trtllm_fp4_block_scale_routed_moe takes packed and shuffled weights with separate "
            "scales"
        ),
        example="trtllm_fp4_block_scale_routed_moe_topk8_e128_h2048_i768",
    ),
    _operation(
        kind="trtllm_bf16_moe",
        summary="Experts in bfloat16, weighted by a softmax over those chosen.",
        naming=Naming(f"trtllm_bf16_moe_{_ALL}", (f"moe_bf16_renorm_{_ALL}",)),
        interface=_BF16,
        reference=reference.trtllm_moe,
        make_inputs=inputs.trtllm(fan_in_weights, bias=False),
        check=BF16,
        binding=Unbound(
            "trtllm_bf16_moe takes weights in blocks of 128 bytes, of rows that are shuffled for a "
            "tile size that the call does not state"
        ),
        example="trtllm_bf16_moe_topk8_e128_h2048_i768",
        parameters=_TOP_K,
    ),
)
