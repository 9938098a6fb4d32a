"""`collect-workloads`: inputs that kernels get while a model is served, as workloads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path

from pydantic import Field

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.errors import MissingRequirementError, NotFoundError, UsageError
from flashinfer_bench.models.definitions.mapping import LayerDefinition, MappedLayer
from flashinfer_bench.models.entry import plain_id
from flashinfer_bench.models.extraction import ExtractedModel, map_model
from flashinfer_bench.skills.contract import Output, Result, Skill, shown
from flashinfer_bench.skills.execution import helper_main
from flashinfer_bench.skills.sources import SourceParams, dataset_of, extracted
from flashinfer_bench.skills.writing import Writer, output_of, unwritten
from flashinfer_bench.workloads.sanitizer import Kept

_PROVED = 2
"""Workloads of a definition on which the reference runs: the smallest and the most frequent."""


class CollectParams(SourceParams):
    """Workloads of a model's definitions: from a dump of FlashInfer, or from simulated serving."""

    model_name: str = Field(description="model that is served, e.g. deepseek-v3 or a repository id")
    definition_names: list[str] = Field([], description="only these definitions")
    op_type: str | None = Field(None, description="only definitions of this op_type")
    all: bool = Field(False, description="all definitions of the model, as without any selector")
    from_dump: str | None = Field(
        None, description="folder that FLASHINFER_DUMP_DIR named; without it serving is simulated"
    )
    dataset: str | None = Field(
        None, description="conversations in ShareGPT format, JSON or JSON Lines, to simulate"
    )
    num_samples: int = Field(100, ge=1, description="conversations that are served")
    most: int = Field(64, ge=1, description="workloads of a definition at most")
    output: str | None = Field(
        None, description="dataset to write into; without it the checkout's flashinfer_trace"
    )
    submit_pr: bool | None = Field(
        None,
        description="true opens a pull request of what was written, which needs a login; false "
        "prepares none; without it one is prepared and the command that sends it is told",
    )
    pr_title: str | None = Field(None, description="title of the pull request")
    pr_branch: str | None = Field(None, description="name of the work, for the file with its text")
    dry_run: bool = Field(False, description="write nothing, say what there would be")


@dataclass
class Found:
    """What was collected."""

    workloads: dict[str, list[Kept]]
    calls: dict[str, int]
    """Definition -> calls, whose number the workloads' weights sum to."""
    dropped: list[str] = field(default_factory=list)
    """A line for each reason."""


def run(params: CollectParams) -> Result:
    """Writes workloads and their blobs beside those that the dataset has."""
    _require_torch()
    from flashinfer_bench.workloads.storing import store

    model = extracted(params, params.model_name)
    layers = map_model(model)
    chosen = wanted_names(params, layers)
    found = (
        _from_dump(params, model, chosen)
        if params.from_dump
        else _simulated(params, layers, chosen)
    )
    if not found.workloads:
        told = "; ".join(found.dropped[:3]) or "nothing of these definitions was called"
        raise NotFoundError(f"no workload: {told}")
    dataset, outputs = dataset_of(params.output), list[Output]()
    for kept in found.workloads.values() if not params.dry_run else ():
        for path, changed in store(dataset, kept).items():
            kind = "definition" if "definitions" in path.parts else path.suffix.strip(".")
            outputs.append(output_of(path, f"workloads, {kind}", changed=changed))
    notes = [*model.notes, f"workloads are those of {shown(dataset)}", *found.dropped]
    following = [f"flashinfer-bench validate --dataset {shown(dataset)}"]
    summary = _table(found)
    if params.submit_pr is not False and not params.dry_run:
        _propose(params, outputs, summary, notes, following)
    return Result(outputs, [], notes, following, summary)


def _propose(
    params: CollectParams,
    outputs: list[Output],
    summary: str,
    notes: list[str],
    following: list[str],
) -> None:
    """The pull request: its text as a file, and where `--submit-pr true` was typed, sent."""
    from flashinfer_bench.workloads.publishing import prepare, send

    request = prepare(
        dataset_of(params.output),
        [Path(it.path) for it in outputs],
        summary,
        model=params.model_name,
        title=params.pr_title,
        branch=params.pr_branch,
    )
    writer = Writer()
    writer.text(Path(f"pull_request_{plain_id(request.branch)}.md"), request.body, "pull request")
    outputs += writer.outputs
    if params.submit_pr:
        notes.append(f"pull request: {send(request)}")
    else:
        following.append(request.command)


