from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import ranked_dataset as ranked

from flashinfer_bench.cli import main
from flashinfer_bench.errors import ExitCode

ALICE = {
    "rank": 1,
    "name": "alice",
    "score": pytest.approx(15 ** (1 / 3) - 1),
    "geomean_speedup": pytest.approx(math.sqrt(8)),
    "fast_p": pytest.approx(2 / 3),
    "coverage": 1.0,
    "passed": 3,
    "failed": 1,
    "not_attempted": 0,
    "wins": 2,
    "workloads": 4,
    "definitions": 1,
}
"""Ratios 2, 4 and 0 where there is a baseline: (1 + 2)(1 + 4)(1 + 0) = 15."""
BOB = {
    "rank": 2,
    "name": "bob",
    "score": pytest.approx(1.5 ** (1 / 3) - 1),
    "geomean_speedup": pytest.approx(0.5),
    "fast_p": 0.0,
    "coverage": 0.25,
    "passed": 1,
    "failed": 0,
    "not_attempted": 3,
    "wins": 0,
    "workloads": 4,
    "definitions": 1,
}


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    return ranked.build(tmp_path / "dataset")


def reported(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["report", *words, "--format", "json"]) == ExitCode.OK
    return json.loads(capsys.readouterr().out)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["report", *words]) == ExitCode.OK
    return capsys.readouterr().out


