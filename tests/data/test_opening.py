"""Opening a dataset folder: what is read when, what is remembered, what does not load."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from records import definition_data, model_data, solution_data, without, write_json, write_lines

from flashinfer_bench.data import TraceSet
from flashinfer_bench.env import cache_path

SAMPLE = Path(__file__).with_name("sample_dataset")
RMSNORM = "rmsnorm_h128"
TRACES = "traces/baseline/rmsnorm/rmsnorm_h128.jsonl"


@pytest.fixture
def root(tmp_path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "dataset"))


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def listing(root: Path) -> dict[str, tuple[int, ...]]:
    """Everything under a folder with its size and times of change."""
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.stat()
        found[str(path)] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return found


def everything(dataset: TraceSet) -> dict:
    """All that a dataset says; reads all its files."""
    return {
        "problems": [str(problem) for problem in dataset.problems],
        "summary": dataset.summary().model_dump(),
        "leaderboard": dataset.leaderboard(by="solution"),
        "content": repr(dataset.to_dict()),
    }


def total(root: Path) -> int:
    return TraceSet.from_path(root).summary().total


def test_what_is_there(root):
    dataset = TraceSet.from_path(root)
    assert dataset.problems == []
    assert len(dataset.definitions) == 5
    assert {solution.author for group in dataset.solutions.values() for solution in group} == {
        "baseline",
        "sample-agent",
        "sample-human",
    }
    assert list(dataset.models) == ["sample-llm"]
    assert {name: len(group) for name, group in dataset.workloads.items()} == {
        RMSNORM: 4,
        "fused_add_rmsnorm_h512": 2,
        "gemm_n256_k128": 3,
        "gqa_paged_decode_h4_kv2_d16_ps1": 3,
        "top_k_sampling_from_probs_v64": 2,
    }
    assert len(dataset.traces["gemm_n256_k128"]) == 5 + 6  # both layouts


def test_the_default_folder(root, monkeypatch):
    monkeypatch.setenv("FIB_DATASET_PATH", str(root))
    assert TraceSet.from_path().root == root
    assert TraceSet.from_path(str(root)).definitions == TraceSet.from_path(root).definitions


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder_is_an_error_and_none_is_made(tmp_path, kind):
    path = tmp_path / "dataset"
    if kind == "file":
        path.write_text("")
    before = listing(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such dataset folder"):
        TraceSet.from_path(path)
    assert listing(tmp_path) == before


def test_an_empty_folder(tmp_path):
    dataset = TraceSet.from_path(tmp_path)
    assert (dataset.definitions, dataset.solutions, dataset.models) == ({}, {}, {})
    assert (dict(dataset.workloads), dict(dataset.traces), dataset.problems) == ({}, {}, [])


def test_opening_reads_no_traces_and_no_workloads(root):
    dataset = TraceSet.from_path(root)
    shutil.rmtree(root / "traces")
    shutil.rmtree(root / "workloads")
    assert dict(dataset.traces) == {}
    assert dict(dataset.workloads) == {}


def test_a_group_is_read_when_it_is_asked_for(root):
    dataset = TraceSet.from_path(root)
    assert RMSNORM in dataset.traces
    path = root / TRACES
    shorter = path.read_text().splitlines(keepends=True)[:3]
    path.write_text("".join(shorter))
    baseline = [trace for trace in dataset.traces[RMSNORM] if trace.solution == f"torch_{RMSNORM}"]
    assert len(baseline) == 3
    path.unlink()
    assert len(dataset.traces[RMSNORM]) == 3 + 5 + 4


def test_reading_changes_nothing_in_the_folder(root):
    before = listing(root)
    first = everything(TraceSet.from_path(root))
    second = everything(TraceSet.from_path(root))
    assert listing(root) == before
    assert first == second


def index_files() -> list[Path]:
    return sorted((cache_path() / "trace_index").iterdir())


def test_the_index_lies_in_the_cache_folder(root):
    TraceSet.from_path(root)
    assert not (cache_path() / "trace_index").exists()
    everything(TraceSet.from_path(root))
    assert len(index_files()) == 2  # of traces/ and of workloads/


def test_the_index_is_used(root):
    everything(TraceSet.from_path(root))
    for file in index_files():
        file.write_text(file.read_text().replace(f'"{RMSNORM}"', '"renamed"'))
    assert "renamed" in TraceSet.from_path(root).traces


def test_an_index_of_another_format_is_not_used(root):
    everything(TraceSet.from_path(root))
    for file in index_files():
        content = json.loads(file.read_text().replace(f'"{RMSNORM}"', '"renamed"'))
        file.write_text(json.dumps({**content, "format": content["format"] + 1}))
    assert "renamed" not in TraceSet.from_path(root).traces


def append_a_line(path: Path) -> None:
    text = path.read_text()
    path.write_text(text + text.splitlines(keepends=True)[0])


def remove_a_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def same_size_and_time(path: Path) -> None:
    status = path.stat()
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace(RMSNORM, RMSNORM[::-1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edited_in_place(path: Path) -> None:
    status = path.stat()
    with path.open("r+") as file:
        text = file.read().replace(RMSNORM, RMSNORM[::-1])
        file.seek(0)
        file.write(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [append_a_line, remove_a_line, same_size_and_time, edited_in_place, Path.unlink],
)
def test_a_changed_file_is_read_again(root, change: Callable[[Path], None]):
    everything(TraceSet.from_path(root))
    change(root / TRACES)
    again = everything(TraceSet.from_path(root))
    for file in index_files():
        file.unlink()
    assert again == everything(TraceSet.from_path(root))
    assert again != everything(TraceSet.from_path(SAMPLE))


def test_new_files_at_any_depth_are_found(root):
    before = total(root)
    text = (root / TRACES).read_text()
    for place in ("traces/x.jsonl", "traces/a/b/c/d/e.jsonl"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    (root / "traces/.hidden.jsonl").write_text(text)
    (root / "traces/notes.txt").write_text("no trace")
    assert total(root) == before + 2 * 8


def test_a_moved_dataset(root):
    before = total(root)
    moved = root.rename(root.with_name("moved"))
    assert total(moved) == before


BROKEN_INDEXES = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b'{"format": 1}',
    b'{"format": 1, "files": []}',
    b'{"format": 1, "files": null}',
    b'{"format": 99, "files": {}}',
    b'{"format": 1, "files": {"baseline/rmsnorm/rmsnorm_h128.jsonl": 3}}',
]


@pytest.mark.parametrize("content", BROKEN_INDEXES)
def test_a_broken_index_does_no_harm(root, content):
    before = everything(TraceSet.from_path(root))
    for file in index_files():
        file.write_bytes(content)
    assert everything(TraceSet.from_path(root)) == before
    assert all(len(file.read_bytes()) > 500 for file in index_files())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("stamp", value) for value in (None, 3, "text", [], [[1, 2]], {})],
        *[("columns", value) for value in (None, 3, "text", [1], [[1, 2]], [[[], [0]]] * 9)],
        *[("problems", value) for value in (None, 3, "text", [1], [[]])],
    ],
)
def test_a_broken_entry_of_the_index_does_no_harm(root, key, value):
    before = everything(TraceSet.from_path(root))
    for file in index_files():
        content = json.loads(file.read_text())
        for entry in content["files"].values():
            entry[key] = value
        file.write_text(json.dumps(content))
    assert everything(TraceSet.from_path(root)) == before


def test_a_cache_that_cannot_be_written_does_no_harm(root, tmp_path, monkeypatch):
    before = everything(TraceSet.from_path(root))
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path / "a file" / "cache"))
    assert everything(TraceSet.from_path(root)) == before


def test_what_does_not_load_is_listed_and_skipped(root, caplog):
    write_json(root / "definitions/bad.json", without(definition_data(), "reference"))
    (root / "solutions/bad.json").write_text("{")
    write_json(root / "models/bad.json", model_data(id=""))
    trace = lines_of(root / TRACES)[0]
    path = write_lines(
        root / "traces/bad.jsonl",
        [trace, without(trace, "workload"), {**trace, "solution": None}, trace],
    )
    write_lines(root / "workloads/bad.jsonl", [trace])
    dataset = TraceSet.from_path(root)
    assert [str(problem.path.relative_to(root)) for problem in dataset.problems] == [
        "definitions/bad.json",
        "solutions/bad.json",
        "models/bad.json",
        "workloads/bad.jsonl",
        "traces/bad.jsonl",
        "traces/bad.jsonl",
    ]
    assert [problem.line for problem in dataset.problems] == [1, 1, 1, 1, 2, 3]
    assert not any(problem.harmless for problem in dataset.problems)
    assert dataset.summary().total == total(SAMPLE) + 2
    said = [record.getMessage() for record in caplog.records]
    assert f"{path}:2: workload: missing; the key is required (line skipped)" in said
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_problems_are_remembered_with_the_index(root):
    with (root / TRACES).open("a") as file:
        file.write("{}\n")
    first = TraceSet.from_path(root).problems
    assert TraceSet.from_path(root).problems == first
    assert [problem.line for problem in first] == [9]


def test_a_torn_last_line_is_harmless(root):
    path = root / TRACES
    path.write_bytes(path.read_bytes()[:-40])
    [problem] = TraceSet.from_path(root).problems
    assert problem.harmless
    assert problem.line == 8
    assert total(root) == total(SAMPLE) - 1


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("definitions", definition_data(name=RMSNORM), f"definition '{RMSNORM}' is also in"),
        ("solutions", solution_data(name=f"torch_{RMSNORM}"), "solution 'torch_rmsnorm_h128'"),
        ("models", model_data(id="sample-llm"), "model 'sample-llm' is also in"),
    ],
)
def test_two_files_with_one_name(root, kind, data, message):
    write_json(root / kind / "twice" / "x.json", data)
    with pytest.raises(ValueError, match=message):
        TraceSet.from_path(root)


def test_definitions_behind_broken_links_are_listed(root):
    (root / "definitions/link.json").symlink_to(root / "nowhere.json")
    [problem] = TraceSet.from_path(root).problems
    assert problem.message == "cannot be read: No such file or directory"


def test_traces_behind_broken_links_are_listed(root):
    (root / "traces/link.jsonl").symlink_to(root / "nowhere.jsonl")
    [problem] = TraceSet.from_path(root).problems
    assert problem.path.name == "link.jsonl"


def test_traces_of_unknown_definitions_and_solutions_are_kept(root):
    trace = lines_of(root / TRACES)[0]
    strangers = [{**trace, "definition": "unknown"}, {**trace, "solution": "stranger"}]
    write_lines(root / "traces/x.jsonl", strangers)
    dataset = TraceSet.from_path(root)
    assert len(dataset.traces["unknown"]) == 1
    assert dataset.summary().total == total(SAMPLE) + 2
    board = dataset.leaderboard(by="solution")
    assert "stranger" not in [item.name for items in board.values() for item in items]


def test_figures_do_not_depend_on_what_is_in_memory(root):
    from_index = TraceSet.from_path(root)
    in_memory = TraceSet.from_path(root)
    in_memory.to_dict()
    for baseline in ("baseline", "sample-agent", "reference"):
        assert from_index.summary(baseline) == in_memory.summary(baseline)
        assert from_index.leaderboard("author", baseline) == in_memory.leaderboard(
            "author", baseline
        )
