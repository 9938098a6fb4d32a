"""A model's analysis: as JSON, and as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flashinfer_bench.data.model import Model
from flashinfer_bench.models.as_json import doubts_of
from flashinfer_bench.models.definitions.mapping import MappedLayer, gaps_of, without_places
from flashinfer_bench.models.definitions.nearest import advise
from flashinfer_bench.models.extraction import ExtractedModel
from flashinfer_bench.models.sglang.kernels import KernelCall
from flashinfer_bench.models.tree import layer_runs
from flashinfer_bench.skills.drawing import draw


def analysis_of(
    model: ExtractedModel,
    layers: Sequence[MappedLayer],
    record: Model,
    calls: Sequence[KernelCall],
) -> dict[str, Any]:
    """What the model is, how it is served, its layers, kernels and definitions."""
    runs = [[it.count, it.class_name] for it in layer_runs(model.tree.root)]
    return {
        **{"model_id": record.id, "name": record.name, "description": record.description},
        **{"hf_repo_id": record.hf_repo_id, "architecture": record.architecture},
        **{"parameters": record.parameters, "weight_bytes_per_rank": record.weight_bytes},
        "flops_per_token_per_rank": record.flops_per_token,
        "quantization": vars(model.quantization) if model.quantization else None,
        "serving": {**vars(model.serving.profile), "reason": model.serving.reason},
        "route": vars(model.route),
        "num_layers": sum(count for count, _ in runs),
        "layer_runs": runs,
        "definitions": list(_definitions(layers)),
        "gaps": gaps_of(layers),
        "flashinfer_calls": _calls(calls),
        "closest_models": [vars(it) for it in model.closest],
        **{"warnings": list(model.serving.warnings), "notes": model.notes},
        "doubts": doubts_of(model),
        "model": record.model_dump(exclude_none=True),
    }


def _definitions(layers: Sequence[MappedLayer]) -> Iterator[dict[str, Any]]:
    """Each once: who calls it, whether it exists, and the nearest one where it does not."""
    rows: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for it in layer.definitions:
            row = rows.setdefault(it.name, {**vars(it), "modules": [], "count": 0})
            row["modules"].append(layer.path)
            row["count"] += layer.node.count
    existing = [name for name, row in rows.items() if row["status"] == "existing"]
    for name, row in rows.items():
        if row["status"] == "new":
            advice = advise(name, row["op_type"], existing)
            row.update(nearest=advice.nearest, differences=advice.differences)
        yield row


def _calls(calls: Sequence[KernelCall]) -> list[dict[str, Any]]:
    """APIs of FlashInfer that modules reach, with the modules."""
    found: dict[str, list[str]] = {}
    for it in calls:
        if it.flashinfer:
            modules = found.setdefault(it.flashinfer, [])
            modules += [] if it.module in modules else [it.module]
    return [{"api": api, "modules": modules} for api, modules in sorted(found.items())]


def report_of(analysis: Mapping[str, Any], record: Model) -> str:
    """The page, in Markdown."""
    rows = analysis["definitions"]
    existing = [it for it in rows if it["status"] == "existing"]
    new = [it for it in rows if it["status"] == "new"]
    parts = [
        f"# {record.name}",
        f"{record.description}.",
        _facts(analysis),
        "## Tree",
        f"```text\n{draw(record)}\n```",
        f"## Definitions: {len(existing)} exist, {len(new)} are new, "
        f"{len(analysis['gaps'])} operations have none yet",
        _table(("definition", "status", "when", "modules"), map(_definition_row, rows)),
        *_new_section(new),
        *_gap_section(analysis["gaps"]),
        *_kernel_section(analysis["flashinfer_calls"]),
        *_list_section("Warnings", [*analysis["warnings"], *analysis["doubts"]]),
        *_list_section("Notes", analysis["notes"]),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(analysis: Mapping[str, Any]) -> str:
    serving, route = analysis["serving"], analysis["route"]
    runs = ", ".join(f"{count} × {name}" for count, name in analysis["layer_runs"])
    total = analysis["parameters"]
    rows = [
        ("repository", analysis["hf_repo_id"] or "local file"),
        ("architecture", analysis["architecture"]),
        ("layers", f"{analysis['num_layers']}: {runs}"),
        ("parameters", f"{total:,}" if total else "unknown"),
        ("weights of a rank", f"{(analysis['weight_bytes_per_rank'] or 0) / 1e9:.1f} GB"),
        ("served", f"{serving['gpu']}: {serving['reason']}"),
        ("source of the tree", f"{route['source']}, {route['confidence']}: {route['reason']}"),
    ]
    return _table(("", ""), rows)


def _definition_row(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    modules = list(dict.fromkeys(without_places(it) for it in row["modules"]))
    return f"`{row['name']}`", row["status"], row["when"], ", ".join(modules)


def _new_section(new: Sequence[Mapping[str, Any]]) -> list[str]:
    if not new:
        return []
    lines = [f"- `flashinfer-bench definition {it['name']}`{_nearest(it)}" for it in new]
    told = "`--write-definitions` writes all of them into the dataset. One at a time:"
    return ["### New ones", told, "\n".join(lines)]


def _nearest(row: Mapping[str, Any]) -> str:
    if not row.get("nearest"):
        return ""
    return f": nearest is `{row['nearest']}` ({', '.join(row['differences'])})"


def _gap_section(gaps: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"- {gap}: {', '.join(paths)}" for gap, paths in gaps.items()]
    return ["### Operations without a definition", "\n".join(lines)] if lines else []


def _kernel_section(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    if not calls:
        return []
    rows = (
        (f"`{it['api']}`", ", ".join(dict.fromkeys(map(without_places, it["modules"]))))
        for it in calls
    )
    told = "Whether one is called depends on backends and modes: kernel_calls.json has the tests."
    return ["## FlashInfer in SGLang", told, _table(("API", "modules"), rows)]


def _list_section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {it}" for it in lines)] if lines else []


def _table(columns: Sequence[str], rows: Any) -> str:
    cells = [[str(it).replace("|", "\\|") for it in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


__all__ = ["analysis_of", "report_of"]
