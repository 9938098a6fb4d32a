"""Turns an evaluated model into a module tree, items of lists that are alike together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flashinfer_bench.models.evaluator.values import NOWHERE, Place
from flashinfer_bench.models.sglang.boundary import LeafNet
from flashinfer_bench.models.sglang.leaves import BLOCKS
from flashinfer_bench.models.sglang.tensors import Net, NetDict, NetList, Tensor
from flashinfer_bench.models.tree import ModuleNode, Weight

_PER_LAYER = frozenset({"layer_id", "prefix", "layer_name"})
"""Facts that differ between layers that are alike."""


_PLAIN = (int, float, str, bool, type(None))


@dataclass(frozen=True)
class ClassFacts:
    """What is known of a class of modules besides its nodes."""

    lineage: tuple[Place, ...]
    """Class statements in the order of method resolution, its own first."""
    attributes: Mapping[str, Any]
    """Plain ones of its first module."""


class TreeBuilder:
    """Builds one tree; remembers which modules and parameters it has seen."""

    def __init__(self) -> None:
        self._modules: set[int] = set()
        self._parameters: set[int] = set()
        self.classes: dict[Place, ClassFacts] = {}

    def node(self, name: str, module: Net, count: int = 1) -> ModuleNode:
        """The tree below a module that occurs `count` times."""
        shared = id(module) in self._modules
        self._modules.add(id(module))
        self._remember(module)
        children: Sequence[ModuleNode] = ()
        if not shared:
            named = [(it, inner) for it, inner in module.registry("_modules").items() if inner]
            inside = [self.node(key, inner) for key, inner in named if isinstance(inner, Net)]
            children = merged(inside) if _is_list(module) else inside
        node = ModuleNode(
            name,
            type(module).__name__,
            getattr(type(module), "__place__", NOWHERE),
            "layer" if isinstance(module, LeafNet) or not children else "block",
            _role(module),
            1,
            _facts(module),
            self._weights(module),
            children,
            shared=shared,
        )
        return _repeated(node, count)

    def _remember(self, module: Net) -> None:
        """Its class, with what the first module of that class holds."""
        place = getattr(type(module), "__place__", NOWHERE)
        if place not in self.classes:
            mro = [vars(it).get("__place__") for it in type(module).__mro__]
            plain = {key: it for key, it in vars(module).items() if isinstance(it, _PLAIN)}
            self.classes[place] = ClassFacts(tuple(it for it in mro if it is not None), plain)

    def outside(self, model: Net) -> list[ModuleNode]:
        """Leaf layers that a model keeps in a list or dictionary of its own, past its modules."""
        found: list[ModuleNode] = []
        for name, held in vars(model).items():
            listed = dict(enumerate(held)) if isinstance(held, (list, tuple)) else held
            if isinstance(listed, dict) and name not in Net._kinds:
                pairs = [(str(key), it) for key, it in listed.items() if isinstance(it, LeafNet)]
                nodes = [self.node(key, it) for key, it in pairs if id(it) not in self._modules]
                found += [replace(it, name=f"{name}.{it.name}") for it in merged(nodes)]
        return found

    def _weights(self, module: Net) -> list[Weight]:
        weights = []
        for name, value in module.registry("_parameters").items():
            if isinstance(value, Tensor):
                tied = id(value) in self._parameters
                self._parameters.add(id(value))
                dtype = value.dtype
                weights.append(Weight(name, value.known, dtype.name, dtype.itemsize, tied))
        return weights


def _facts(module: Net) -> dict[str, Any]:
    """What a leaf was told; of a class derived from a leaf's also which that is."""
    facts = dict(getattr(module, "facts", {}))
    place = getattr(type(module), "__place__", NOWHERE)
    for name in BLOCKS.get((place.file, type(module).__name__), ("", ()))[1]:
        facts[name] = vars(module).get(name)
    leaf = next((it for it in type(module).__mro__ if "leaf" in vars(it)), None)
    if leaf not in (None, type(module)):
        facts["layer_class"] = leaf.__name__
    return facts


def _role(module: Net) -> str | None:
    if isinstance(module, LeafNet):
        return module.leaf.kind
    place = getattr(type(module), "__place__", NOWHERE)
    return BLOCKS.get((place.file, type(module).__name__), (None, ()))[0]


def _is_list(module: Net) -> bool:
    return isinstance(module, (NetList, NetDict)) and "__evaluated__" not in vars(type(module))


def _repeated(node: ModuleNode, count: int) -> ModuleNode:
    if count == 1:
        return node
    inside = [_repeated(child, count) for child in node.children]
    return replace(node, count=node.count * count, children=inside)


def merged(items: Sequence[ModuleNode]) -> list[ModuleNode]:
    """Items of a list, those that are alike as one, in the order of their first ones."""
    groups: dict[Hashable, list[int]] = {}
    for at, node in enumerate(items):
        groups.setdefault(signature(node), []).append(at)
    return [
        replace(_repeated(items[places[0]], len(places)), items=tuple(places))
        for places in groups.values()
    ]


def signature(node: ModuleNode) -> Hashable:
    """Equal for modules that are alike: classes, facts, shapes and all inside."""
    facts = tuple((key, repr(it)) for key, it in node.facts.items() if key not in _PER_LAYER)
    weights = tuple((it.name, repr(it.shape), it.dtype, it.tied) for it in node.weights)
    inside = tuple((child.name, signature(child)) for child in node.children)
    shared = node.shared and bool(weights)  # rotary embeddings are shared, and hold nothing
    return (node.class_name, facts, weights, inside, len(node.items or ()), shared)


__all__ = ["ClassFacts", "TreeBuilder", "merged", "signature"]
