"""What we write loads in the public tool, and what it writes loads here."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from public_reader import PublicDefinition, PublicSolution, PublicTrace, read_json, read_traces
from pydantic import BaseModel, ValidationError
from records import definition_data, evaluation_data, result, solution_data, trace_data, without

from flashinfer_bench.data import (
    Correctness,
    Definition,
    Solution,
    Trace,
    TraceSet,
    load_json_file,
    load_jsonl_file,
    save_json_file,
    save_jsonl_file,
)
from flashinfer_bench.data.base import unknown_keys

SAMPLE = Path(__file__).with_name("sample_dataset")


@pytest.fixture(scope="module")
def ours() -> TraceSet:
    return TraceSet.from_path(SAMPLE)


def our_traces(dataset: TraceSet) -> dict[tuple, Trace]:
    traces = [trace for group in dataset.traces.values() for trace in group]
    return {
        (trace.solution, trace.workload.uuid, trace.evaluation.timestamp): trace
        for trace in traces
        if trace.evaluation
    }


def test_definitions(ours):
    read = read_json(PublicDefinition, SAMPLE / "definitions")
    assert {path.stem for path in read} == set(ours.definitions)
    for public in read.values():
        assert list(public.inputs) == list(ours.definitions[public.name].inputs)


def test_solutions(ours):
    read = read_json(PublicSolution, SAMPLE / "solutions")
    assert len(read) == sum(len(group) for group in ours.solutions.values())
    for path, public in read.items():
        found = ours.get_solution(public.name)
        assert found is not None
        style = found.spec.destination_passing_style
        assert public.spec.destination_passing_style is style
        assert path.parts[-4] == public.author


def test_workloads(ours):
    read = read_traces(SAMPLE / "workloads")
    assert all(trace.solution is None and trace.evaluation is None for trace in read)
    known = {trace.workload.uuid for group in ours.workloads.values() for trace in group}
    assert {trace.workload.uuid for trace in read} == known


def test_traces(ours):
    read = read_traces(SAMPLE / "traces")
    known = our_traces(ours)
    assert len(read) == len(known)
    hacks = 0
    for public in read:
        assert public.evaluation is not None
        key = (public.solution, public.workload.uuid, public.evaluation.timestamp)
        mine = known[key].evaluation
        assert mine is not None
        status = mine.status.value
        hacks += status == "REWARD_HACK"
        assert public.evaluation.status == ("RUNTIME_ERROR" if status == "REWARD_HACK" else status)
        assert public.evaluation.log == mine.log
    assert hacks == 3


def test_numbers_that_json_lacks():
    read = [trace.evaluation for trace in read_traces(SAMPLE / "traces/sample-agent/rmsnorm")]
    errors = [item.correctness for item in read if item and item.status == "INCORRECT_NUMERICAL"]
    found = [item for item in errors if item and math.isnan(item.max_relative_error)]
    assert [item.max_absolute_error for item in found] == [math.inf]


def test_the_sample_has_keys_that_the_public_tool_skips():
    text = (SAMPLE / "traces/sample-agent/rmsnorm/rmsnorm_h128.jsonl").read_text()
    skipped = {"solution_digest", "measurement", "isolation", "seed", "cache", "static", "blame"}
    assert all(f'"{key}":' in text for key in skipped)
    [first, *_] = read_traces(SAMPLE / "traces/sample-agent/rmsnorm")
    assert not skipped & set(first.model_dump_json().split('"'))


def test_what_we_append_loads_there(tmp_path):
    trace = result("s", "w", status="REWARD_HACK")
    wrong = Trace.model_validate(trace_data(evaluation=evaluation_data("INCORRECT_NUMERICAL")))
    assert wrong.evaluation is not None
    wrong.evaluation.correctness = Correctness(
        max_relative_error=math.nan, max_absolute_error=math.inf, extra={"tvd": math.nan}
    )
    save_jsonl_file([trace, wrong], tmp_path / "t.jsonl")
    hack, nan = (item.evaluation for item in read_traces(tmp_path))
    assert hack is not None
    assert (hack.status, hack.correctness) == ("RUNTIME_ERROR", None)
    assert nan is not None
    assert nan.correctness is not None
    assert math.isnan(nan.correctness.max_relative_error)
    assert nan.correctness.max_absolute_error == math.inf


@pytest.mark.parametrize("layout", ["new", "old"])
def test_what_it_writes_loads_here(tmp_path, layout):
    folder = tmp_path / ("traces/agent/op" if layout == "new" else "traces/op")
    folder.mkdir(parents=True)
    written = [item.model_dump_json(exclude_unset=True) for item in read_traces(SAMPLE / "traces")]
    (folder / "d.jsonl").write_text("\n".join(written) + "\n")
    dataset = TraceSet.from_path(tmp_path)
    assert dataset.problems == []
    traces = [trace for group in dataset.traces.values() for trace in group]
    assert len(traces) == len(written)
    assert [key for trace in traces for key in unknown_keys(trace)] == []


@pytest.mark.parametrize(
    ("public", "own", "folder"),
    [
        (PublicDefinition, Definition, "definitions"),
        (PublicSolution, Solution, "solutions"),
    ],
)
def test_what_it_saves_is_the_same_record_here(tmp_path, public, own, folder):
    for path, read in read_json(public, SAMPLE / folder).items():
        (tmp_path / "x.json").write_text(read.model_dump_json(exclude_unset=True, indent=2))
        assert load_json_file(own, tmp_path / "x.json") == load_json_file(own, path)


def test_saving_the_sample_again_changes_no_byte(tmp_path):
    files = [path for path in SAMPLE.rglob("*.json*") if path.parts[-2] != "models"]
    kinds: dict[str, type[BaseModel]] = {"definitions": Definition, "solutions": Solution}
    for path in files:
        target = tmp_path / path.name
        if path.suffix == ".jsonl":
            save_jsonl_file(load_jsonl_file(Trace, path), target)
        else:
            kind = kinds[path.relative_to(SAMPLE).parts[0]]
            save_json_file(load_json_file(kind, path), target)
        assert target.read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize(
    ("public", "data"),
    [
        (PublicDefinition, definition_data(inputs={"x": {"shape": [], "dtype": "uint8"}})),
        (PublicDefinition, without(definition_data(), "reference")),
        (PublicDefinition, definition_data(outputs={"A": {"shape": [], "dtype": "bool"}})),
        (PublicSolution, solution_data(sources=[{"path": "other.py", "content": "x"}])),
        (PublicTrace, trace_data(evaluation=evaluation_data("REWARD_HACK"))),
        (PublicTrace, trace_data(evaluation={**evaluation_data(), "status": "TIMEOUT"})),
        (PublicTrace, trace_data(evaluation=without(evaluation_data(), "correctness"))),
    ],
)
def test_the_public_rules_bite(public, data):
    with pytest.raises(ValidationError):
        public.model_validate_json(json.dumps(data))
