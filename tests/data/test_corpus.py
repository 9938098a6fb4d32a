"""Real interfaces and workloads of the official dataset; their folder is not part of this repo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.data import (
    Definition,
    Trace,
    TraceSet,
    load_json_file,
    load_jsonl_file,
    save_json_file,
    save_jsonl_file,
)
from flashinfer_bench.data.constraints import unsupported

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("FIB_CORPUS") or ROOT.parent / "shared")
INTERFACES = CORPUS / "definitions" / "interfaces.json"
WORKLOADS = sorted((CORPUS / "workloads").glob("*.jsonl"))

pytestmark = pytest.mark.skipif(
    not INTERFACES.is_file(), reason=f"no corpus in {CORPUS}; FIB_CORPUS may name its folder"
)


@pytest.fixture(scope="module")
def interfaces() -> list[dict[str, Any]]:
    """The interfaces, each with a stub as reference and with keys that no schema knows."""
    found: list[dict[str, Any]] = json.loads(INTERFACES.read_bytes())
    for number, data in enumerate(found):
        parameters = ", ".join(data["inputs"])
        data["reference"] = f"def run({parameters}):\n    raise NotImplementedError\n"
        data["x_number"] = number
        next(iter(data["axes"].values()))["x_axis"] = {"list": [1, None, 2.5]}
        next(iter(data["inputs"].values()))["x_tensor"] = "kept"
    return found


def test_the_corpus_is_whole(interfaces):
    assert len(interfaces) == 122
    assert len({data["name"] for data in interfaces}) == 122
    assert len(WORKLOADS) == 23


def test_interfaces_keep_all_their_content(interfaces, tmp_path):
    for data in interfaces:
        path = tmp_path / "read.json"
        path.write_text(json.dumps(data))
        definition = load_json_file(Definition, path)
        save_json_file(definition, tmp_path / "once.json")
        assert json.loads((tmp_path / "once.json").read_bytes()) == data
        save_json_file(load_json_file(Definition, tmp_path / "once.json"), tmp_path / "twice.json")
        assert (tmp_path / "once.json").read_bytes() == (tmp_path / "twice.json").read_bytes()


def test_interfaces_in_use(interfaces):
    for data in interfaces:
        definition = Definition.model_validate(data)
        lengths = {name: 3 + i for i, name in enumerate(definition.var_axes)}
        shapes = definition.get_input_shapes(lengths)
        assert set(definition.var_axes_bindings) <= set(definition.var_axes)
        if len(definition.var_axes_bindings) == len(definition.var_axes):
            assert definition.get_axes_values(shapes) == lengths
        assert len(definition.get_output_shapes(lengths)) == len(data["outputs"])


def test_every_constraint_is_in_the_language(interfaces):
    constraints = [text for data in interfaces for text in data.get("constraints", ())]
    assert len(constraints) > 100
    assert [text for text in constraints if unsupported(text)] == []


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_workloads_keep_all_their_content(path, tmp_path):
    traces = load_jsonl_file(Trace, path)
    assert traces
    assert all(trace.is_workload_trace() for trace in traces)
    save_jsonl_file(traces, tmp_path / "once.jsonl")
    save_jsonl_file(load_jsonl_file(Trace, tmp_path / "once.jsonl"), tmp_path / "twice.jsonl")
    assert lines_of(tmp_path / "once.jsonl") == lines_of(path)
    assert (tmp_path / "once.jsonl").read_bytes() == (tmp_path / "twice.jsonl").read_bytes()


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().split("\n") if line.strip()]


def test_as_one_dataset(interfaces, tmp_path):
    for data in interfaces:
        path = tmp_path / "definitions" / data["op_type"] / f"{data['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
    (tmp_path / "workloads").symlink_to(CORPUS / "workloads")
    dataset = TraceSet.from_path(tmp_path)
    assert dataset.problems == []
    assert len(dataset.definitions) == 122
    known = [name for name in dataset.workloads if name in dataset.definitions]
    assert len(known) >= 20
    for name in known:
        definition, group = dataset.definitions[name], dataset.workloads[name]
        for trace in group:
            assert set(trace.workload.axes) == set(definition.var_axes)
            required = {key for key, spec in definition.inputs.items() if not spec.optional}
            assert required <= set(trace.workload.inputs) <= set(definition.inputs)