def _require_torch() -> None:
    for package in ("torch", "safetensors"):
        if find_spec(package) is None:
            raise MissingRequirementError(
                f'{package} is not installed; pip install "flashinfer-bench[bench]"'
            )


def wanted_names(params: CollectParams, layers: Sequence[MappedLayer]) -> dict[str, str]:
    """Exact name -> op_type of the model's definitions that are asked for.

    Raises UsageError for selectors that exclude each other, NotFoundError for what the model does
    not have, with what it has.
    """
    if sum((bool(params.definition_names), params.op_type is not None, params.all)) > 1:
        raise UsageError("give --definition-names, --op-type or --all, not several of them")
    known = {it.exact: it for layer in layers for it in layer.definitions}
    asked = known
    if params.op_type is not None:
        asked = {name: it for name, it in known.items() if it.op_type == params.op_type}
        if not asked and not params.from_dump:
            types = ", ".join(sorted({it.op_type for it in known.values()}))
            raise NotFoundError(f"{params.model_name} has no {params.op_type}; it has {types}")
    elif params.definition_names:
        asked = {}
        for name in params.definition_names:
            asked |= _named(name, known, params)
    return {name: it.op_type for name, it in asked.items()}


def _named(
    name: str, known: dict[str, LayerDefinition], params: CollectParams
) -> dict[str, LayerDefinition]:
    found = {exact: it for exact, it in known.items() if name in (exact, it.name)}
    if not found and not params.from_dump:
        told = ", ".join(it.name for it in known.values())
        raise NotFoundError(f"{params.model_name} has no {name}; it has {told}")
    return found


def _from_dump(params: CollectParams, model: ExtractedModel, chosen: dict[str, str]) -> Found:
    from flashinfer_bench.workloads.collecting import collect

    def is_wanted(definition: Definition) -> bool:
        if params.op_type is not None:
            return definition.op_type == params.op_type
        names = {*params.definition_names, *chosen}
        return not params.definition_names or definition.name in names

    root = Path(params.from_dump or "")
    found = collect(root, wanted=is_wanted, model=model.tree.root, most=params.most)
    dropped = [
        f"{number} calls of {api or 'the dump'} dropped: {reason}"
        for (api, reason), number in found.dropped.most_common()
    ]
    return Found(found.workloads, dict(found.calls), dropped)


def _simulated(
    params: CollectParams, layers: Sequence[MappedLayer], chosen: dict[str, str]
) -> Found:
    from flashinfer_bench.workloads.conversations import read_conversations
    from flashinfer_bench.workloads.simulated import simulated
    from flashinfer_bench.workloads.simulation import Engine, simulate

    conversations = read_conversations(Path(params.dataset) if params.dataset else None)
    served = list(islice(cycle(conversations), params.num_samples))
    engine = Engine(page_size=params.page_size or 1)
    steps = list(simulate(served, engine))
    workloads, calls = simulated(layers, chosen, steps, engine, params.most)
    decodes = sum(it.mode == "decode" for it in steps)
    told = (
        f"simulated: {len(served)} conversations in {len(steps) - decodes} prefill and {decodes} "
    )
    return Found(workloads, calls, [f"{told}decode steps, marked `source: simulated`"])


def _table(found: Found) -> str:
    """A row for each definition: calls, workloads, and the range of each axis."""
    rows = [("definition", "calls", "kept", "axes")]
    for name, kept in found.workloads.items():
        axes = {axis: [it.workload.axes[axis] for it in kept] for axis in kept[0].workload.axes}
        told = ", ".join(f"{axis} {_range(values)}" for axis, values in axes.items())
        rows.append((name, str(found.calls[name]), str(len(kept)), told))
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return "\n".join(
        f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}"
        for row in rows
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"


def verify(params: CollectParams, result: Result) -> list[str]:
    """Files hold what was written; workloads load, and the reference runs on the small ones."""
    if params.dry_run:
        return []
    problems = unwritten(result.outputs)
    if problems:
        return problems
    from flashinfer_bench.workloads.proving import stored_problems

    dataset = dataset_of(params.output)
    files = [Path(it.path) for it in result.outputs if it.path.endswith(".jsonl")]
    return [problem for file in files for problem in stored_problems(dataset, file, _PROVED)]


SKILL = Skill("collect-workloads", CollectParams, run, verify)

__all__ = ["SKILL", "CollectParams", "run", "verify"]

if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
