"""`generate-model-definition`: a model's block in models.ts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from flashinfer_bench.data.model import Model
from flashinfer_bench.errors import DataError, NotFoundError, UsageError
from flashinfer_bench.models.entry import display_name, model_record, plain_id
from flashinfer_bench.models.extraction import ExtractedModel, map_model
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.known import known_models
from flashinfer_bench.models.typescript import (
    new_file,
    read_models,
    tree_problems,
    unified_diff,
    upsert,
)
from flashinfer_bench.skills.checking import record_in
from flashinfer_bench.skills.contract import Result, Skill, shown
from flashinfer_bench.skills.drawing import draw
from flashinfer_bench.skills.execution import helper_main
from flashinfer_bench.skills.extract_hf import CONFIG, PROVENANCE, warnings_of
from flashinfer_bench.skills.sources import SourceParams, checkout, extracted
from flashinfer_bench.skills.type_check import type_problems, types_file
from flashinfer_bench.skills.writing import Writer, unwritten

MODELS_TS = Path("web", "apps", "web", "data", "models.ts")
_SHAPES = (
    *("architectures", "model_type", "hidden_size", "d_model", "n_embd", "text_config"),
    "num_hidden_layers",
)
"""Keys of which every model's config.json has one."""


class DefinitionParams(SourceParams):
    """A model's block in models.ts, from its configuration or from its architecture."""

    config: str = Field(
        description="config.json, model_config.json or model_architecture.json, told apart by "
        "content"
    )
    sglang_impl: str | None = Field(
        None, description="sglang_implementation.json, whose architecture must be the same"
    )
    model_name: str | None = Field(None, description="id; without it from the configuration")
    display_name: str | None = Field(None, description="name that people see")
    description: str | None = Field(None, description="what sets the model apart")
    output: str | None = Field(
        None, description="models.ts to edit; without it that of the checkout one is in"
    )
    append: bool = Field(True, description="keep other models; false writes a file of this one")
    dry_run: bool = Field(False, description="write nothing, print the difference")


def run(params: DefinitionParams) -> Result:
    """Writes the model's block; every other byte of the file stays."""
    record, notes, warnings = _record(params)
    _agree(record, params.sglang_impl)
    writer = Writer(params.dry_run)
    path = models_file(params.output)
    diff = write_record(writer, record, path, append=params.append)
    notes += [] if diff else [f"{shown(path)} has {record.id} so already"]
    return Result(writer.outputs, warnings, notes, [], draw(record), diff)


def models_file(stated: str | None) -> Path:
    """The models.ts to edit; UsageError where none is stated outside of a checkout."""
    if stated:
        return Path(stated)
    root = checkout()
    if root is None:
        raise UsageError(
            "this folder is in no checkout of flashinfer-bench; give --output with a models.ts"
        )
    return root / MODELS_TS


def write_record(writer: Writer, record: Model, path: Path, *, append: bool = True) -> str:
    """Puts a record into the file, which need not be there; the unified diff."""
    problems = tree_problems(record)
    if problems:
        raise DataError(f"{record.id}: {'; '.join(problems[:3])}")
    try:
        before = path.read_bytes().decode() if append else new_file()
    except FileNotFoundError:
        before = ""
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}); expected TypeScript") from error
    try:
        after = upsert(before or new_file(), record)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not (path.parent / "types.ts").exists():
        writer.text(path.parent / "types.ts", types_file(), "types of models.ts")
    writer.text(path, after, "models.ts")
    return unified_diff(before, after, shown(path))


def _record(params: DefinitionParams) -> tuple[Model, list[str], list[str]]:
    """The record, notes and warnings, from whichever file the configuration is."""
    path, notes = _config_file(params.config)
    found = load_json(path)
    if "tree" in found and "model" in found:
        record = record_in(found["model"], str(path))
        return _named(record, params), [*notes, f"{path} is a model's architecture"], []
    if not any(key in found for key in _SHAPES):
        keys = ", ".join(_SHAPES)
        raise DataError(f"{path}: no model's configuration (none of {keys}); give a config.json")
    model = _identified(extracted(params, str(path)), found, notes)
    record = model_record(
        model,
        map_model(model),
        model_id=params.model_name and plain_id(params.model_name),
        name=params.display_name,
        description=params.description,
    )
    return record, [*notes, *model.notes], warnings_of(model)


def _config_file(stated: str) -> tuple[Path, list[str]]:
    """The file; of a bare `config.json` that is not there, the one that extraction wrote."""
    path, extraction = Path(stated).expanduser(), Path("model_analysis", CONFIG)
    if path.is_dir():
        path = path / "config.json"
    if path.is_file():
        return path, []
    if path == Path("config.json") and extraction.is_file():
        return extraction, [f"no config.json here: {extraction} is taken"]
    raise NotFoundError(
        f"{path}: no such file; extract-model-from-hf writes model_analysis/{CONFIG}"
    )


def _identified(
    model: ExtractedModel, config: Mapping[str, Any], notes: list[str]
) -> ExtractedModel:
    """With the repository's name, as extraction left it in the file or as our table knows it."""
    told = config.get(PROVENANCE)
    if isinstance(told, Mapping) and told.get("model_id"):
        hub = replace(
            model.hub,
            model_id=str(told["model_id"]),
            source=told.get("source") or "file",
            revision=told.get("revision"),
        )
        return replace(model, hub=hub)
    for known in known_models():
        if all(config.get(key) == value for key, value in known.config.items()):
            notes.append(f"this is the configuration of {known.model_id}, by our table")
            return replace(model, hub=replace(model.hub, model_id=known.model_id))
    return model


def _named(record: Model, params: DefinitionParams) -> Model:
    changes: dict[str, Any] = {}
    if params.model_name:
        changes["id"] = plain_id(params.model_name)
        changes["name"] = display_name(changes["id"], record.hf_repo_id or params.model_name)
    stated = {"name": params.display_name, "description": params.description}
    changes.update({key: value for key, value in stated.items() if value})
    return record.model_copy(update=changes)


def _agree(record: Model, implementation: str | None) -> None:
    if implementation is None:
        return
    found = load_json(Path(implementation)).get("architecture")
    if found is not None and found != record.architecture:
        raise DataError(
            f"{implementation}: is of {found}, the configuration of {record.architecture}; "
            "run find-sglang-baseline for this model"
        )


def verify(params: DefinitionParams, result: Result) -> list[str]:
    """The file can be read, its trees are sound, and it type-checks where tsc is installed."""
    if params.dry_run:
        return []
    return models_problems(result, models_file(params.output))


def models_problems(result: Result, path: Path) -> list[str]:
    problems = unwritten(result.outputs)
    if problems:
        return problems
    for it in read_models(path.read_bytes().decode()):
        if it.value is None or not it.ours:
            continue  # of people, who may write what our reader does not take
        problems += [f"{path}: {it.id}: {what}" for what in _record_problems(it.value)]
    changed = any(it.changed and it.kind == "models.ts" for it in result.outputs)
    return problems or (type_problems(path) if changed else [])


def _record_problems(value: Mapping[str, Any]) -> list[str]:
    try:
        return tree_problems(record_in(value, "models.ts"))
    except DataError as error:
        return [str(error)]


SKILL = Skill("generate-model-definition", DefinitionParams, run, verify)

__all__ = ["SKILL", "DefinitionParams", "models_file", "models_problems", "run", "verify"]

if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
