"""What is known of a model, as JSON can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashinfer_bench.models.definitions.mapping import MappedLayer
from flashinfer_bench.models.tree import ModuleNode

if TYPE_CHECKING:
    from flashinfer_bench.models.extraction import ExtractedModel
    from flashinfer_bench.models.sglang.kernels import KernelCall


def doubts_of(model: ExtractedModel) -> list[str]:
    unknown = [
        f"unknown: {path}: {what}" for path, it in model.tree.root.walk() for what in it.unknown
    ]
    return [
        *unknown,
        *(f"doubt: {it.reason} ({it.place}): {it.effect}" for it in model.tree.doubts),
    ]


def model_as_json(model: ExtractedModel) -> dict[str, Any]:
    profile = model.serving.profile
    return {
        "model_id": model.hub.model_id,
        "source": {"config": model.hub.source, "place": model.hub.place},
        "revision": model.hub.revision,
        "sglang": model.sglang.version if model.sglang else None,
        "route": vars(model.route),
        "architecture": model.tree.architecture.name,
        "serving": {**vars(profile), "reason": model.serving.reason},
        "parameters": model.tree.parameters,
        "weight_bytes": round(model.weight_bytes),
        "notes": model.notes,
        "doubts": doubts_of(model),
        "closest": [vars(it) for it in model.closest],
        "tree": node_as_json(model.tree.root),
        "outside": [node_as_json(node) for node in model.tree.outside],
    }


def node_as_json(node: ModuleNode) -> dict[str, Any]:
    found: dict[str, Any] = {
        **{"name": node.name, "class": node.class_name, "kind": node.kind, "role": node.role},
        **{"count": node.count, "place": str(node.place), "parameters": node.parameters},
        **{"flops_per_token": node.flops_per_token},
        "flops_per_token_and_key": node.flops_per_token_and_key,
    }
    if node.items:
        found["items"] = list(node.items)
    if node.facts:
        found["facts"] = {key: _plain(it) for key, it in node.facts.items()}
    if node.weights:
        found["weights"] = [
            {"name": it.name, "shape": [_plain(size) for size in it.shape or ()], "dtype": it.dtype}
            for it in node.weights
        ]
    if node.shared:
        found["shared"] = True
    return {**found, "children": [node_as_json(child) for child in node.children]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def layers_as_json(layers: list[MappedLayer]) -> list[dict[str, Any]]:
    """Each layer with its definitions, or the gap or the other layer that stands for them."""
    rows = []
    for layer in layers:
        row: dict[str, Any] = {
            **{"module": layer.path, "class": layer.node.class_name, "role": layer.node.role},
            **{"count": layer.node.count, "place": str(layer.node.place)},
            "definitions": [vars(it) for it in layer.definitions],
        }
        if layer.gap is not None:
            row["gap"] = layer.gap
        if layer.inside is not None:
            row["inside"] = layer.inside
        rows.append(row)
    return rows


def kernel_calls_as_json(calls: list[KernelCall]) -> list[dict[str, Any]]:
    """Each call with its place as file:line."""
    return [
        {
            **vars(it),
            "place": str(it.place),
            "called_from": str(it.called_from) if it.called_from else None,
        }
        for it in calls
    ]


def implementation_as_json(model: ExtractedModel, calls: list[KernelCall]) -> dict[str, Any]:
    """Where SGLang implements a model: its entry, the classes of its modules, and its kernels."""
    modules = [(path, node) for path, node in model.tree.root.walk() if node.place.line]
    classes: dict[str, dict[str, Any]] = {}
    for path, node in modules:
        place = str(node.place)
        found: dict[str, Any] = {
            "class": node.class_name,
            "place": place,
            "role": node.role,
            "modules": [],
        }
        classes.setdefault(f"{node.class_name} {place}", found)["modules"].append(path)
    entry = model.tree.architecture
    return {
        "model_id": model.hub.model_id,
        "sglang": model.sglang.version if model.sglang else None,
        "route": vars(model.route),
        "architecture": entry.name,
        "entry": f"{entry.file}:{entry.line}",
        "files": sorted({node.place.file for _, node in modules}),
        "classes": list(classes.values()),
        "kernels": sorted({it.kernel for it in calls}),
        "flashinfer": sorted({it.flashinfer for it in calls if it.flashinfer}),
        "calls": kernel_calls_as_json(calls),
    }


__all__ = [
    "doubts_of",
    "implementation_as_json",
    "kernel_calls_as_json",
    "layers_as_json",
    "model_as_json",
    "node_as_json",
]
