"""Which known models an unknown one is most like, and in what it differs.

Models are compared by outlines: kinds of layers with their shares, sizes, and SGLang's layers that
they are made of. Outlines of the known models lie in a file beside this one, which
`benchmarks/known_outlines.py` writes. They are of whole models, so compare trees of one rank.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flashinfer_bench.models.tree import ModuleNode, layer_runs

TABLE = Path(__file__).with_name("known_outlines.json")
_TITLES = {"layers": "layers", "hidden": "hidden size", "vocabulary": "vocabulary"}


@dataclass(frozen=True)
class Outline:
    """The shape of a model in a few numbers."""

    sizes: Mapping[str, int]
    """Of the whole: layers, hidden, vocabulary."""
    parts: Mapping[str, Mapping[str, Mapping[str, int]]]
    """Slot (attention, feed-forward) -> kind -> its sizes; `layers` says how many have it."""
    classes: tuple[str, ...]
    """SGLang's layers in a layer of the model, sorted."""


@dataclass(frozen=True)
class Likeness:
    """How alike a known model is."""

    model_id: str
    score: float
    """From 0 to 1 for the same outline."""
    differences: tuple[str, ...]
    """Readable lines, the compared tree first: `layers 61 instead of 48`."""


def closest_models(tree: ModuleNode, count: int = 3) -> list[Likeness]:
    """The known models that are most like a tree, best first; of equal ones the first by name."""
    wanted = outline(tree)
    scored = [
        Likeness(name, round(_score(wanted, other), 4), tuple(_differences(wanted, other)))
        for name, other in known_outlines().items()
    ]
    return sorted(scored, key=lambda it: (-it.score, it.model_id))[:count]


@cache
def known_outlines() -> dict[str, Outline]:
    """Model id -> outline, of the generated file."""
    models = json.loads(TABLE.read_text(encoding="utf-8"))["models"]
    return {
        name: Outline(it["sizes"], it["parts"], tuple(it["classes"])) for name, it in models.items()
    }


def outline(tree: ModuleNode) -> Outline:
    """Of a module tree; parts that are not known are left out."""
    runs = layer_runs(tree)
    parts: dict[str, dict[str, dict[str, int]]] = {"attention": {}, "feed-forward": {}}
    classes: set[str] = set()
    for run in runs:
        classes |= {_class(it) for _, it in run.node.walk() if it.role not in (None, "rope")}
        for slot, kind, sizes in _parts(run.node):
            known = parts[slot].setdefault(kind, {"layers": 0, **sizes})
            known["layers"] += run.count
    embeddings = [it for _, it in tree.walk() if it.role == "embedding"]
    sizes = {"layers": sum(run.count for run in runs)}
    for name, fact in (("hidden", "embedding_dim"), ("vocabulary", "num_embeddings")):
        found = embeddings[0].facts.get(fact) if embeddings else None
        sizes.update({name: found} if isinstance(found, int) else {})
    return Outline(sizes, parts, tuple(sorted(classes)))


def _class(node: ModuleNode) -> str:
    return str(node.facts.get("layer_class", node.class_name))


def _parts(layer: ModuleNode) -> list[tuple[str, str, dict[str, int]]]:
    """(slot, kind, sizes) of what a layer is made of."""
    nodes = [it for _, it in layer.walk()]
    found = [("attention", *it) for it in [_attention(nodes)] if it]
    linear = [it.facts for it in nodes if it.role == "linear attention"]
    found += [
        ("attention", "GDN", _ints(it, "h", "num_v_heads", "d", "head_v_dim")) for it in linear
    ]
    for node in nodes:
        if node.class_name.startswith("MambaMixer"):
            sizes = _ints(node.facts, "h", "num_heads", "state", "ssm_state_size")
            found.append(("attention", "Mamba", sizes))
    return [*found, *_feed_forward(layer, nodes)]


