"""`add-new-model`: everything of a new model, from its configuration to its block in models.ts."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic import Field, field_validator

from flashinfer_bench.data.layout import definition_names
from flashinfer_bench.data.model import Model
from flashinfer_bench.models.definitions.mapping import MappedLayer
from flashinfer_bench.models.entry import model_record, plain_id
from flashinfer_bench.models.extraction import ExtractedModel, map_model
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.sglang.kernels import KernelCall
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import parse_name
from flashinfer_bench.skills.checking import architecture_problems
from flashinfer_bench.skills.contract import Result, Skill, shown
from flashinfer_bench.skills.drawing import draw
from flashinfer_bench.skills.execution import helper_main
from flashinfer_bench.skills.extract_hf import ARCHITECTURE, FILES, warnings_of, write_extraction
from flashinfer_bench.skills.find_sglang_baseline import place_problems, write_implementation
from flashinfer_bench.skills.generate_model_definition import (
    models_file,
    models_problems,
    write_record,
)
from flashinfer_bench.skills.report import analysis_of, report_of
from flashinfer_bench.skills.sources import (
    SourceParams,
    dataset_of,
    extracted,
    source_of,
)
from flashinfer_bench.skills.writing import Writer

SUMMARY = "model_addition_summary.md"


class AddParams(SourceParams):
    """A new model: configuration, tree, kernels, definitions, report and its block in models.ts."""

    model_name: str = Field(description="id of the model, e.g. kimi-k2")
    hf_repo_id: str | None = Field(
        None, description="repository id or path of a config.json; without it the model's name"
    )
    display_name: str | None = Field(None, description="name that people see")
    description: str | None = Field(None, description="what sets the model apart")
    output_dir: str | None = Field(
        None, description="folder of the analysis; without it ./model_analysis_<model name>"
    )
    output: str | None = Field(
        None, description="models.ts to edit; without it that of the checkout one is in"
    )
    skip_sglang: bool = Field(False, description="infer the tree from the configuration alone")
    dataset: str | None = Field(
        None,
        description="folder whose definitions exist; without it the checkout's flashinfer_trace",
    )
    write_definitions: bool = Field(
        False, description="write definitions that the dataset lacks into it"
    )
    dry_run: bool = Field(False, description="write nothing, print the difference of models.ts")

    @field_validator("model_name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", value):
            raise ValueError("expected a name such as kimi-k2; --hf-repo-id takes repositories")
        return value

    @property
    def folder(self) -> Path:
        return Path(self.output_dir or f"./model_analysis_{self.model_name}")


def run(params: AddParams) -> Result:
    """Writes the analysis, then the model's block."""
    models_ts, writer = models_file(params.output), Writer(params.dry_run)
    repository = params.hf_repo_id or params.model_name
    model = extracted(params, repository, use_sglang=not params.skip_sglang)
    dataset = dataset_of(params.dataset)
    layers = map_model(model, definition_names(dataset))
    record = model_record(
        model,
        layers,
        model_id=plain_id(params.model_name),
        name=params.display_name,
        description=params.description,
    )
    write_record(Writer(dry_run=True), record, models_ts)  # what it refuses comes before the rest
    _write_analysis(writer, params, model, layers, record)
    if params.write_definitions:
        _write_definitions(writer, dataset, layers)
    diff = write_record(writer, record, models_ts)
    notes = [*model.notes, f"definitions that exist are those of {shown(dataset)}"]
    notes += [] if diff else [f"{shown(models_ts)} has {record.id} so already"]
    new = any(it.status == "new" for layer in layers for it in layer.definitions)
    following = _next(params, new)
    return Result(writer.outputs, warnings_of(model), notes, following, draw(record), diff)


def _write_analysis(
    writer: Writer,
    params: AddParams,
    model: ExtractedModel,
    layers: list[MappedLayer],
    record: Model,
) -> None:
    folder, name = params.folder, params.model_name
    paths = {it: folder / it for it in FILES}
    write_extraction(writer, model, layers, paths)
    calls: list[KernelCall] = []
    if model.tree.source is not None:
        calls = write_implementation(writer, model, folder, [model.tree.architecture])
    analysis = analysis_of(model, layers, record, calls)
    writer.json(folder / f"model_analysis_{name}.json", analysis, "analysis")
    writer.text(folder / SUMMARY, report_of(analysis, record), "report for people")
    names = "".join(f"{it}\n" for it in record.definitions())
    writer.text(_list_of(params), names, "definitions, a line each")


def _list_of(params: AddParams) -> Path:
    return params.folder / f"definitions_{params.model_name}.txt"


def _write_definitions(writer: Writer, dataset: Path, layers: list[MappedLayer]) -> None:
    new = {it.name: it for layer in layers for it in layer.definitions if it.status == "new"}
    for name, it in new.items():
        text = emit(*parse_name(name)).model_dump_json(indent=2, exclude_unset=True)
        path = dataset / "definitions" / it.op_type / f"{name}.json"
        writer.text(path, text + "\n", "definition")


def _next(params: AddParams, new: bool) -> list[str]:
    found = [f"cat {params.folder / SUMMARY}"]
    if new and not params.write_definitions:
        repository = params.hf_repo_id or params.model_name
        stated = f"--model-name {params.model_name} --hf-repo-id {repository}"
        found.append(f"claude-code run add-new-model {stated} --write-definitions")
    return found


def verify(params: AddParams, result: Result) -> list[str]:
    """What each step checks: files, tree, places in SGLang's source, and models.ts."""
    if params.dry_run:
        return []
    problems = models_problems(result, models_file(params.output))
    if problems:
        return problems
    problems = architecture_problems(load_json(params.folder / ARCHITECTURE))
    if not problems and any(it.kind == "kernel calls" for it in result.outputs):
        problems = place_problems(params.folder, source_of(params).package.parent)
    return problems


SKILL = Skill("add-new-model", AddParams, run, verify)

__all__ = ["SKILL", "AddParams", "run", "verify"]

if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
