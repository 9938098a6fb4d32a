from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import ranked_dataset as ranked
from small_dataset import safetensors

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    return ranked.build(tmp_path / "dataset")


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", *words]) == ExitCode.OK
    return capsys.readouterr().out


def words_of(text: str, start: str) -> list[str]:
    """The words of the one line that starts so."""
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line.split()


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (ranked.GEMM, ranked.definition()),
        ("fast", ranked.solution("fast", "alice")),
        ("tiny-llm", ranked.model()),
        (ranked.W2, ranked.workload(ranked.W2, 2)),
    ],
)
def test_json_is_the_stored_record(
    name: str, record: dict[str, Any], dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(shown(capsys, name, "--local", dataset, "--format", "json")) == record


def test_json_keeps_unknown_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extended = ranked.solution("fast", "alice", licence="MIT")
    path = f"solutions/alice/gemm/{ranked.GEMM}/fast.json"
    dataset = ranked.build(tmp_path / "dataset", **{path: extended})
    shown_record = json.loads(shown(capsys, "fast", "--local", dataset, "--format", "json"))
    assert shown_record["licence"] == "MIT"


def test_definition(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, ranked.GEMM, "--local", dataset)
    assert text.startswith("gemm_n8_k4 (gemm)\nC = A B^T\n")
    assert words_of(text, "M ") == ["M", "var", "rows"]
    assert words_of(text, "K ") == ["K", "4", "-"]
    assert words_of(text, "B ") == ["B", "[N,", "K]", "float16", "-"]
    assert words_of(text, "scale ") == ["scale", "scalar", "float32", "-"]
    assert "\n  M <= 64\n" in text
    assert "\n  status:verified\n" in text
    assert "    return A @ B.T * scale\n" in text
    assert "\n4 workloads, 3 solutions, 10 traces\n" in text
    assert "\nGPU-A, against baseline\n" in text
    assert words_of(text, "fast ")[:5] == ["fast", "alice", "1.466", "2.83x", "67%"]


def test_definition_without_baseline_is_compared_with_its_reference(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, ranked.NORM, "--local", dataset)
    assert "\nGPU-A, against reference\n" in text
    assert words_of(text, "norm ")[:4] == ["norm", "alice", "16.000", "16.00x"]


def test_solution(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "fast", "--local", dataset)
    assert text.startswith("fast (by alice)\n")
    assert words_of(text, "entry point")[-1] == "main.py::run"
    assert words_of(text, "main.py ") == ["main.py", "2"]
    assert "def run" not in text
    assert "5 newest results, 4 passed; 4 of 4 workloads tried\n" in text
    first, *_ = (line.split() for line in text.splitlines() if line.startswith("1111aaaa"))
    assert first == ["1111aaaa", "M=1", "GPU-A", "PASSED", "2", "8.00x"]


def test_solution_in_full(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "fast", "--local", dataset, "--source")
    assert "\n── main.py\n# fast\ndef run(*tensors): ...\n" in text


def test_solution_of_a_definition_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = {"solutions/x.json": ranked.solution("lost", "alice", "gone")}
    dataset = ranked.build(tmp_path / "dataset", **orphan)
    text = shown(capsys, "lost", "--local", dataset)
    assert words_of(text, "definition") == ["definition", "gone", "(missing)"]
    assert "0 newest results, 0 passed; 0 of 0 workloads tried" in text


@pytest.mark.parametrize("name", [ranked.W1, "1111aa", f"{ranked.GEMM}/{ranked.W1}"])
def test_workload_by_uuid_and_by_its_start(
    name: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, name, "--local", dataset)
    assert text.startswith(f"{ranked.W1} (workload)\n")
    assert words_of(text, "axes") == ["axes", "M=1"]
    # shape and dtype of A as they are in the file; the definition alone would say [1, 4]
    assert words_of(text, "A ")[:4] == ["A", "safetensors", "[4,", "4]"]
    assert words_of(text, "B ")[:4] == ["B", "random", "[8,", "4]"]
    assert words_of(text, "scale ") == ["scale", "scalar", "-", "float32", "0.5"]
    assert f"\n[1] ./{ranked.BLOB}\n" in text
    assert "\n4 newest results\n" in text
    assert words_of(text, "slow ") == ["slow", "GPU-A", "PASSED", "8", "2.00x"]


@pytest.mark.parametrize("blob", [None, safetensors(b"{}"), b"junk"])
def test_workload_whose_blob_is_not_there(
    blob: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ranked.build(tmp_path / "dataset", **{ranked.BLOB: blob or b""})
    if blob is None:
        Path(dataset, ranked.BLOB).unlink()
    text = shown(capsys, ranked.W1, "--local", dataset)
    assert words_of(text, "A ")[1:4] == ["safetensors", "-", "-"]
    assert words_of(text, "A ")[-1] == "(missing)"


def test_workload_that_only_a_trace_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ranked.build(tmp_path / "dataset", **{f"workloads/rmsnorm/{ranked.NORM}.jsonl": []})
    record = json.loads(shown(capsys, ranked.N1, "--local", dataset, "--format", "json"))
    assert record["workload"]["axes"] == {"batch": 7}
    assert "evaluation" not in record


def test_model_tree_marks_what_the_dataset_lacks(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, "tiny-llm", "--local", dataset).splitlines() == [
        "tiny-llm (Tiny LLM)",
        "3 modules, 2 definitions, 1 of them in this dataset",
        "",
        "module   count  type   definitions",
        "layers      ×2  block",
        "├─ up       ×2  layer  gemm_n8_k4",
        "└─ down     ×4  layer  gemm_n9 (missing)",
    ]


def test_the_start_of_a_uuid_takes_six_characters(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", ranked.W1[:5], "--local", dataset]) == ExitCode.NOT_FOUND
    capsys.readouterr()
    assert shown(capsys, ranked.W1[:6], "--local", dataset).startswith(ranked.W1)


def test_candidates_of_an_ambiguous_uuid_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = ranked.workload(ranked.W1, 7, ranked.NORM)
    path = f"workloads/rmsnorm/{ranked.NORM}.jsonl"
    dataset = ranked.build(tmp_path / "dataset", **{path: [twin]})
    for name in (ranked.W1, ranked.W1[:10]):
        assert main(["show", name, "--local", dataset]) == ExitCode.USAGE
        error = capsys.readouterr().err
        assert "may be 2 workloads" in error
    candidates = [f"{name}/{ranked.W1}" for name in (ranked.GEMM, ranked.NORM)]
    assert error.rstrip().endswith(f"name one: {', '.join(candidates)}")
    for name in candidates:
        shown(capsys, name, "--local", dataset)


def test_one_name_for_two_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namesake = {"solutions/x.json": ranked.solution(ranked.GEMM, "alice")}
    dataset = ranked.build(tmp_path / "dataset", **namesake)
    assert main(["show", ranked.GEMM, "--local", dataset]) == ExitCode.USAGE
    assert "is a definition and a solution; say which with --kind" in capsys.readouterr().err
    text = shown(capsys, ranked.GEMM, "--kind", "solution", "--local", dataset)
    assert text.startswith("gemm_n8_k4 (by alice)\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["gemm_n8_k5"], "did you mean gemm_n8_k4?"),
        (["tiny_llm"], "did you mean tiny-llm?"),
        (["fast", "--kind", "model"], "no model 'fast'"),
        (["zzz"], "`flashinfer-bench list` shows all"),
    ],
)
def test_unknown_names(
    words: list[str], hint: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *words, "--local", dataset]) == ExitCode.NOT_FOUND
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert hint in captured.err
