from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import ranked_dataset as ranked
from small_dataset import encode

from flashinfer_bench.cli import main
from flashinfer_bench.data import TraceSet
from flashinfer_bench.errors import ExitCode

GEMM_FILE = f"definitions/gemm/{ranked.GEMM}.json"
FAST_FILE = f"solutions/alice/gemm/{ranked.GEMM}/fast.json"
WORKLOADS_FILE = f"workloads/gemm/{ranked.GEMM}.jsonl"
TRACES_FILE = f"traces/alice/gemm/{ranked.GEMM}.jsonl"


def merge(*paths: str, output: Path) -> int:
    words = [word for path in paths for word in ("--local", path)]
    return main(["report", "merge", "--output", str(output), *words])


def contents(root: Path | str) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file()
    }


def test_a_dataset_merged_with_itself_is_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (ranked.build(tmp_path / name) for name in ("one", "two"))
    assert merge(one, two, output=tmp_path / "merged") == ExitCode.OK
    assert contents(tmp_path / "merged") == contents(one)
    counts = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert counts == [
        ["definitions", "2", "2"],
        ["solutions", "4", "4"],
        ["models", "1", "1"],
        ["workloads", "5", "5"],
        ["traces", "11", "11"],
        ["blob", "1", "1"],
    ]


def test_what_either_has_is_in_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second has a solution, a workload and results of its own, and writes JSON otherwise."""
    extra = ranked.workload("6666aaaa-0000-4000-8000-000000000006", 9)
    first = ranked.files()
    newer = ranked.result(extra, "swift", 1.0)
    changed = {
        GEMM_FILE: json.dumps(ranked.definition()).encode(),
        f"solutions/carol/gemm/{ranked.GEMM}/swift.json": ranked.solution("swift", "carol"),
        WORKLOADS_FILE: [extra, first[WORKLOADS_FILE][0]],
        TRACES_FILE: [newer, first[TRACES_FILE][0]],
    }
    one = ranked.build(tmp_path / "one")
    two = ranked.build(tmp_path / "two", **changed)
    output = tmp_path / "new" / "merged"
    words = ["report", "merge", "--output", str(output), "--local", one, "--local", two]
    assert main([*words, "--format", "json"]) == ExitCode.OK
    counts = json.loads(capsys.readouterr().out)
    assert counts["written"] == {
        "definitions": 2,
        "solutions": 5,
        "models": 1,
        "workloads": 6,
        "traces": 12,
        "blob": 1,
    }
    assert counts["repeated"]["workloads"] == 2
    assert (output / GEMM_FILE).read_bytes() == Path(one, GEMM_FILE).read_bytes()
    assert (output / TRACES_FILE).read_bytes() == encode([*first[TRACES_FILE], newer])
    merged = TraceSet.from_path(output)
    assert len(merged.workloads[ranked.GEMM]) == 5
    assert not merged.problems


def test_unknown_keys_survive(tmp_path: Path) -> None:
    trace = {**ranked.files()[TRACES_FILE][1], "machine": {"rack": 7}}
    changed = {
        FAST_FILE: ranked.solution("fast", "alice", licence="MIT"),
        TRACES_FILE: [trace],
    }
    one = ranked.build(tmp_path / "one", **changed)
    merge(one, output=tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / FAST_FILE).read_bytes())["licence"] == "MIT"
    assert json.loads((tmp_path / "merged" / TRACES_FILE).read_bytes())["machine"] == {"rack": 7}


def test_weights_and_spelling_do_not_make_a_workload_another(tmp_path: Path) -> None:
    lines = ranked.files()[WORKLOADS_FILE]
    weighted = ranked.workload(ranked.W1, 1, weight=5.0)
    weighted["workload"]["inputs"]["A"]["path"] = ranked.BLOB
    one = ranked.build(tmp_path / "one")
    two = ranked.build(tmp_path / "two", **{WORKLOADS_FILE: [weighted, *lines[1:]]})
    assert merge(one, two, output=tmp_path / "merged") == ExitCode.OK
    assert (tmp_path / "merged" / WORKLOADS_FILE).read_bytes() == encode(lines)


def swapped_inputs() -> dict[str, Any]:
    """The order of inputs is the order of `run`'s arguments."""
    definition = ranked.definition()
    a, b, scale = definition["inputs"].items()
    return {**definition, "inputs": dict([b, a, scale])}