def _attention(nodes: list[ModuleNode]) -> tuple[str, dict[str, int]] | None:
    """A latent is one KV head that is wider as a key than as a value."""
    facts = [it.facts for it in nodes if it.role == "attention"]
    for it in facts:
        wide, narrow = it.get("qk_head_dim"), it.get("v_head_dim")
        known = isinstance(wide, int) and isinstance(narrow, int)
        if it.get("tp_k_head_num") == 1 and known and wide > narrow:  # type: ignore[operator]
            return "MLA", _ints(it, "h", "tp_q_head_num", "ckv", "v_head_dim")
    names = ("h", "tp_q_head_num", "kv", "tp_k_head_num", "d", "qk_head_dim")
    return ("GQA", _ints(facts[0], *names)) if facts else None


def _feed_forward(
    layer: ModuleNode, nodes: list[ModuleNode]
) -> list[tuple[str, str, dict[str, int]]]:
    for node in nodes:
        if node.role == "experts":
            names = ("experts", "num_experts", "top", "top_k", "width", "intermediate_size")
            return [("feed-forward", "MoE", _ints(node.facts, *names))]
    for node in nodes:
        inside = [it for it in node.children if it.facts.get("parallel") == "row"]
        mixes = any(it.role in ("attention", "linear attention") for it in node.children)
        if inside and not mixes and not node.class_name.startswith("MambaMixer"):
            sizes = _ints(inside[0].facts, "width", "input_size")
            return [("feed-forward", "dense MLP", sizes)]
    return []


def _ints(facts: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Ours and SGLang's name in turns -> the sizes that are known."""
    pairs = zip(names[::2], names[1::2])
    return {ours: facts[theirs] for ours, theirs in pairs if isinstance(facts.get(theirs), int)}


def _score(one: Outline, other: Outline) -> float:
    """Kinds count for half, sizes for three tenths, layers that are used for two tenths."""
    mine, theirs = _shares(one), _shares(other)
    kinds = (mine & theirs).total() / max(mine.total(), theirs.total(), 1)
    left, right = _flat(one), _flat(other)
    ratios = [
        min(left[key], right[key]) / max(left[key], right[key], 1) if key in right else 0.0
        for key in left
    ]
    sizes = sum(ratios) / len(left.keys() | right.keys()) if left or right else 0.0
    together = len(set(one.classes) | set(other.classes))
    classes = len(set(one.classes) & set(other.classes)) / together if together else 0.0
    return 0.5 * kinds + 0.3 * sizes + 0.2 * classes


def _shares(outline: Outline) -> Counter[str]:
    """Kind -> how many of a thousand layers have it."""
    layers = max(outline.sizes.get("layers", 0), 1)
    return Counter(
        {
            kind: 1000 * sizes["layers"] // layers
            for kinds in outline.parts.values()
            for kind, sizes in kinds.items()
        }
    )


def _flat(outline: Outline) -> dict[str, int]:
    inner = {
        f"{kind} {name}": size
        for kinds in outline.parts.values()
        for kind, sizes in kinds.items()
        for name, size in sizes.items()
        if name != "layers"
    }
    return {**outline.sizes, **inner}


def _differences(one: Outline, other: Outline) -> list[str]:
    lines = []
    for name, title in _TITLES.items():
        mine, theirs = one.sizes.get(name), other.sizes.get(name)
        if mine != theirs and mine is not None and theirs is not None:
            lines.append(f"{title} {mine} instead of {theirs}")
    for slot, title in (("attention", "attention: "), ("feed-forward", "")):
        mine_said, theirs_said = (_said(it.parts[slot]) for it in (one, other))
        if mine_said != theirs_said:
            lines.append(f"{title}{mine_said} instead of {theirs_said}")
    return lines


def _said(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """E.g. `MLA h128 ckv512` or `MoE 256 experts top 8 width 2048 and dense MLP 18432`."""
    return " and ".join(_kind(kind, sizes) for kind, sizes in kinds.items()) or "none"


def _kind(kind: str, sizes: Mapping[str, int]) -> str:
    if kind == "MoE":
        shown = [f"{sizes['experts']} experts"] if "experts" in sizes else []
        shown += [f"{name} {sizes[name]}" for name in ("top", "width") if name in sizes]
        return " ".join([kind, *shown])
    if kind == "dense MLP":
        return " ".join([kind, *(str(sizes[it]) for it in ("width",) if it in sizes)])
    return " ".join([kind, *(f"{name}{it}" for name, it in sizes.items() if name != "layers")])


__all__ = ["Likeness", "Outline", "closest_models", "known_outlines", "outline"]