def test_summary(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    (summary,) = reported(capsys, "summary", "--local", dataset)
    assert summary["totals"] == {
        "definitions": 2,
        "solutions": 4,
        "workloads": 5,
        "traces": 11,
        "statuses": {"PASSED": 9, "TIMEOUT": 1, "RUNTIME_ERROR": 1},
    }
    gpu_a, gpu_b = summary["rankings"]
    assert gpu_a == {"hardware": "GPU-A", "standings": [ALICE, BOB], "unranked": [ranked.NORM]}
    assert gpu_b == {"hardware": "GPU-B", "standings": [], "unranked": [ranked.GEMM]}
    public = summary["summary"]
    assert (public["total"], public["passed"], public["failed"]) == (11, 9, 2)
    (name, metrics), _ = public["rankings"]
    assert (name, metrics["avg_speedup"], metrics["win_rate"]) == ("alice", 2.0, 2 / 3)


def test_summary_for_people(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "summary", "--local", dataset).splitlines()
    assert lines[1] == "2 definitions, 4 solutions, 5 workloads, 11 traces"
    assert lines[2] == "9 PASSED, 1 TIMEOUT, 1 RUNTIME_ERROR"
    title = lines.index("GPU-A, against baseline")
    heads, alice, bob = (" ".join(line.split()) for line in lines[title + 1 : title + 4])
    measures = "score geomean fast_p(0.95) coverage passed failed not attempted wins definitions"
    assert heads == f"rank author {measures}"
    assert alice == "1 alice 1.466 2.83x 67% 100% 3 1 0 2 1"
    assert bob == "2 bob 0.145 0.50x 0% 25% 1 0 3 0 1"
    wanting = "1 definition not ranked, for want of a passing result of baseline"
    assert f"GPU-A: {wanting}: {ranked.NORM}" in lines
    assert f"GPU-B: {wanting}: {ranked.GEMM}" in lines


def test_summary_by_solution_at_another_p(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--local", dataset, "--by", "solution", "-p", "2.5"]
    (summary,) = reported(capsys, "summary", *words)
    fast, slow = summary["rankings"][0]["standings"]
    assert (fast["name"], slow["name"]) == ("fast", "slow")
    assert fast["fast_p"] == pytest.approx(1 / 3)


def test_summary_against_the_references(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--local", dataset, "--baseline", "reference", "--definition", ranked.NORM]
    (summary,) = reported(capsys, "summary", *words)
    (ranking,) = summary["rankings"]
    (alice,) = ranking["standings"]
    assert (alice["name"], alice["geomean_speedup"]) == ("alice", pytest.approx(16))
    assert summary["totals"]["traces"] == 1


def test_summary_of_several_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [ranked.build(tmp_path / name) for name in ("one", "two")]
    summaries = reported(capsys, "summary", "--local", paths[0], "--local", paths[1])
    assert [summary["dataset"] for summary in summaries] == paths


def test_nothing_to_rank_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = ranked.build(tmp_path / "dataset")
    shutil.rmtree(Path(dataset, "solutions/baseline"))
    text = printed(capsys, "summary", "--local", dataset)
    assert "nothing is ranked against baseline; try --baseline reference" in text
    shutil.rmtree(Path(dataset, "traces"))
    assert "no results to rank" in printed(capsys, "summary", "--local", dataset)


@pytest.mark.parametrize("report", ["summary", "best", "visualize", "export"])
def test_a_mistyped_baseline_is_not_found(
    report: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", report, "--local", dataset, "--baseline", "alcie"])
    assert code == ExitCode.NOT_FOUND
    assert "no author 'alcie' in this dataset; did you mean alice?" in capsys.readouterr().err


@pytest.mark.parametrize("p", ["0", "-1", "inf", "nan", "fast"])
def test_p_is_a_positive_number(p: str, dataset: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", "summary", "--local", dataset, "-p", p])
    assert stop.value.code == ExitCode.USAGE


def test_best(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    (best,) = reported(capsys, "best", "--local", dataset)
    names = {"hardware": "GPU-A", "definition": ranked.GEMM, "solution": "fast", "author": "alice"}
    assert {key: best[key] for key in names} == names
    assert {key: best[key] for key in ALICE if key in best} == {
        key: value for key, value in ALICE.items() if key not in ("rank", "name", "definitions")
    }


def test_best_has_a_row_for_each_definition_that_anybody_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n1 = ranked.workload(ranked.N1, 7, ranked.NORM)
    results = [
        ranked.result(n1, "norm_base", 1.0),
        ranked.result(n1, "norm", "TIMEOUT"),
    ]
    files = {
        "solutions/n.json": ranked.solution("norm_base", "baseline", ranked.NORM),
        f"traces/alice/rmsnorm/{ranked.NORM}.jsonl": results,
    }
    dataset = ranked.build(tmp_path / "dataset", **files)
    text = printed(capsys, "best", "--local", dataset)
    (row,) = (line for line in text.splitlines() if line.startswith(ranked.GEMM))
    assert row.split()[:5] == [ranked.GEMM, "fast", "alice", "1.466", "2.83x"]
    assert not [line for line in text.splitlines() if line.startswith(ranked.NORM)]


def test_best_on_one_hardware(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["best", "--local", dataset, "--baseline", "reference"]
    rows = reported(capsys, *words, "--hardware", "GPU-B")
    assert [(row["hardware"], row["geomean_speedup"]) for row in rows] == [
        ("GPU-B", pytest.approx(16))
    ]
    assert main(["report", *words, "--hardware", "GPU-C"]) == ExitCode.NOT_FOUND
    assert "did you mean GPU-" in capsys.readouterr().err


def test_visualize_on_the_terminal(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    title, axis, alice, bob, *_ = printed(capsys, "visualize", "--local", dataset).splitlines()
    assert title == "GPU-A: share of 3 workloads at least p times as fast as baseline"
    # 60 columns for p from 0 to 4.25; the pinned 0.95 in column 13, 2 in 28, 4 in 56, 0.5 in 7
    start = axis.index("0     ")
    assert axis[start:] == f"0{' ' * 12}▼0.95{' ' * 38}4.25"
    assert (alice.split()[:2], bob.split()[:2]) == (["alice", "67%"], ["bob", "0%"])
    assert alice[start:] == "▅" * 28 + "▃" * 28
    assert bob[start:] == "▃" * 7


def test_visualize_puts_the_highest_at_p_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bob is as fast as the baseline everywhere: a lower score than Alice's, but no failure."""
    bob = [ranked.result(ranked.workload(uuid, 1), "slow", 4.0) for uuid in ranked.UUIDS[:3]]
    path = f"traces/bob/gemm/{ranked.GEMM}.jsonl"
    dataset = ranked.build(tmp_path / "dataset", **{path: bob})
    _, _, first, second, *_ = printed(capsys, "visualize", "--local", dataset).splitlines()
    assert (first.split()[:2], second.split()[:2]) == (["bob", "100%"], ["alice", "67%"])
    _, _, first, second, *_ = printed(
        capsys, "visualize", "--local", dataset, "-p", "2"
    ).splitlines()
    assert (first.split()[:2], second.split()[:2]) == (["alice", "67%"], ["bob", "0%"])


def test_visualize_as_json(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    gpu_a, gpu_b = reported(capsys, "visualize", "--local", dataset)
    alice, bob = gpu_a["curves"]
    assert (alice["name"], alice["fast_p"]) == ("alice", pytest.approx(2 / 3))
    assert (bob["curve"][0], bob["curve"][-1]) == ([0, 1], [1, 0])
    assert (gpu_b["curves"], gpu_b["unranked"]) == ([], [ranked.GEMM])


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_visualize_draws(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "<b>&mallory"
    path = f"solutions/alice/gemm/{ranked.GEMM}/fast.json"
    dataset = ranked.build(tmp_path / "dataset", **{path: ranked.solution("fast", name)})
    file = tmp_path / f"curves{suffix}"
    printed(capsys, "visualize", "--local", dataset, "--output", str(file))
    text = file.read_text()
    drawing = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    space = {"svg": "http://www.w3.org/2000/svg"}
    paths = drawing.findall(".//svg:path[svg:title]", space)
    # 600 x 300 for p from 0 to 4.25 and shares from 1 to 0: two thirds to 2, one third to 4
    assert [path.get("d") for path in paths] == [
        "M0 100.0H284.0V200.0H566.0V300.0H600",
        "M0 200.0H72.0V300.0H600",
    ]
    assert paths[0].findtext("svg:title", namespaces=space) == name
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_visualize_leaves_no_file_for_nothing(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "curves.svg"
    words = ["report", "visualize", "--local", dataset, "--output", str(file)]
    assert main([*words, "--definition", ranked.NORM]) == ExitCode.NOT_FOUND
    assert main([*words[:-1], str(tmp_path / "curves.png")]) == ExitCode.USAGE
    assert "end it in one of .svg, .html" in capsys.readouterr().err
    assert not list(tmp_path.glob("curves*"))


EXPORTED = {
    "definition": ranked.GEMM,
    "op_type": "gemm",
    "axes": {"M": 1},
    "workload": ranked.W1,
    "solution": "fast",
    "author": "alice",
    "language": "python",
    "hardware": "GPU-A",
    "status": "PASSED",
    "latency_ms": 2.0,
    "reference_latency_ms": 16.0,
    "baseline_latency_ms": 4.0,
    "ratio": 2.0,
    "max_absolute_error": 0.5,
    "max_relative_error": 0.25,
    "timestamp": "2026-01-01T00:05:00",
}


def test_export_has_the_newest_verdicts(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = reported(capsys, "export", "--local", dataset)
    assert len(rows) == 10
    assert EXPORTED in rows
    (failed,) = (row for row in rows if row["status"] == "RUNTIME_ERROR")
    assert (failed["latency_ms"], failed["baseline_latency_ms"], failed["ratio"]) == (None, 4.0, 0)
    (alone,) = (row for row in rows if row["workload"] == ranked.W4)
    assert (alone["latency_ms"], alone["baseline_latency_ms"], alone["ratio"]) == (1.0, None, None)


def test_export_as_csv(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "export", "--local", dataset, "--op-type", "gemm")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 9
    wanted = {**{key: str(value) for key, value in EXPORTED.items()}, "axes": '{"M":1}'}
    assert wanted in rows
    assert {row["ratio"] for row in rows if row["workload"] == ranked.W4} == {""}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_export_into_a_file(
    suffix: str, dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"rows{suffix}"
    words = ["export", "--local", dataset, "--output", str(file)]
    assert printed(capsys, *words) == f"{file}: 10 rows\n"
    text = file.read_text()
    if suffix == ".csv":
        assert len(list(csv.reader(io.StringIO(text)))) == 11
    elif suffix == ".jsonl":
        assert EXPORTED in [json.loads(line) for line in text.splitlines()]
    else:
        assert EXPORTED in json.loads(text)


def test_export_of_a_solution_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ranked.build(tmp_path / "dataset")
    shutil.rmtree(Path(dataset, "solutions/bob"))
    rows = reported(capsys, "export", "--local", dataset)
    (row,) = (row for row in rows if row["solution"] == "slow")
    assert (row["author"], row["language"], row["latency_ms"]) == (None, None, 8.0)


def test_export_refuses_other_suffixes(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.xlsx"
    code = main(["report", "export", "--local", dataset, "--output", str(file)])
    assert (code, file.exists()) == (ExitCode.USAGE, False)


@pytest.mark.parametrize("report", ["visualize", "export"])
def test_one_dataset_where_one_is_taken(report: str, dataset: str) -> None:
    assert main(["report", report, "--local", dataset, "--local", dataset]) == ExitCode.USAGE


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("columns", "left_out"), [(80, "not attempted, definitions"), (130, None)])
def test_a_terminal_gets_the_columns_that_fit(
    columns: int, left_out: str | None, dataset: str
) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "flashinfer_bench", "report", "summary", "--local", dataset]
    surroundings = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    subprocess.run(command, stdout=theirs, check=True, env=surroundings)
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert "\x1b[1m" in text
    assert max(len(line.rstrip()) for line in lines if line != dataset) <= columns
    heads = next(line for line in lines if line.startswith("rank"))
    assert ("definitions" in heads) is (left_out is None)
    assert f"(no room for: {left_out})" in lines or left_out is None


@pytest.mark.parametrize("report", ["summary", "best", "visualize", "export"])
def test_a_mistyped_path_makes_no_folder(
    report: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", report, "--local", str(tmp_path / "typo")])
    assert (code, capsys.readouterr().out) == (ExitCode.NOT_FOUND, "")
    assert not list(tmp_path.iterdir())
