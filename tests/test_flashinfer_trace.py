"""The dataset that ships with the repository: complete, fresh and valid."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flashinfer_bench.cli import main
from flashinfer_bench.data import TraceSet
from flashinfer_bench.ops.registry import operations, parse_name

DATASET = Path(__file__).parents[1] / "flashinfer_trace"
LINES = (DATASET / "definitions.txt").read_text(encoding="utf-8").splitlines()
LISTED = [line for line in LINES if line and not line.startswith("#")]
EXAMPLES = [operation.example.name for operation in operations()]
NAMES = sorted({*LISTED, *EXAMPLES})


def run(dataset: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The generator, where there is no torch."""
    code = (
        "import runpy, sys\nsys.modules['torch'] = None\nsys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(dataset / "generate.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_definitions_are_fresh() -> None:
    check = run(DATASET, "--check")
    assert check.returncode == 0, check.stderr


def test_the_list_has_official_names_once_each() -> None:
    assert len(LISTED) == len(set(LISTED))
    for name in LISTED:
        operation, constants = parse_name(name)
        assert operation.naming.format(constants) == name


def test_check_names_files_and_a_run_mends_them(tmp_path: Path) -> None:
    dataset = Path(shutil.copytree(DATASET, tmp_path / "dataset"))
    folder = dataset / "definitions" / "rmsnorm"
    missing, leftover, stale = (folder / f"rmsnorm_h{size}.json" for size in (128, 333, 512))
    before = missing.read_bytes(), stale.read_bytes()
    missing.rename(leftover)
    stale.write_bytes(before[1] + b"\n")
    check = run(dataset, "--check")
    assert check.returncode == 1
    states = [line.split(";")[0] for line in check.stderr.splitlines()]
    assert states == [f"{missing}: missing", f"{leftover}: leftover", f"{stale}: stale"]
    assert run(dataset).returncode == 0
    assert (missing.read_bytes(), stale.read_bytes()) == before
    assert not leftover.exists()


def test_older_spellings_give_the_official_name(tmp_path: Path) -> None:
    shutil.copy(DATASET / "generate.py", tmp_path)
    (tmp_path / "definitions.txt").write_text("gemm_n_64_k_32\n")
    assert run(tmp_path).returncode == 0
    names = {file.stem for file in (tmp_path / "definitions").rglob("*.json")}
    assert names == {"gemm_n64_k32", *EXAMPLES}


def test_it_validates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--dataset", str(DATASET)]) == 0
    assert f"{len(NAMES)} definitions, 0 errors, 0 warnings" in capsys.readouterr().out


def test_it_loads() -> None:
    assert sorted(TraceSet.from_path(DATASET).definitions) == NAMES


def test_files_are_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["definition", "rmsnorm_h4096"]) == 0
    file = DATASET / "definitions/rmsnorm/rmsnorm_h4096.json"
    assert file.read_text(encoding="utf-8") == capsys.readouterr().out


def test_workloads_are_recorded_ones_and_run() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from flashinfer_bench.workloads.proving import stored_problems

    files = sorted((DATASET / "workloads").rglob("*.jsonl"))
    assert len(files) >= 6
    for file in files:
        rows = [json.loads(line)["workload"] for line in file.read_text().splitlines()]
        assert {(row["source"], row["recorded_with"]["flashinfer"]) for row in rows} == {
            ("dump", "0.6.12")
        }
        assert stored_problems(DATASET, file, 1) == []
