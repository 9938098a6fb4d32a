"""`extract-model-from-hf`: a model's configuration, its module tree and what its layers compute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from flashinfer_bench.data.layout import definition_names
from flashinfer_bench.models.as_json import layers_as_json, model_as_json
from flashinfer_bench.models.definitions.mapping import MappedLayer
from flashinfer_bench.models.definitions.nearest import advise
from flashinfer_bench.models.entry import model_record
from flashinfer_bench.models.extraction import ExtractedModel, map_model
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.skills.checking import architecture_problems
from flashinfer_bench.skills.contract import Result, Skill, shown
from flashinfer_bench.skills.drawing import draw
from flashinfer_bench.skills.execution import helper_main
from flashinfer_bench.skills.sources import (
    SourceParams,
    dataset_of,
    extracted,
)
from flashinfer_bench.skills.writing import Writer, unwritten

CONFIG, ARCHITECTURE, MAPPING = (
    f"{it}.json" for it in ("model_config", "model_architecture", "module_mapping")
)
FILES = (CONFIG, ARCHITECTURE, MAPPING)
PROVENANCE = "_flashinfer_bench"
"""Key in model_config.json that says where the configuration came from."""


class ExtractParams(SourceParams):
    """A model's configuration and the module tree that SGLang would build of it, as JSON files."""

    model_id: str = Field(
        description="repository id such as Qwen/Qwen3-8B, short name, or path of a config.json"
    )
    output: str | None = Field(None, description=f"path of {CONFIG}; the other files go beside it")
    output_dir: str = Field("./model_analysis", description="folder of all files")
    dry_run: bool = Field(False, description="write nothing")


def run(params: ExtractParams) -> Result:
    """Writes model_config.json, model_architecture.json and module_mapping.json."""
    model = extracted(params, params.model_id)
    dataset = dataset_of()
    layers, writer = map_model(model, definition_names(dataset)), Writer(params.dry_run)
    write_extraction(writer, model, layers, paths_of(params))
    notes = [*model.notes, f"definitions that exist are those of {shown(dataset)}"]
    config = next(it.path for it in writer.outputs)
    command = f"claude-code run generate-model-definition --config {config}"
    return Result(
        *(writer.outputs, warnings_of(model), notes, [command]),
        summary=draw(model_record(model, layers)),
    )


def paths_of(params: ExtractParams) -> dict[str, Path]:
    folder = Path(params.output).parent if params.output else Path(params.output_dir)
    found = {name: folder / name for name in FILES}
    return {**found, CONFIG: Path(params.output)} if params.output else found


def write_extraction(
    writer: Writer, model: ExtractedModel, layers: list[MappedLayer], paths: dict[str, Path]
) -> None:
    """The three files of an extracted model."""
    source = {"model_id": model.hub.model_id, "source": model.hub.source}
    provenance = {PROVENANCE: {**source, "revision": model.hub.revision}}
    writer.json(paths[CONFIG], {**provenance, **model.hub.config}, "model configuration")
    writer.json(paths[ARCHITECTURE], architecture_of(model, layers), "model architecture")
    writer.json(paths[MAPPING], mapping_of(model, layers), "definition mapping")


def architecture_of(model: ExtractedModel, layers: list[MappedLayer]) -> dict[str, Any]:
    """The tree with all that is known of it, and the record that models.ts takes."""
    record = model_record(model, layers).model_dump(exclude_none=True)
    return {**model_as_json(model), "model": record}


def mapping_of(model: ExtractedModel, layers: list[MappedLayer]) -> dict[str, Any]:
    """Definitions of each layer, and for new ones what to do."""
    names = {it.name: it for layer in layers for it in layer.definitions}
    existing = [name for name, it in names.items() if it.status == "existing"]
    new = [it for it in names.values() if it.status == "new"]
    advice = [vars(advise(it.name, it.op_type, existing)) for it in new]
    return {
        **{"model_id": model.hub.model_id, "existing": existing, "new": advice},
        **{"gaps": sorted({it.gap for it in layers if it.gap}), "layers": layers_as_json(layers)},
    }


def warnings_of(model: ExtractedModel) -> list[str]:
    """What may make the tree other than a user expects."""
    found = list(model.serving.warnings)
    if model.route.confidence != "exact":
        found.append(f"the tree is {model.route.confidence}: {model.route.reason}")
    return found


def verify(params: ExtractParams, result: Result) -> list[str]:
    """Files hold what was written, and counts in the architecture add up."""
    if params.dry_run:
        return []
    path = paths_of(params)[ARCHITECTURE]
    return unwritten(result.outputs) or architecture_problems(load_json(path))


SKILL = Skill("extract-model-from-hf", ExtractParams, run, verify)

__all__ = ["SKILL", "ExtractParams", "run", "verify"]

if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
