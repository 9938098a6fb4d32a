"""A model's record: its tree as modules with counts and definitions, repetitions merged.

Layers that are alike are one module with the number of all of them. Of a list with several kinds
of layers, what they share is one module, and what differs stands side by side under names of its
own, such as `mlp_dense` and `mlp_moe`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.data.model import Layout, Model, Module, Origin
from flashinfer_bench.models.definitions.mapping import MappedLayer
from flashinfer_bench.models.extraction import ExtractedModel
from flashinfer_bench.models.known import without_edition
from flashinfer_bench.models.tree import ModuleNode, is_latent, layer_runs


@dataclass
class Part:
    """A module of the record, before it has a key."""

    name: str
    node: ModuleNode
    count: int
    layer: MappedLayer | None
    children: list[Part] = field(default_factory=list)
    first: int | None = None
    """Place of the first layer of the list that it stands in."""

    @property
    def signature(self) -> Any:
        """What parts have in common that are merged."""
        weights = tuple((it.name, it.shape, it.dtype) for it in self.node.weights)
        exact = tuple(it.exact for it in self.layer.definitions) if self.layer else ()
        gap = self.layer.gap if self.layer else None
        inside = tuple((it.name, it.signature) for it in self.children)
        return self.node.class_name, repr(weights), exact, gap, inside

    def roles(self) -> set[str]:
        """Of all layers inside."""
        own = {self.node.role} if self.node.role else set()
        return own.union(*(it.roles() for it in self.children))


def model_record(
    model: ExtractedModel,
    layers: Sequence[MappedLayer],
    *,
    model_id: str | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Model:
    """The record of an extracted model; id, name and description derive from it where not stated.

    Counts are those of the whole model; sizes in names of definitions and `parameters` of modules
    are those of one rank.
    """
    by_path = {it.path: it for it in layers}
    top = [_part(it, it.name, by_path) for it in model.tree.root.children]
    top += [_part(it, it.name, by_path) for it in model.tree.outside]
    profile, root = model.serving.profile, model.tree.root
    repository = model.hub.model_id if model.hub.source != "file" else None
    chosen = model_id or short_id(model.hub.model_id)
    total = model.total_parameters()
    return Model(
        id=chosen,
        name=name or display_name(chosen, model.hub.model_id),
        description=description or describe(model, total),
        hf_repo_id=repository,
        architecture=model.tree.architecture.name,
        parameters=total,
        weight_bytes=round(model.weight_bytes),
        flops_per_token=root.flops_per_token,
        layout=Layout(
            **{"gpu": profile.gpu, "tp": profile.tp, "ep": profile.ep},
            attention_backend=profile.attention_backend,
            page_size=profile.page_size,
        ),
        origin=Origin(
            config=model.hub.source,
            revision=model.hub.revision,
            sglang=model.sglang.version if model.sglang else None,
            **{"route": model.route.source, "confidence": model.route.confidence},
        ),
        modules=_modules(top),
    )


def short_id(repository: str) -> str:
    """Id of a repository or file name: lower case, words joined by hyphens, without editions."""
    last = repository.rpartition("/")[2].rpartition("__")[2]
    return without_edition(plain_id(last)) or "model"


def plain_id(name: str) -> str:
    """A name in lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def display_name(model_id: str, repository: str) -> str:
    """Words of the id, spelled as the repository spells them; of a lower-case one the id itself."""
    if repository.rpartition("/")[2].islower():
        return model_id
    spelled = {it.lower(): it for it in re.split(r"[-_/ ]+", repository)}
    words = (spelled.get(it, it[:1].upper() + it[1:]) for it in model_id.split("-") if it)
    return " ".join(words)


def describe(model: ExtractedModel, total: int | None) -> str:
    """One sentence of layers, experts, attention, parameters and precision."""
    runs = layer_runs(model.tree.root)
    count = sum(it.count for it in runs)
    nodes = [node for it in runs for _, node in it.node.walk()]
    kinds = [_attention(it) for it in nodes if it.role in ("attention", "linear attention")]
    kinds += ["state space" for it in nodes if it.role == "state space"]
    if "multi-head latent attention" in kinds:
        kinds = [it for it in kinds if it != "attention"]  # its other way, for long prompts
    dense = sum(it.count for it in runs if not _experts(it.node))
    experts = next((it for run in runs if (it := _experts(run.node))), None)
    parts = [f"{count} layers"] if count else []
    if experts:
        split = f"{dense} dense and {count - dense}" if dense else "all"
        parts[:1] = [f"{count} layers ({split} with {experts} experts)"]
    parts += [" and ".join(dict.fromkeys(kinds))] if kinds else []
    parts += (
        [f"{total / 1e9:.1f}B parameters" if total >= 1e9 else f"{total / 1e6:.0f}M parameters"]
        if total
        else []
    )
    parts += [f"{model.quantization.method} weights"] if model.quantization else []
    return ", ".join(parts)


