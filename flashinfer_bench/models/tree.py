"""The module tree of a model: what it is made of, how often, and how large each part is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flashinfer_bench.models.evaluator.values import Place, is_unknown


@dataclass(frozen=True)
class Weight:
    """A parameter on one rank."""

    name: str
    shape: tuple[Any, ...] | None
    """Sizes may be Unknown; None where nothing of the shape is known."""
    dtype: str
    itemsize: float
    """Bytes of an element."""
    tied: bool = False
    """Whether another module, earlier in the tree, holds the same one."""

    @property
    def is_known(self) -> bool:
        return self.shape is not None and not any(is_unknown(size) for size in self.shape)

    @property
    def elements(self) -> int:
        """0 where the shape is unknown or the weight is another module's."""
        if self.tied or self.shape is None or not self.is_known:
            return 0
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModuleNode:
    """A module, all its repetitions that are alike together."""

    name: str
    """Attribute of its parent, as SGLang calls it; of an item of a list its place there."""
    class_name: str
    place: Place
    """Of the class statement; of a layer of torch itself `?`."""
    kind: Literal["block", "layer"]
    """A block has modules inside, a layer computes."""
    role: str | None
    """What a known layer is: linear, norm, attention, experts, …; None for others."""
    count: int
    """How often it occurs in the whole model."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its constructor was told, under SGLang's names, sizes per rank."""
    weights: Sequence[Weight] = ()
    """Its own, without those of modules inside."""
    children: Sequence[ModuleNode] = ()
    items: tuple[int, ...] | None = None
    """Places in the list of modules that this one stands for, e.g. layers (3, 4, … 60)."""
    shared: bool = False
    """Whether it is a module that occurs earlier in the tree, as a tied output projection is."""

    def walk(self, path: str = "") -> Iterator[tuple[str, ModuleNode]]:
        """Itself and all inside, with dotted paths."""
        yield path, self
        for child in self.children:
            yield from child.walk(f"{path}.{child.name}" if path else child.name)

    @property
    def parameters(self) -> int:
        """Of one occurrence with all inside, on one rank."""
        own = sum(weight.elements for weight in self.weights)
        return own + sum(it.parameters * it.count // self.count for it in self.children)

    @property
    def bytes(self) -> float:
        """Of one occurrence's parameters with all inside, on one rank."""
        own = sum(weight.elements * weight.itemsize for weight in self.weights)
        return own + sum(it.bytes * it.count / self.count for it in self.children)

    @property
    def flops_per_token(self) -> float:
        """Of one occurrence's matrix products for one token on one rank, attention scores apart.

        Experts count as often as tokens choose them, evenly over ranks.
        """
        return self._flops_per_token(None)

    def _flops_per_token(self, chosen: Any) -> float:
        """`chosen` are experts of each token, as the layer beside them says that routes."""
        routing = (it.facts.get("top_k") for it in self.children if it.role == "routing")
        routed = next(routing, None)
        parts = (it._flops_per_token(routed) * it.count / self.count for it in self.children)
        return _own_flops(self, chosen) + sum(parts)

    @property
    def flops_per_token_and_key(self) -> float:
        """Of one occurrence's attention, for one query token and one key, on one rank."""
        own = 0.0
        if self.role == "attention":
            heads, widths = self.facts["tp_q_head_num"], ("qk_head_dim", "v_head_dim")
            sizes = [heads, *(self.facts[name] for name in widths)]
            if all(isinstance(size, int) for size in sizes):
                own = 2.0 * heads * (sizes[1] + sizes[2])
        inside = sum(it.flops_per_token_and_key * it.count / self.count for it in self.children)
        return own + inside

    @property
    def unknown(self) -> list[str]:
        """What is not known of it, modules inside apart."""
        facts = [f"{name}: {it.reason}" for name, it in self.facts.items() if is_unknown(it)]
        weights = [f"{it.name}: shape {it.shape}" for it in self.weights if not it.is_known]
        return [*facts, *weights]


def _own_flops(node: ModuleNode, routed: Any) -> float:
    by_name = {it.name: math.prod(it.shape) for it in node.weights if it.is_known and it.shape}
    if node.role == "experts":
        local, total = node.facts["num_local_experts"], node.facts["num_experts"]
        chosen = routed if node.facts["top_k"] is None else node.facts["top_k"]
        if not all(isinstance(it, int) and it for it in (local, chosen, total)):
            return 0.0
        weights = by_name.get("w13_weight", 0) + by_name.get("w2_weight", 0)
        return float(2.0 * weights * chosen / total)
    if node.role == "embedding":
        projects = "with_bias" in node.facts or node.shared  # as an output projection does
        return 2.0 * by_name.get("weight", 0) if projects else 0.0
    if node.role == "norm" or node.class_name == "Embedding":
        return 0.0
    shapes = [it.shape for it in node.weights if it.shape and it.is_known]
    return float(2 * sum(math.prod(shape) for shape in shapes if len(shape) == 2))


@dataclass(frozen=True)
class LayerRun:
    """Consecutive items of the main list of layers that are alike."""

    count: int
    class_name: str
    node: ModuleNode


def output_size(root: ModuleNode) -> int | None:
    """Words of the vocabulary, without padding where that is known."""
    sizes = [it.facts.get("org_vocab_size") for _, it in root.walk() if it.role == "embedding"]
    if not sizes:
        named = [node for _, node in root.walk() if node.name in ("lm_head", "embed_tokens")]
        sizes = [it.shape[0] for node in named for it in node.weights if it.shape and it.is_known]
    known = [it for it in sizes if isinstance(it, int)]
    return known[-1] if known else None


def is_latent(node: ModuleNode) -> bool:
    """Whether attention is computed on a compressed key and value, of one head for all."""
    facts = node.facts
    return bool(facts["tp_k_head_num"] == 1 and facts["head_dim"] != facts["v_head_dim"])


def decay_rule(node: ModuleNode, parent: ModuleNode) -> str:
    """Of linear attention: `gdn` has one decay a head, `kda` one a channel, `lightning` none that
    is learnt."""
    sizes = {it.name: it.elements for it in parent.weights if it.name in ("A_log", "dt_bias")}
    if not sizes:
        return "lightning"
    same = set(sizes.values()) == {node.facts["num_v_heads"]} and len(sizes) == 2
    return "gdn" if same else "kda"


def main_list(root: ModuleNode) -> ModuleNode | None:
    """The list of modules that holds most of the parameters; None where there is none."""
    lists = [node for _, node in root.walk() if any(it.items for it in node.children)]
    return max(lists, key=lambda it: it.parameters, default=None)


def layer_runs(root: ModuleNode) -> list[LayerRun]:
    """Of the main list, e.g. 3 dense and 58 sparse layers."""
    layers = main_list(root)
    if layers is None:
        return []
    order = sorted((at, node) for node in layers.children for at in node.items or ())
    runs: list[LayerRun] = []
    for _, node in order:
        if runs and runs[-1].node is node:
            runs[-1] = LayerRun(runs[-1].count + 1, node.class_name, node)
        else:
            runs.append(LayerRun(1, node.class_name, node))
    return runs


__all__ = [
    "LayerRun",
    "ModuleNode",
    "Weight",
    "decay_rule",
    "is_latent",
    "layer_runs",
    "main_list",
    "output_size",
]
