"""Every layer of a module tree with the definitions of what it computes, or the name of a gap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flashinfer_bench.models.definitions.families import FAMILIES, Around, Gap, Inside, Use
from flashinfer_bench.models.quantization import Quantization
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.tree import ModuleNode, output_size
from flashinfer_bench.ops.registry import format_name, operations

_BOTH = frozenset({"plain", "fused"})


@dataclass(frozen=True)
class LayerDefinition:
    """A definition of what a layer computes."""

    name: str
    """As the official dataset spells it, which leaves out epsilon, windows and bfloat16."""
    exact: str
    """With everything stated; the same where nothing is left out."""
    op_type: str
    when: str
    """In which forward passes; empty for all."""
    status: Literal["existing", "new"]
    """Whether the dataset at hand has it, under either name."""


@dataclass(frozen=True)
class MappedLayer:
    """A layer, and what is known of its computation."""

    path: str
    """Dotted, as in SGLang, items of a list by their first place."""
    node: ModuleNode
    definitions: tuple[LayerDefinition, ...] = ()
    gap: str | None = None
    """Name of what no operation computes yet."""
    inside: str | None = None
    """Path of the layer whose definition includes this one."""


def map_layers(
    root: ModuleNode,
    profile: ServingProfile,
    quantization: Quantization | None = None,
    *,
    existing: Collection[str] = (),
    norm_kinds: Mapping[str, frozenset[str]] | None = None,
) -> list[MappedLayer]:
    """All layers, in the order of the tree.

    `existing` are names of definitions that a dataset has. `norm_kinds` says for the path of a norm
    whether it is reached with a residual ("fused"), without ("plain") or both; where it is silent,
    both are given for norms of the model's width and plain for others.
    """
    vocab_size, width = output_size(root), _width(root)
    layers = []
    for path, node, parent in _layers(root):
        kinds = (norm_kinds or {}).get(path) or _usual_kinds(node, width)
        around = Around(path, parent, profile, quantization, kinds, vocab_size)
        found = FAMILIES.get(node.role, FAMILIES[None])(node, around)
        layers.append(_mapped(path, node, found, existing))
    return layers


def without_places(path: str) -> str:
    """A path without the places of lists, which are many for one definition."""
    return ".".join(part for part in path.split(".") if not part.isdigit())


def gaps_of(layers: Iterable[MappedLayer]) -> dict[str, list[str]]:
    """Gap -> the modules that have it, each once."""
    gaps: dict[str, dict[str, None]] = {}
    for it in layers:
        if it.gap is not None:
            gaps.setdefault(it.gap, {})[without_places(it.path)] = None
    return {gap: list(paths) for gap, paths in gaps.items()}


def _layers(root: ModuleNode) -> Iterator[tuple[str, ModuleNode, ModuleNode]]:
    """Path, node and parent of what computes: layers, and blocks that have a role."""
    parents = {"": root}
    for path, node in root.walk():
        parents[path] = node
        if path and (node.kind == "layer" or node.role is not None):
            yield path, node, parents[path.rpartition(".")[0]]


def _mapped(path: str, node: ModuleNode, found: Any, existing: Collection[str]) -> MappedLayer:
    if isinstance(found, Gap):
        return MappedLayer(path, node, gap=found.name)
    if isinstance(found, Inside):
        return MappedLayer(path, node, inside=found.path)
    unknown = [key for use in found for key, it in use.constants.items() if not _is_size(it)]
    if unknown:
        return MappedLayer(path, node, gap=f"{node.role} of unknown {', '.join(unknown)}")
    return MappedLayer(path, node, tuple(_definition(use, existing) for use in found))


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def _definition(use: Use, existing: Collection[str]) -> LayerDefinition:
    name = format_name(use.kind, use.constants)
    exact = format_name(use.exact_kind or use.kind, {**use.constants, **_needed(use)})
    op_type = next(it.op_type for it in operations() if it.kind == use.kind)
    known = name in existing or exact in existing
    return LayerDefinition(name, exact, op_type, use.when, "existing" if known else "new")


def _needed(use: Use) -> Mapping[str, Any]:
    """What the official name leaves out and does not mean anyway."""
    if "num_experts" not in use.beyond:
        return use.beyond
    from flashinfer_bench.ops.moe.interface import total_experts

    meant = total_experts(use.constants)
    return {} if meant == use.beyond["num_experts"] else use.beyond


def _usual_kinds(node: ModuleNode, width: Any) -> frozenset[str]:
    size = node.facts.get("hidden_size")
    return _BOTH if isinstance(size, int) and size == width else frozenset({"plain"})


def _width(root: ModuleNode) -> Any:
    sizes = (it.facts.get("embedding_dim") for _, it in root.walk() if it.role == "embedding")
    return next(sizes, None)


__all__ = ["LayerDefinition", "MappedLayer", "gaps_of", "map_layers", "without_places"]
