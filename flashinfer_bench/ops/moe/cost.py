"""The least work of mixture-of-experts layers."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from flashinfer_bench.ops.contract import Constants, Cost, Interface, Lengths
from flashinfer_bench.ops.moe.interface import total_experts

_BYTES = {"float32": 4, "int32": 4, "bfloat16": 2, "float8_e4m3fn": 1}


def moe_cost(interface: Callable[[Constants], Interface]) -> Callable[[Constants, Lengths], Cost]:
    """Work of tokens that all choose the same experts, and those of other ranks first.

    Six operations for each element of gemm2 and token, and one for each logit.
    """

    def cost(constants: Constants, lengths: Lengths) -> Cost:
        stated, chosen = interface(constants), least_experts(constants)
        axes = {**stated.axes, **lengths}
        local = constants.get("num_local_experts") or constants["num_experts"]
        moved = logits = 0
        for name, spec in {**stated.inputs, **stated.outputs}.items():
            if spec.axes is None:
                continue
            elements = prod(axes[axis] or 0 for axis in spec.axes)
            if name.startswith("gemm"):
                elements = elements * chosen // local
            elif name.startswith("hidden") and not chosen:
                elements = 0
            elif name == "routing_logits":
                logits = elements
            moved += elements * _BYTES[spec.dtype]
        products = constants["hidden_size"] * constants["intermediate_size"]
        return Cost(moved, 6 * lengths["seq_len"] * chosen * products + logits)

    return cost


def least_experts(constants: Constants) -> int:
    """Local experts that each token has at least."""
    if "n_group" not in constants:
        return constants["top_k"]
    elsewhere = total_experts(constants) - constants["num_local_experts"]
    return max(0, constants["top_k"] - elsewhere)


__all__ = ["least_experts", "moe_cost"]
