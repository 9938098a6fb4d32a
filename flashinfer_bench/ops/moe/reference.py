# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Mixture-of-experts layers: each token goes through few experts, their outputs are added up.

An expert is a gated feed-forward layer, `gemm2 @ (up * silu(gate))`. The first half of gemm1's rows
makes what is scaled (up), the second half the gate, as in trtllm-gen's kernels. Experts are brought
to the computing dtype one at a time.
"""

from __future__ import annotations


def moe_fp8_block_scale_ds_routing(
    routing_logits,
    routing_bias,
    hidden_states,
    hidden_states_scale,
    gemm1_weights,
    gemm1_weights_scale,
    gemm2_weights,
    gemm2_weights_scale,
    local_expert_offset,
    routed_scaling_factor,
    dtype=None,
    top_k=8,
    n_group=8,
    topk_group=4,
):
    import torch

    dtype = dtype or torch.float32
    logits, bias = routing_logits.to(dtype), routing_bias.to(dtype)
    chosen, weights = route_deepseek(logits, bias, top_k, n_group, topk_group)
    return _fp8_block_scale_experts(
        chosen - int(local_expert_offset),
        weights * float(routed_scaling_factor),
        hidden_states,
        hidden_states_scale,
        (gemm1_weights, gemm1_weights_scale),
        (gemm2_weights, gemm2_weights_scale),
    )


def moe_fp8_block_scale_renorm(
    routing_logits,
    hidden_states,
    hidden_states_scale,
    gemm1_weights,
    gemm1_weights_scale,
    gemm2_weights,
    gemm2_weights_scale,
    dtype=None,
    top_k=8,
):
    import torch

    chosen, weights = route_renormalized(routing_logits.to(dtype or torch.float32), top_k)
    return _fp8_block_scale_experts(
        chosen,
        weights,
        hidden_states,
        hidden_states_scale,
        (gemm1_weights, gemm1_weights_scale),
        (gemm2_weights, gemm2_weights_scale),
    )


def trtllm_fp8_per_tensor_scale_moe(
    routing_logits,
    hidden_states,
    gemm1_weights,
    output1_scales_scalar,
    output1_scales_gate_scalar,
    gemm2_weights,
    output2_scales_scalar,
    routing_bias=None,
    dtype=None,
    top_k=8,
):
    import torch

    dtype = dtype or torch.float32
    x = hidden_states.to(dtype)
    up_scale = output1_scales_scalar.to(dtype)
    gate_scale = output1_scales_gate_scalar.to(dtype)
    out_scale = output2_scales_scalar.to(dtype)
    if routing_bias is None:
        chosen, weights = route_renormalized(routing_logits.to(dtype), top_k)
    else:
        logits, bias = routing_logits.to(dtype), routing_bias.to(dtype)
        chosen, weights = route_llama4(logits, bias)
        x, weights = x * weights, torch.ones_like(weights)

    def expert(x, index):
        gemm1, gemm2 = gemm1_weights[index].to(dtype), gemm2_weights[index].to(dtype)
        up, gate = (x @ gemm1.T).chunk(2, dim=-1)
        activated = up * up_scale[index] * _silu(gate * gate_scale[index])
        return activated @ gemm2.T * out_scale[index]

    return sum_of_experts(x, chosen, weights, len(gemm1_weights), expert)


def trtllm_moe(
    routing_logits,
    hidden_states,
    gemm1_weights,
    gemm2_weights,
    routing_bias=None,
    dtype=None,
    top_k=8,
):
    import torch

    logits = routing_logits.to(dtype or torch.float32)
    if routing_bias is None:
        chosen, weights = route_renormalized(logits, top_k)
    else:
        chosen, weights = route_llama4(logits, routing_bias.to(logits.dtype))
    return _experts(chosen, weights, hidden_states, gemm1_weights, gemm2_weights)


def trtllm_routed_moe(topk_ids, hidden_states, gemm1_weights, gemm2_weights, dtype=None):
    import torch

    # the bits of a bfloat16 are the upper half of the same number in float32
    weights = ((topk_ids & 0xFFFF) << 16).view(torch.float32).to(dtype or torch.float32)
    return _experts(topk_ids >> 16, weights, hidden_states, gemm1_weights, gemm2_weights)


def route_deepseek(logits, bias, top_k, n_group, topk_group):
    import torch

    scores = torch.sigmoid(logits)
    choice, _ = within_best_groups(scores + bias, n_group, topk_group)
    chosen = choice.topk(top_k, dim=-1).indices
    weights = scores.gather(-1, chosen)
    return chosen, weights / weights.sum(dim=-1, keepdim=True)


def within_best_groups(choice, n_group, topk_group):
    import torch

    groups = choice.unflatten(-1, (n_group, -1))
    group_scores = groups.topk(min(2, groups.shape[-1]), dim=-1).values.sum(dim=-1)
    best = group_scores.topk(topk_group, dim=-1).indices
    kept = torch.zeros_like(group_scores, dtype=torch.bool).scatter(-1, best, True)
    return groups.masked_fill(~kept.unsqueeze(-1), -torch.inf).flatten(-2), group_scores


def route_renormalized(logits, top_k):
    values, chosen = logits.topk(top_k, dim=-1)
    return chosen, values.softmax(dim=-1)


def route_llama4(logits, bias):
    import torch

    values, chosen = (logits + bias).topk(1, dim=-1)
    return chosen, torch.sigmoid(values)


def sum_of_experts(x, chosen, weights, num_experts, expert):
    import torch

    output = torch.zeros_like(x)
    for index in range(num_experts):
        token, slot = torch.where(chosen == index)
        if len(token):
            output.index_add_(0, token, expert(x[token], index) * weights[token, slot, None])
    return output


def _fp8_block_scale_experts(chosen, weights, hidden_states, hidden_states_scale, gemm1, gemm2):
    dtype = weights.dtype
    sizes = hidden_states_scale.to(dtype).T.repeat_interleave(128, dim=-1)
    x = hidden_states.to(dtype) * sizes[:, : hidden_states.shape[1]]

    def expert(x, index):
        first = scaled_by_blocks(gemm1[0][index], gemm1[1][index], dtype)
        second = scaled_by_blocks(gemm2[0][index], gemm2[1][index], dtype)
        return _feed_forward(x, first, second)

    return sum_of_experts(x, chosen, weights, len(gemm1[0]), expert)


def scaled_by_blocks(values, scales, dtype):
    result = values.to(dtype, copy=True)
    for rows, row_scales in zip(result.split(128), scales.to(dtype)):
        rows *= row_scales.repeat_interleave(128)[: values.shape[1]]
    return result


def _experts(chosen, weights, hidden_states, gemm1_weights, gemm2_weights):
    dtype = weights.dtype

    def expert(x, index):
        first, second = gemm1_weights[index].to(dtype), gemm2_weights[index].to(dtype)
        return _feed_forward(x, first, second)

    x = hidden_states.to(dtype)
    return sum_of_experts(x, chosen, weights, len(gemm1_weights), expert)


def _feed_forward(x, gemm1, gemm2):
    up, gate = (x @ gemm1.T).chunk(2, dim=-1)
    return up * _silu(gate) @ gemm2.T


def _silu(gate):
    import torch

    return gate * torch.sigmoid(gate)


__all__ = [
    "moe_fp8_block_scale_ds_routing",
    "moe_fp8_block_scale_renorm",
    "route_deepseek",
    "route_llama4",
    "route_renormalized",
    "scaled_by_blocks",
    "sum_of_experts",
    "trtllm_fp8_per_tensor_scale_moe",
    "trtllm_moe",
    "trtllm_routed_moe",
    "within_best_groups",
]