def _attention(node: ModuleNode) -> str:
    if node.role == "linear attention":
        return "linear attention"
    if is_latent(node):
        return "multi-head latent attention"
    window = node.facts.get("sliding_window_size")
    if isinstance(window, int) and window > 0:
        return f"attention within {window + 1} tokens"
    return "attention"


def _experts(node: ModuleNode) -> int | None:
    """Routed experts of the first layer that has some."""
    for _, it in node.walk():
        if it.role == "experts" and isinstance(it.facts.get("num_experts"), int):
            return int(it.facts["num_experts"]) - (it.facts.get("num_fused_shared_experts") or 0)
    return None


def _part(node: ModuleNode, path: str, layers: Mapping[str, MappedLayer]) -> Part:
    runs = [it for it in node.children if it.items]
    found = Part(node.name, node, node.count, layers.get(path))
    if not runs:
        found.children = [_part(it, f"{path}.{it.name}", layers) for it in node.children]
        return found
    parts = [_part(it, f"{path}.{it.name}", layers) for it in runs]
    for part, run in zip(parts, runs):
        _number(part, run.items[0] if run.items else 0)
    found.count = sum(it.count for it in parts)
    classes = {it.node.class_name for it in parts}
    found.node = parts[0].node if len(classes) == 1 else node
    found.layer = parts[0].layer if len(parts) == 1 else None
    found.children = _merged([it.children for it in parts])
    if any(not it.children for it in parts) and len(parts) > 1:
        found.children = _side_by_side(parts)
    return found


def _number(part: Part, first: int) -> None:
    part.first = first
    for it in part.children:
        _number(it, first)


def _merged(lists: Sequence[Sequence[Part]]) -> list[Part]:
    """Children of modules that stand for one: those of one name together."""
    by_name: dict[str, list[Part]] = {}
    for parts in lists:
        for part in parts:
            by_name.setdefault(part.name, []).append(part)
    return [it for same in by_name.values() for it in _together(same)]


def _together(parts: list[Part]) -> list[Part]:
    """Parts of one name: one where they are alike, one with parts inside where their class is."""
    alike: dict[Any, Part] = {}
    for part in parts:
        known = alike.setdefault(part.signature, part)
        if known is not part:
            _add(known, part)
    left = list(alike.values())
    if len(left) == 1:
        return left
    if len({it.node.class_name for it in left}) == 1 and all(it.children for it in left):
        children = _merged([it.children for it in left])
        count = sum(it.count for it in left)
        return [Part(left[0].name, left[0].node, count, None, children, left[0].first)]
    return _side_by_side(left)


def _add(known: Part, part: Part) -> None:
    known.count += part.count
    for one, other in zip(known.children, part.children):
        _add(one, other)


def _side_by_side(parts: list[Part]) -> list[Part]:
    """Each under a name that says what it is, the first layer's place where nothing else does."""
    names = [_telling(it, parts) for it in parts]
    repeated = {name for name, times in Counter(names).items() if times > 1}
    for part, name in zip(parts, names):
        place = "" if part.first is None else f"_{part.first}"
        part.name = f"{part.name}{place}" if name in repeated else name
    return parts


def _telling(part: Part, parts: Sequence[Part]) -> str:
    with_experts = [it for it in parts if "experts" in it.roles()]
    if 0 < len(with_experts) < len(parts):
        return f"{part.name}_{'moe' if part in with_experts else 'dense'}"
    windows = [it.node.facts.get("sliding_window_size") for it in parts]
    if part.node.role == "attention" and len(set(map(repr, windows))) > 1:
        own = part.node.facts.get("sliding_window_size")
        return f"{part.name}_{'sliding' if isinstance(own, int) and own > 0 else 'full'}"
    return part.name


def _modules(top: list[Part]) -> dict[str, Module]:
    names = Counter(it.name for part in top for it in _walk(part))
    found: dict[str, Module] = {}

    def put(part: Part, parent: str | None) -> None:
        key = part.name
        if names[part.name] > 1 and parent is not None:
            key = f"{parent}.{part.name}"
        found[key] = _module(part, parent)
        for child in part.children:
            put(child, key)

    for part in top:
        put(part, None)
    return found


def _walk(part: Part) -> Iterator[Part]:
    yield part
    for it in part.children:
        yield from _walk(it)


def _module(part: Part, parent: str | None) -> Module:
    layer, node = part.layer, part.node
    definitions = list(dict.fromkeys(it.name for it in layer.definitions)) if layer else []
    mixed = layer is None and not part.children and node.children
    return Module(
        **{"count": part.count, "parent": parent, "type": "block" if part.children else "layer"},
        definitions=definitions or None,
        class_name=None if node.class_name == part.name else node.class_name,
        place=str(node.place) if node.place.line else None,
        parameters=None if mixed else node.parameters,
        gap=layer.gap if layer else None,
    )


__all__ = ["describe", "display_name", "model_record", "plain_id", "short_id"]
