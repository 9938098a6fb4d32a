"""A TraceSet in memory, and what it writes to its folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from records import result, solution_data, trace_data, trace_set, workload_data, write_json

from flashinfer_bench.data import (
    Definition,
    Evaluation,
    EvaluationStatus,
    Solution,
    Trace,
    TraceSet,
    save_json_file,
)

AUTHORS = {"d": {"base": "baseline", "fast": "alice"}, "e": {"other": "bob"}}
WORKLOADS = {"d": ["w0", "w1"]}


@pytest.fixture
def memory() -> TraceSet:
    return trace_set(AUTHORS, [], WORKLOADS)


@pytest.fixture
def on_disk(tmp_path) -> TraceSet:
    return write_folder(tmp_path / "dataset")


def write_folder(root: Path) -> TraceSet:
    made = trace_set(AUTHORS, [], {})
    for definition in made.definitions.values():
        op_type = definition.op_type
        save_json_file(definition, root / "definitions" / op_type / f"{definition.name}.json")
    for solution in (item for group in made.solutions.values() for item in group):
        save_json_file(solution, root / "solutions" / f"{solution.name}.json")
    return TraceSet.from_path(root)


def workload(uuid: str, definition: str = "d") -> Trace:
    return Trace.model_validate({"definition": definition, "workload": workload_data(uuid=uuid)})


def uuids(traces: list[Trace]) -> list[str]:
    return [trace.workload.uuid for trace in traces]


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_an_empty_one():
    empty = TraceSet()
    assert (empty.root, empty.definitions, empty.solutions) == (None, {}, {})
    assert (empty.workloads, empty.traces, empty.models, empty.problems) == ({}, {}, {}, [])
    assert empty.summary().total == 0
    assert empty.leaderboard() == {}


def test_arguments_by_position(memory, tmp_path):
    made = TraceSet(
        str(tmp_path), memory.definitions, memory.solutions, memory.workloads, memory.traces
    )
    assert made.root == tmp_path
    assert made.definitions is memory.definitions
    assert made.get_solution("fast") is memory.solutions["d"][1]


def test_two_solutions_of_one_name():
    twice = [Solution.model_validate(solution_data(author=author)) for author in ("a", "b")]
    with pytest.raises(ValueError, match="two solutions are named 'torch_gemm'"):
        TraceSet(solutions={"d": twice[:1], "e": twice[1:]})


def test_get_solution(memory):
    found = memory.get_solution("fast")
    assert found is not None
    assert found.author == "alice"
    assert memory.get_solution("nobody") is None


def test_paths(on_disk):
    root = on_disk.root
    assert on_disk.definitions_path == root / "definitions"
    assert on_disk.solutions_path == root / "solutions"
    assert on_disk.workloads_path == root / "workloads"
    assert on_disk.traces_path == root / "traces"
    assert on_disk.blob_path == root / "blob"
    assert on_disk.blob_workloads_path == root / "blob" / "workloads"


@pytest.mark.parametrize(
    "ask",
    [
        lambda dataset: dataset.traces_path,
        lambda dataset: dataset.blob_workloads_path,
        lambda dataset: dataset.backup_traces(),
        lambda dataset: dataset.get_workload_blob_tensor("blob/x.safetensors"),
    ],
)
def test_memory_has_no_folder(memory, ask):
    with pytest.raises(ValueError, match="in memory only"):
        ask(memory)


def test_adding_in_memory(memory):
    memory.add_traces([result("fast", "w0", 1.0), result("base", "w0", 2.0)])
    memory.add_traces([result("fast", "w1", 1.0)])
    memory.add_workload_traces([workload("w2")])
    assert [trace.solution for trace in memory.traces["d"]] == ["fast", "base", "fast"]
    assert uuids(memory.workloads["d"]) == ["w0", "w1", "w2"]


def test_adding_on_disk(on_disk):
    on_disk.add_traces([result("fast", "w0", 1.0), result("base", "w0", 2.0)])
    on_disk.add_traces([result("other", "v0", 1.0, definition="e"), result("fast", "w1", 3.0)])
    on_disk.add_workload_traces([workload("w0"), workload("v0", "e"), workload("w1")])
    written = files_in(on_disk.root)
    assert {name for name in written if name.startswith(("traces", "workloads"))} == {
        "traces/alice/op_d/d.jsonl",
        "traces/baseline/op_d/d.jsonl",
        "traces/bob/op_e/e.jsonl",
        "workloads/op_d/d.jsonl",
        "workloads/op_e/e.jsonl",
    }
    again = TraceSet.from_path(on_disk.root)
    assert again.problems == []
    assert again.workloads == on_disk.workloads
    assert uuids(again.workloads["d"]) == ["w0", "w1"]
    assert {name: len(group) for name, group in again.traces.items()} == {"d": 3, "e": 1}
    assert again.summary() == on_disk.summary()


def test_adding_to_what_is_on_disk_already(on_disk):
    on_disk.add_traces([result("fast", "w0", 1.0)])
    again = TraceSet.from_path(on_disk.root)
    again.add_traces([result("fast", "w1", 2.0)])
    assert uuids(again.traces["d"]) == ["w0", "w1"]
    assert uuids(TraceSet.from_path(on_disk.root).traces["d"]) == ["w0", "w1"]


BAD_EVALUATIONS = [
    (workload("w1"), "is no evaluation; use add_workload_traces"),
    (Trace.model_validate(trace_data(definition="d", evaluation=None)), "is no evaluation"),
    (Trace.model_validate(trace_data(definition="d", solution=None)), "is no evaluation"),
    (result("nobody", "w1", 1.0), "no solution is named 'nobody'"),
    (result("fast", "w1", 1.0, definition="x"), "that definition is not in this dataset"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_EVALUATIONS)
@pytest.mark.parametrize("place", ["memory", "on_disk"])
def test_nothing_is_added_beside_a_bad_evaluation(request, place, bad, message):
    dataset: TraceSet = request.getfixturevalue(place)
    with pytest.raises(ValueError, match=message):
        dataset.add_traces([result("fast", "w0", 1.0), bad])
    assert dict(dataset.traces) == {}
    assert dataset.root is None or not dataset.traces_path.exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (result("fast", "w1", 1.0), "is an evaluation; use add_traces"),
        (workload("w1", "x"), "that definition is not in this dataset"),
    ],
)
def test_nothing_is_added_beside_a_bad_workload(on_disk, bad, message):
    with pytest.raises(ValueError, match=message):
        on_disk.add_workload_traces([workload("w0"), bad])
    assert dict(on_disk.workloads) == {}
    assert not on_disk.workloads_path.exists()


def test_filter_traces(memory):
    errors = {"w0": (0.0, 0.0), "w1": (0.5, 0.0), "w2": (0.0, 0.5), "w3": (math.nan, 0.0)}
    for uuid, (absolute, relative) in errors.items():
        trace = result("fast", uuid, 1.0)
        assert trace.evaluation and trace.evaluation.correctness
        trace.evaluation.correctness.max_absolute_error = absolute
        trace.evaluation.correctness.max_relative_error = relative
        memory.add_traces([trace])
    memory.add_traces([result("fast", "w4")])
    assert uuids(memory.filter_traces("d")) == ["w0"]
    assert uuids(memory.filter_traces("d", 0.5)) == ["w0", "w1"]
    assert uuids(memory.filter_traces("d", atol=1, rtol=1)) == ["w0", "w1", "w2"]
    assert memory.filter_traces("unknown") == []


def with_speedup(solution: str, uuid: str, speedup: float, **axes: int) -> Trace:
    trace = result(solution, uuid, 1.0)
    assert trace.evaluation and trace.evaluation.performance
    trace.evaluation.performance.speedup_factor = speedup
    trace.workload.axes = axes
    return trace


def test_best_trace(memory):
    memory.add_traces(
        [
            with_speedup("base", "w0", 2.0, M=1),
            with_speedup("fast", "w0", 5.0, M=1),
            with_speedup("base", "w1", 9.0, M=2),
            result("fast", "w1"),
        ]
    )
    best = memory.get_best_trace("d")
    assert best is not None
    assert (best.solution, best.workload.uuid) == ("base", "w1")
    best = memory.get_best_trace("d", {"M": 1})
    assert best is not None
    assert best.solution == "fast"
    assert memory.get_best_trace("d", axes={"M": 3}) is None
    assert memory.get_best_trace("d", {}) is None
    assert memory.get_best_trace("unknown") is None
    assert memory.get_best_trace("d", max_abs_error=-1.0, max_rel_error=-1.0) is None


def test_to_dict(memory):
    memory.add_traces([result("fast", "w0", status="REWARD_HACK")])
    content = json.loads(json.dumps(memory.to_dict()))
    assert set(content) == {"definitions", "solutions", "workload", "traces"}
    assert content["definitions"]["d"]["name"] == "d"
    assert [item["name"] for item in content["solutions"]["d"]] == ["base", "fast"]
    assert [item["workload"]["uuid"] for item in content["workload"]["d"]] == ["w0", "w1"]
    [trace] = content["traces"]["d"]
    assert trace == json.loads(memory.traces["d"][0].model_dump_json(exclude_unset=True))
    assert Definition.model_validate(content["definitions"]["e"]) == memory.definitions["e"]


def test_to_dict_is_valid_json(memory):
    trace = result("fast", "w0", 1.0)
    assert trace.evaluation and trace.evaluation.correctness
    trace.evaluation.correctness.max_absolute_error = math.nan
    memory.add_traces([trace])
    json.dumps(memory.to_dict(), allow_nan=False)


def test_a_hack_survives_the_disk(on_disk):
    on_disk.add_traces([result("fast", "w0", status="REWARD_HACK")])
    [trace] = TraceSet.from_path(on_disk.root).traces["d"]
    assert isinstance(trace.evaluation, Evaluation)
    assert trace.evaluation.status is EvaluationStatus.REWARD_HACK
    assert TraceSet.from_path(on_disk.root).summary().failed == 1


def test_backup(on_disk):
    on_disk.backup_traces()
    assert on_disk.traces == {}
    on_disk.add_traces([result("fast", "w0", 1.0)])
    on_disk.add_workload_traces([workload("w0")])
    before = on_disk.traces_path.joinpath("alice/op_d/d.jsonl").read_bytes()

    reopened = TraceSet.from_path(on_disk.root)
    assert uuids(reopened.traces["d"]) == ["w0"]
    reopened.backup_traces()
    assert reopened.traces == {}
    assert reopened.summary().total == 0
    assert not reopened.traces_path.exists()
    [backup] = on_disk.root.glob("traces_bak_????????_??????")
    assert backup.joinpath("alice/op_d/d.jsonl").read_bytes() == before

    reopened.add_traces([result("base", "w0", 1.0)])
    assert len(TraceSet.from_path(on_disk.root).traces["d"]) == 1
    assert uuids(TraceSet.from_path(on_disk.root).workloads["d"]) == ["w0"]


def test_blobs(on_disk):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12, dtype=torch.int32).reshape(3, 4)
    parts = {"columns": whole[:, ::2], "first": whole[:1], "last": whole[1:]}
    path = on_disk.add_workload_blob_tensor("d", "w0", parts)
    assert path == "blob/workloads/op_d/d/d_w0.safetensors"
    for place in (path, f"./{path}"):
        read = on_disk.get_workload_blob_tensor(place)
        assert read.keys() == parts.keys()
        assert all(torch.equal(read[name], parts[name]) for name in parts)


def test_blobs_of_no_definition(on_disk, memory):
    with pytest.raises(ValueError, match="no definition is named 'x'"):
        on_disk.add_workload_blob_tensor("x", "w0", {})
    with pytest.raises(ValueError, match="in memory only"):
        memory.add_workload_blob_tensor("d", "w0", {})


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.safetensors", "blob/../../x.safetensors"])
def test_blobs_outside_the_dataset(on_disk, path):
    with pytest.raises(ValueError, match="leaves the dataset"):
        on_disk.get_workload_blob_tensor(path)


@pytest.mark.parametrize("place", ["author", "uuid"])
def test_nothing_is_written_outside_the_dataset(tmp_path, place):
    root = tmp_path / "deep" / "dataset"
    outside = "../../../outside" if place == "author" else "/../../../../../../../outside"
    write_folder(root).traces_path.mkdir()
    data = solution_data(definition="d", author=outside, name="evil")
    write_json(root / "solutions" / "evil.json", data)
    dataset = TraceSet.from_path(root)
    before = files_in(tmp_path)
    with pytest.raises(ValueError):
        if place == "author":
            dataset.add_traces([result("evil", "w0", 1.0)])
        else:
            torch = pytest.importorskip("torch")
            dataset.add_workload_blob_tensor("d", outside, {"x": torch.zeros(1)})
    assert {name for name in files_in(tmp_path) - before if not name.startswith("deep/")} == set()
