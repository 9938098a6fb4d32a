"""Makes the nodes of a tree from what SGLang's own layers are told, by the same leaf makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from flashinfer_bench.models.evaluator.values import NOWHERE
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.dtypes import DTYPES
from flashinfer_bench.models.sglang.leaves import LEAF_FUNCTIONS, LEAVES, Leaf, Made
from flashinfer_bench.models.tree import ModuleNode, Weight

_LEAVES: dict[str, Leaf] = {name.rpartition(".")[2]: leaf for name, leaf in LEAVES.items()}
_ROPE_CLASS, _ROPE = next(iter(LEAF_FUNCTIONS.values()))
VOCABULARY_PADDING = 64
"""SGLang's embeddings have a multiple of so many rows."""


class Layers:
    """Layers of one model on one rank."""

    def __init__(self, profile: ServingProfile, dtype: str) -> None:
        self.profile, self.dtype = profile, dtype
        self.parallel = SimpleNamespace(
            tp_size=profile.tp,
            attn_tp_size=profile.tp,
            moe_ep_size=profile.ep,
            moe_tp_size=profile.moe_tp_size,
            fused_shared_experts=0,
        )

    def layer(self, name: str, class_name: str, /, **arguments: Any) -> ModuleNode:
        """A layer of `sglang.srt.layers`, of its constructor's arguments."""
        leaf = _LEAVES[class_name]
        made = leaf.make(SimpleNamespace(**arguments), self.parallel)
        return self.leaf(name, class_name, leaf.kind, made)

    def rope(self, name: str, **arguments: Any) -> ModuleNode:
        made = _ROPE.make(SimpleNamespace(is_neox_style=True, **arguments), self.parallel)
        return self.leaf(name, _ROPE_CLASS, _ROPE.kind, made)

    def leaf(self, name: str, class_name: str, role: str | None, made: Made) -> ModuleNode:
        weights = [
            self.weight(key, shape, made.dtypes.get(key))
            for key, shape in made.weights.items()
            if shape is not None
        ]
        return ModuleNode(name, class_name, NOWHERE, "layer", role, 1, made.facts, weights)

    def weight(self, name: str, shape: tuple[int, ...], dtype: str | None = None) -> Weight:
        dtype = dtype or self.dtype
        return Weight(name, shape, dtype, DTYPES[dtype].itemsize)

    def linear(self, name: str, inputs: int, outputs: int, kind: str = "column") -> ModuleNode:
        """Without bias; `kind` is column, row or replicated."""
        class_name = "ReplicatedLinear" if kind == "replicated" else f"{kind.title()}ParallelLinear"
        return self.layer(name, class_name, input_size=inputs, output_size=outputs, bias=False)

    def merged(self, name: str, inputs: int, outputs: Sequence[int], bias: bool) -> ModuleNode:
        """Several column-parallel projections of one input."""
        sizes = {"input_size": inputs, "output_sizes": list(outputs)}
        return self.layer(name, "MergedColumnParallelLinear", bias=bias, **sizes)

    def plain(self, name: str, class_name: str, **weights: tuple[int, ...]) -> ModuleNode:
        """A layer outside SGLang's tables, of its weights."""
        return self.leaf(name, class_name, None, Made(weights, {}))


def block(
    name: str,
    class_name: str,
    children: Sequence[ModuleNode],
    *,
    role: str | None = None,
    facts: Mapping[str, Any] | None = None,
    weights: Sequence[Weight] = (),
) -> ModuleNode:
    """A module with modules inside."""
    return ModuleNode(
        name, class_name, NOWHERE, "block", role, 1, facts or {}, weights, list(children)
    )


__all__ = ["VOCABULARY_PADDING", "Layers", "block"]
