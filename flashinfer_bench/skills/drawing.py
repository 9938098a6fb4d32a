"""A model's record as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from flashinfer_bench.data.model import Model


def draw(model: Model) -> str:
    """Name and description, then the tree: what and how often, with definitions, or after a dot
    what has none yet."""
    lines = [model.name, f"  {model.description}" if model.description else ""]
    layout = model.layout
    if layout is not None:
        lines.append(f"  sizes of one rank at tp {layout.tp}, ep {layout.ep} on {layout.gpu}")
    return "\n".join([*filter(None, lines), "", *_rows(model, None, "")])


def _rows(model: Model, parent: str | None, indent: str) -> Iterator[str]:
    children = model.children(parent)
    for key in children:
        last = key == children[-1]
        branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        module = model.modules[key]
        count = f" ×{module.count}" if module.count != 1 else ""
        computes = f"  → {', '.join(module.definitions)}" if module.definitions else ""
        gap = f"  · {module.gap}" if module.gap else ""
        yield f"{indent}{branch}{model.label(key)}{count}{computes}{gap}"
        yield from _rows(model, key, indent + below)


__all__ = ["draw"]