@pytest.mark.parametrize(
    ("file", "content", "where", "what"),
    [
        (GEMM_FILE, ranked.definition(tags=[]), "", "definition 'gemm_n8_k4' differs"),
        (GEMM_FILE, swapped_inputs(), "", "definition 'gemm_n8_k4' differs"),
        (FAST_FILE, ranked.solution("fast", "alice", description="!"), "", "solution 'fast'"),
        (FAST_FILE, ranked.solution("faster", "alice"), "", "differs from"),
        ("models/tiny-llm.json", {**ranked.model(), "name": "Other"}, "", "model 'tiny-llm'"),
        (WORKLOADS_FILE, [ranked.workload(ranked.W1, 6)], ":1", f"workload {ranked.W1}"),
        (WORKLOADS_FILE, [ranked.workload(ranked.W1, 1, seed=6)], ":1", f"workload {ranked.W1}"),
        (ranked.BLOB, b"other bytes", "", "differs from"),
    ],
)
def test_a_conflict_names_both_files_and_leaves_nothing(
    file: str,
    content: Any,
    where: str,
    what: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = ranked.build(tmp_path / "one")
    two = ranked.build(tmp_path / "two", **{file: content})
    assert merge(one, two, output=tmp_path / "merged") == ExitCode.INVALID
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith(f"flashinfer-bench: {two}/{file}{where}: ")
    assert what in captured.err
    assert f" {one}/{file}{where}" in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_what_does_not_load_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = encode(ranked.files()[TRACES_FILE])
    broken = {"definitions/gemm/bad.json": b"{", TRACES_FILE: b'{"definition": 1}\n' + good}
    one = ranked.build(tmp_path / "one", **broken)
    assert merge(one, output=tmp_path / "merged") == ExitCode.INVALID
    told = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(one).split(": ")[0] for line in told] == [
        "/definitions/gemm/bad.json:1",
        f"/{TRACES_FILE}:1",
    ]
    assert (tmp_path / "merged" / TRACES_FILE).read_bytes() == good
    assert not (tmp_path / "merged/definitions/gemm/bad.json").exists()


def test_a_torn_line_is_left_out_and_harmless(tmp_path: Path) -> None:
    one = ranked.build(tmp_path / "one")
    with Path(one, TRACES_FILE).open("ab") as file:
        file.write(b'{"defin')
    assert merge(one, output=tmp_path / "merged") == ExitCode.OK
    assert (tmp_path / "merged" / TRACES_FILE).read_bytes() == encode(ranked.files()[TRACES_FILE])


def test_blobs_elsewhere_in_the_dataset_come_along(tmp_path: Path) -> None:
    line = ranked.workload(ranked.W1, 1)
    line["workload"]["inputs"]["A"]["path"] = "tensors/a.safetensors"
    files = {WORKLOADS_FILE: [line], "tensors/a.safetensors": b"bytes"}
    one = ranked.build(tmp_path / "one", **files)
    merge(one, output=tmp_path / "merged")
    assert (tmp_path / "merged/tensors/a.safetensors").read_bytes() == b"bytes"


def test_paths_that_leave_the_dataset_are_not_followed(tmp_path: Path) -> None:
    line = ranked.workload(ranked.W1, 1)
    line["workload"]["inputs"]["A"]["path"] = "../secret.safetensors"
    line["workload"]["inputs"]["B"] = {
        "type": "safetensors",
        "path": str(tmp_path / "secret.safetensors"),
        "tensor_key": "B",
    }
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    one = ranked.build(tmp_path / "one", **{WORKLOADS_FILE: [line]})
    assert merge(one, output=tmp_path / "merged") == ExitCode.OK
    assert b"secret" not in contents(tmp_path / "merged").values()


def test_the_output_is_a_new_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ranked.build(tmp_path / "one")
    before = contents(one)
    for output in (Path(one), Path(one, "merged"), Path(one, GEMM_FILE)):
        assert merge(one, output=output) == ExitCode.USAGE
        assert str(output) in capsys.readouterr().err
    assert contents(one) == before


def test_an_empty_folder_may_be_the_output(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    assert merge(ranked.build(tmp_path / "one"), output=tmp_path / "merged") == ExitCode.OK
    assert (tmp_path / "merged" / GEMM_FILE).is_file()


def test_a_missing_dataset_is_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ranked.build(tmp_path / "one")
    missing = str(tmp_path / "typo")
    assert merge(one, missing, output=tmp_path / "a/b") == ExitCode.NOT_FOUND
    assert missing in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_without_a_dataset_is_not_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ranked.build(tmp_path / "one")
    assert merge(one, str(tmp_path), output=tmp_path / "merged") == ExitCode.INVALID
    assert f"{tmp_path}: holds no dataset" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()
