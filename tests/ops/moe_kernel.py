"""A mixture-of-experts kernel as real ones compute, with switches for what one may get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Kernel:
    """float32 accumulation, routing weights and outputs of experts in bfloat16."""

    group_limit: bool = True
    best_of_group: int = 2
    """Experts whose scores make the score of a group."""
    bias: str = "choice"
    """Where the bias counts: choice, nowhere or weights too."""
    normalised: bool = True
    factor: bool = True
    fewer: int = 0
    """Experts too few for each token."""
    swapped: bool = False
    silu: bool = True
    neighbour: bool = False
    """Whether weights get the scale of the next block or, where it has one, of the next expert."""
    transposed: bool = True
    """Whether scales of activations are read by columns."""
    offset: bool = True
    left_out: int = 0
    """Experts at the end that are left out."""
    weighs_output: bool = False
    """Whether outputs are weighted where inputs should be."""
    exact_activations: bool = False
    """Whether nothing is rounded to fp8 between the products."""

    def __call__(self, inputs: Inputs, constants: Mapping[str, int]) -> Any:
        chosen, weights = self.route(inputs, constants)
        if self.offset:
            chosen = chosen - inputs.get("local_expert_offset", 0)
        weights, x = weights.bfloat16().float(), self.activations(inputs)
        on_input = "output1_scales_scalar" in inputs and "routing_bias" in inputs
        on_input = on_input and not self.weighs_output
        output = torch.zeros_like(x)
        for e in range(len(inputs["gemm1_weights"]) - self.left_out):
            for slot in range(chosen.shape[1]):
                token = (chosen[:, slot] == e).nonzero()[:, 0]
                if len(token):
                    weight = weights[token, slot, None]
                    rows = x[token] * weight if on_input else x[token]
                    out = self.expert(rows, e, inputs).bfloat16().float()
                    output[token] += out if on_input else out * weight
        return output.bfloat16()

    def route(self, inputs: Inputs, constants: Mapping[str, int]) -> tuple[Any, Any]:
        if "topk_ids" in inputs:
            packed = inputs["topk_ids"][:, : inputs["topk_ids"].shape[1] - self.fewer]
            bits = (packed & 0xFFFF).to(torch.int16)
            return packed >> 16, bits.view(torch.bfloat16).float()
        top_k = constants["top_k"] - self.fewer
        logits, bias = inputs["routing_logits"].float(), inputs.get("routing_bias", 0.0)
        bias = bias * (self.bias != "nowhere")
        if "n_group" in constants:
            return self.by_groups(logits, bias, top_k, inputs, constants)
        if "routing_bias" in inputs:
            best = (logits + bias).max(-1, keepdim=True)
            return best.indices, best.values.sigmoid() if self.normalised else best.values
        shares = logits.softmax(-1)
        best = shares.topk(top_k)
        values = best.values
        return best.indices, values / values.sum(-1, keepdim=True) if self.normalised else values

    def by_groups(
        self, logits: Any, bias: Any, top_k: int, inputs: Inputs, constants: Mapping[str, int]
    ) -> tuple[Any, Any]:
        scores = logits.sigmoid()
        choice = scores + bias
        if self.group_limit:
            groups = choice.view(len(choice), constants["n_group"], -1)
            best = groups.topk(min(self.best_of_group, groups.shape[-1])).values.sum(-1)
            least = best.topk(constants["topk_group"]).values[:, -1:]
            out = (best < least).repeat_interleave(groups.shape[-1], -1)
            choice = choice.masked_fill(out, -1e30)
        chosen = choice.topk(top_k).indices
        weights = (scores + bias if self.bias == "weights too" else scores).gather(1, chosen)
        if self.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        return chosen, weights * inputs["routed_scaling_factor"] if self.factor else weights

    def activations(self, inputs: Inputs) -> Any:
        x = inputs["hidden_states"].float()
        if "hidden_states_scale" not in inputs:
            mxfp8 = inputs["gemm1_weights"].dtype == torch.float32
            return quantised(x, 32, self.exact_activations or not mxfp8)
        scale = inputs["hidden_states_scale"]
        scale = scale.T if self.transposed else scale.reshape(scale.shape[1], scale.shape[0])
        return x * scale.repeat_interleave(128, -1)[:, : x.shape[1]]

    def weight(self, name: str, e: int, inputs: Inputs) -> Any:
        values = inputs[f"{name}_weights"][e].float()
        scale = inputs.get(f"{name}_weights_scale")
        if scale is None:
            return values
        scale = scale[e].roll(1, -1) if self.neighbour else scale[e]
        wide = scale.repeat_interleave(128, 0)[: len(values)]
        return values * wide.repeat_interleave(128, 1)[:, : values.shape[1]]

    def expert(self, x: Any, e: int, inputs: Inputs) -> Any:
        made = x @ self.weight("gemm1", e, inputs).T
        static = inputs["gemm1_weights"].dtype == torch.float8_e4m3fn
        blocks = "hidden_states_scale" in inputs
        if blocks:
            made = quantised(made, 128, self.exact_activations)
        if inputs["gemm1_weights"].dtype == torch.bfloat16:
            made = made.bfloat16().float()
        up, gate = made.chunk(2, -1)
        if self.swapped:
            up, gate = gate, up
        scales = "output1_scales_scalar" in inputs
        if scales:
            other = (e + 1) % len(inputs["gemm1_weights"]) if self.neighbour else e
            up = up * inputs["output1_scales_scalar"][other]
            gate = gate * inputs["output1_scales_gate_scalar"][other]
        active = up * gate * (gate.sigmoid() if self.silu else 1)
        if scales:
            rounded = active.clamp(-448, 448).to(torch.float8_e4m3fn).float()
            active = active if self.exact_activations else rounded
        elif static or inputs["gemm1_weights"].dtype == torch.float32:
            active = quantised(active, 128 if blocks else 32, self.exact_activations)
        else:
            active = active.bfloat16().float()
        out = active @ self.weight("gemm2", e, inputs).T
        return out * inputs["output2_scales_scalar"][other] if scales else out


def quantised(x: Any, block: int, exact: bool) -> Any:
    """fp8 with a scale for each row and block."""
    if exact:
        return x
    parts = []
    for part in x.split(block, -1):
        scale = part.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 448
        if block == 32:
            scale = 2.0 ** scale.log2().ceil()
        parts.append((part / scale).to(torch.float8_e4m3fn).float() * scale)
    return torch.cat(parts, -1)
