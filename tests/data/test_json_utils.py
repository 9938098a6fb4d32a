from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError
from records import definition_data, evaluation_data, solution_data, trace_data, write_lines

from flashinfer_bench.data import (
    Definition,
    Solution,
    Trace,
    append_jsonl_file,
    load_json_file,
    load_jsonl_file,
    save_json_file,
    save_jsonl_file,
)
from flashinfer_bench.data.json_utils import json_line

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def definition() -> Definition:
    return Definition.model_validate(definition_data())


def trace(number: int) -> Trace:
    return Trace.model_validate(trace_data(solution=f"s{number}"))


def solutions_in(path) -> list[str | None]:
    return [item.solution for item in load_jsonl_file(Trace, path)]


def test_save_and_load(tmp_path, definition):
    path = tmp_path / "new" / "folder" / "d.json"
    save_json_file(definition, path)
    assert load_json_file(Definition, path) == definition
    assert json.loads(path.read_bytes()) == definition_data()
    assert path.read_bytes().startswith(b'{\n  "name": "gemm_n8_k4",\n')
    assert path.read_bytes().endswith(b"\n}\n")


def test_a_second_save_changes_no_byte(tmp_path):
    data = solution_data(unknown={"key": [1.5, None]}, description="Umlaut ü, 🙂")
    (tmp_path / "a.json").write_text(json.dumps(data))
    save_json_file(load_json_file(Solution, tmp_path / "a.json"), tmp_path / "b.json")
    save_json_file(load_json_file(Solution, tmp_path / "b.json"), tmp_path / "c.json")
    assert json.loads((tmp_path / "b.json").read_bytes()) == data
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "c.json").read_bytes()
    assert "Umlaut ü, 🙂".encode() in (tmp_path / "b.json").read_bytes()


def test_fields_that_nobody_set_are_left_out(tmp_path, definition):
    save_json_file(definition, tmp_path / "d.json")
    text = (tmp_path / "d.json").read_text()
    assert "tags" not in text
    assert "optional" not in text


@pytest.mark.parametrize("as_path", [str, os.fspath, lambda path: path])
def test_paths_of_any_kind(tmp_path, definition, as_path):
    save_json_file(definition, as_path(tmp_path / "d.json"))
    assert load_json_file(Definition, as_path(tmp_path / "d.json")) == definition
    append_jsonl_file([trace(1)], as_path(tmp_path / "t.jsonl"))
    save_jsonl_file([trace(2)], as_path(tmp_path / "t.jsonl"))
    assert solutions_in(as_path(tmp_path / "t.jsonl")) == ["s2"]


def test_byte_order_marks_are_skipped(tmp_path, definition):
    (tmp_path / "d.json").write_bytes(BOM + json.dumps(definition_data()).encode())
    lines = [BOM + json_line(trace(1)), b"", json_line(trace(2))]
    (tmp_path / "t.jsonl").write_bytes(b"\r\n".join(lines))
    assert load_json_file(Definition, tmp_path / "d.json") == definition
    assert solutions_in(tmp_path / "t.jsonl") == ["s1", "s2"]


def test_lines(tmp_path):
    path = tmp_path / "t.jsonl"
    save_jsonl_file((trace(number) for number in range(3)), path)
    assert path.read_bytes().count(b"\n") == 3
    assert solutions_in(path) == ["s0", "s1", "s2"]
    append_jsonl_file([trace(3)], path)
    append_jsonl_file([], path)
    assert solutions_in(path) == ["s0", "s1", "s2", "s3"]
    save_jsonl_file([], path)
    assert path.read_bytes() == b""


def test_append_repairs_a_missing_newline(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(json_line(trace(0)))
    append_jsonl_file([trace(1)], path)
    assert solutions_in(path) == ["s0", "s1"]


def test_a_line_holds_no_newline():
    record = trace(1).model_copy(update={"solution": "one\ntwo\u2028three"})
    assert b"\n" not in json_line(record)
    assert Trace.model_validate_json(json_line(record)).solution == "one\ntwo\u2028three"


def test_line_separators_in_strings_do_not_split_records(tmp_path):
    logs = ["a\u2028b", "c\x85d", "e\x1ef", "g\rh"]
    records = [trace_data(evaluation=evaluation_data(log=log)) for log in logs]
    path = write_lines(tmp_path / "t.jsonl", records)
    save_jsonl_file(load_jsonl_file(Trace, path), path)
    read = [item.evaluation for item in load_jsonl_file(Trace, path)]
    assert [item.log for item in read if item] == logs


def test_what_breaks_the_schema_is_a_validation_error(tmp_path):
    path = tmp_path / "x"
    path.write_text("{}")
    with pytest.raises(ValidationError, match="name"):
        load_json_file(Definition, path)
    path.write_text("{")
    with pytest.raises(ValidationError, match="EOF"):
        load_json_file(Definition, path)
    path.write_bytes(json_line(trace(0)) + b"\n{}\n")
    with pytest.raises(ValidationError, match="definition"):
        load_jsonl_file(Trace, path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_json_file(Definition, tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        load_jsonl_file(Trace, tmp_path / "x")


APPEND = """
import sys
from flashinfer_bench.data import Trace, append_jsonl_file, load_jsonl_file
first, target = sys.argv[1:]
[trace] = load_jsonl_file(Trace, first)
for _ in range(25):
    append_jsonl_file([trace, trace], target)
"""


def test_processes_may_append_at_once(tmp_path):
    commands = []
    for number in range(4):
        save_jsonl_file([trace(number)], tmp_path / f"{number}.jsonl")
        paths = [str(tmp_path / f"{number}.jsonl"), str(tmp_path / "all.jsonl")]
        commands.append([sys.executable, "-c", APPEND, *paths])
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    found = solutions_in(tmp_path / "all.jsonl")
    assert sorted(found) == sorted(f"s{number}" for number in range(4) for _ in range(50))
    assert all(one == two for one, two in zip(found[::2], found[1::2]))
