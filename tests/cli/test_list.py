from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import ranked_dataset as ranked

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    return ranked.build(tmp_path / "dataset")


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["list", *words, "--format", "json"]) == ExitCode.OK
    return json.loads(capsys.readouterr().out)


def test_definitions_come_with_counts(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    gemm, norm = listed(capsys, "--local", dataset)
    assert gemm == {
        "name": "gemm_n8_k4",
        "op_type": "gemm",
        "axes": {"N": 8, "K": 4},
        "workloads": 4,
        "solutions": 3,
        "traces": 10,
        "status": "verified",
    }
    assert (norm["name"], norm["traces"], norm["status"]) == ("rmsnorm_h16", 1, None)


def test_a_pipe_gets_one_plain_line_a_row(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--local", dataset]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "name         op_type  axes     workloads  solutions  traces  status",
        "gemm_n8_k4   gemm     N=8 K=4          4          3      10  verified",
        "rmsnorm_h16  rmsnorm  H=16             1          1       1  -",
    ]


def test_names_are_in_natural_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["gemm_n128_k4", "gemm_n1024_k4", "gemm_n16_k4"]
    paths = {f"definitions/gemm/{name}.json": ranked.definition(name) for name in names}
    dataset = ranked.build(tmp_path / "dataset", **paths)
    rows = listed(capsys, "--local", dataset, "--op-type", "gemm")
    assert [row["name"] for row in rows] == [
        "gemm_n8_k4",
        "gemm_n16_k4",
        "gemm_n128_k4",
        "gemm_n1024_k4",
    ]


def test_solutions_of_one_definition(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys, "solutions", "--local", dataset, "--definition", "rmsnorm_h16")
    assert rows == [
        {"name": "norm", "definition": "rmsnorm_h16", "author": "alice", "language": "python"}
    ]


def test_workloads_say_where_inputs_come_from(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_, last = listed(capsys, "workloads", "--local", dataset)
    assert (first["uuid"], first["axes"], first["weight"]) == (ranked.W1, {"M": 1}, None)
    assert first["inputs"] == {"safetensors": 1, "random": 1, "scalar": 1}
    assert (last["definition"], last["weight"]) == ("rmsnorm_h16", 3.0)


def test_traces_keep_their_order_and_every_attempt(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed(capsys, "traces", "--local", dataset, "--op-type", "gemm")
    assert [(row["solution"], row["status"], row["speedup"]) for row in rows[:3]] == [
        ("fast", "TIMEOUT", None),
        ("fast", "PASSED", 8.0),
        ("fast", "PASSED", 16.0),
    ]
    assert len(rows) == 10


def test_uuids_are_as_long_as_it_takes_to_tell_them_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alike = [ranked.workload(f"1111aaaa-0000-4000-8000-00000000000{i}", i) for i in (1, 2)]
    path = f"workloads/gemm/{ranked.GEMM}.jsonl"
    dataset = ranked.build(tmp_path / "dataset", **{path: alike})
    main(["list", "workloads", "--local", dataset, "--definition", ranked.GEMM])
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert words == [trace["workload"]["uuid"] for trace in alike]
    main(["list", "workloads", "--local", dataset, "--definition", ranked.NORM])
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "5555aaaa"


def test_models_tell_what_the_dataset_lacks(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"id": "tiny-llm", "name": "Tiny LLM", "modules": 3, "definitions": 2, "in_dataset": 1}
    assert listed(capsys, "models", "--local", dataset) == [whole]
    assert listed(capsys, "models", "--local", dataset, "--definition", "gemm_n8_k4") == [whole]
    assert listed(capsys, "models", "--local", dataset, "--op-type", "rmsnorm") == []


def test_what_is_nowhere_is_not_found(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--definition", "gemm_n8_k5"], ["--op-type", "gem"]):
        assert main(["list", "--local", dataset, *words]) == ExitCode.NOT_FOUND
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "did you mean gemm" in error


def test_a_mistyped_path_makes_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--local", str(tmp_path / "typo")]) == ExitCode.NOT_FOUND
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert str(tmp_path / "typo") in captured.err
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_dataset_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--local", str(tmp_path)]) == ExitCode.INVALID
    assert "holds no dataset" in capsys.readouterr().err


def test_the_default_dataset_comes_from_the_environment(
    dataset: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIB_DATASET_PATH", dataset)
    assert len(listed(capsys)) == 2


def test_an_empty_list_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "definitions").mkdir()
    assert main(["list", "solutions", "--local", str(tmp_path)]) == ExitCode.OK
    assert capsys.readouterr().out == "no solutions\n"


def test_names_cannot_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = ranked.solution("red \x1b[31m", "mallory\nroot")
    dataset = ranked.build(tmp_path / "dataset", **{"solutions/evil.json": evil})
    main(["list", "solutions", "--local", dataset])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"red \x1b[31m" in out
    assert r"mallory\nroot" in out


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
@pytest.mark.parametrize("command", [["list"], ["report", "summary"], ["show", "fast"]])
def test_problems_are_told_once_and_not_logged(
    command: list[str],
    level: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = {
        "definitions/gemm/bad.json": {"name": "bad"},
        f"traces/bob/gemm/{ranked.GEMM}.jsonl": b'{"definition": 3}\n',
    }
    dataset = ranked.build(tmp_path / "dataset", **broken)
    code = main([*command, "--local", dataset, "--log-level", level])
    captured = capsys.readouterr()
    assert code == ExitCode.INVALID
    told = captured.err.splitlines()
    assert sum("definitions/gemm/bad.json:1: " in line for line in told) == 1
    assert sum(f"traces/bob/gemm/{ranked.GEMM}.jsonl:1: " in line for line in told) == 1
    assert captured.out
    assert not [record for record in caplog.records if "bad.json" in record.getMessage()]


def test_the_problems_of_a_dataset_named_twice_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"definitions/gemm/bad.json": {"name": "bad"}}
    dataset = ranked.build(tmp_path / "dataset", **bad)
    words = ["report", "summary", "--local", dataset, "--local", dataset]
    assert main(words) == ExitCode.INVALID
    assert capsys.readouterr().err.count("bad.json") == 1


def test_a_torn_last_line_is_told_but_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ranked.build(tmp_path / "dataset")
    with Path(dataset, f"traces/bob/gemm/{ranked.GEMM}.jsonl").open("ab") as file:
        file.write(b'{"definition": "gem')
    assert main(["list", "--local", dataset]) == ExitCode.OK
    assert "cut short" in capsys.readouterr().err


def test_the_reason_for_a_missing_name_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A definition is not found when its file does not load: both are said."""
    bad = {"definitions/gemm/bad.json": {"name": "bad"}}
    dataset = ranked.build(tmp_path / "dataset", **bad)
    assert main(["show", "bad", "--local", dataset]) == ExitCode.NOT_FOUND
    first, last = capsys.readouterr().err.splitlines()
    assert "bad.json" in first
    assert "'bad'" in last
