from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.cli import doctor, main
from flashinfer_bench.errors import ExitCode

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")


def diagnosed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """Name -> fact."""
    assert main(["doctor", "--format", "json"]) == ExitCode.OK
    return {fact["name"]: fact for fact in json.loads(capsys.readouterr().out)}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def add_tool(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_packages_and_their_oldest_versions_are_those_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lists = dict(
        re.findall(r"^(dependencies|bench|models|agents|flashinfer) = \[(.*)\]$", text, re.M)
    )
    declared = {
        (doctor.CORE if extra == "dependencies" else extra, *requirement)
        for extra, requirements in lists.items()
        for requirement in re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)', requirements)
    }
    assert {package[:3] for package in doctor.PACKAGES} == declared


def test_facts(capsys: pytest.CaptureFixture[str]) -> None:
    facts = diagnosed(capsys)
    assert facts["python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["pydantic"]["status"] == "ok"
    assert int(facts["CPUs"]["found"].split()[0]) >= 1
    assert {fact["status"] for fact in facts.values()} <= {"ok", "note", "missing"}


def test_people_get_one_line_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert re.search(r"^ok +package +pydantic +[\d.]+ +everything$", out, re.M)


@pytest.mark.parametrize(
    ("installed", "oldest", "status"),
    [("2.10.1", "2.10", "ok"), ("2.9", "2.10", "note"), ("2.13.0+cpu", "2.11", "ok")],
)
def test_old_versions_are_noted(
    installed: str, oldest: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"made_up-{installed}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: made-up\nVersion: {installed}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fact = doctor.package("bench", "made-up", oldest, "this test")
    assert (fact.status, fact.found.split(",")[0]) == (status, installed)


def test_missing_packages_name_their_extra() -> None:
    fact = doctor.package("agents", "no-such-package", "1", "this test")
    assert (fact.status, fact.extra, fact.needed_for) == ("missing", "agents", "this test")


@posix
def test_tools_on_path(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_tool(tools, "nvcc", "exit 0")
    facts = diagnosed(capsys)
    assert (facts["nvcc"]["status"], facts["nvcc"]["found"]) == ("ok", str(tools / "nvcc"))
    assert facts["g++"]["status"] == facts["GPU"]["status"] == "missing"
    assert facts["user namespaces"]["found"] == "unknown: no unshare"


@posix
def test_gpus(
    tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "NVIDIA H200, 580.82.07, 143771 MiB"
    add_tool(tools, "nvidia-smi", f"echo '{line}'\necho '{line}'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    facts = diagnosed(capsys)
    assert facts["GPU 0"]["found"] == "NVIDIA H200, 143771 MiB, driver 580.82.07"
    assert facts["GPU 1"]["status"] == "ok"
    assert "GPU" not in facts
    assert facts["CUDA_VISIBLE_DEVICES"]["found"] == "1"


@posix
def test_a_failing_nvidia_smi_is_told(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_tool(tools, "nvidia-smi", "exit 9")
    fact = diagnosed(capsys)["GPU"]
    assert (fact["status"], fact["found"]) == ("missing", "nvidia-smi fails")


def test_folders_are_looked_at_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIB_CACHE_PATH", str(tmp_path / "a/cache"))
    monkeypatch.setenv("FIB_DATASET_PATH", str(tmp_path / "dataset"))
    facts = diagnosed(capsys)
    assert (facts["cache"]["status"], facts["dataset"]["status"]) == ("note", "missing")
    assert "does not exist, writable" in facts["dataset"]["found"]
    assert not list(tmp_path.iterdir())
    (tmp_path / "dataset").mkdir()
    assert diagnosed(capsys)["dataset"]["status"] == "ok"


def test_variables_are_shown_but_no_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIB_ENABLE_APPLY", "1")
    monkeypatch.setenv("FIB_SERVE_TOKEN", "hunter2")
    facts = diagnosed(capsys)
    assert facts["FIB_ENABLE_APPLY"]["found"] == "1"
    assert facts["FIB_SERVE_TOKEN"]["found"] == "(set)"


def test_a_broken_installation_is_told_without_a_traceback() -> None:
    """Without site-packages there is neither pydantic nor rich."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from flashinfer_bench.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (ExitCode.MISSING_REQUIREMENT, "")
    assert re.search(r"^broken +package +pydantic +not installed", done.stdout, re.M)
    assert "pip install 'flashinfer-bench[" in done.stdout


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from flashinfer_bench.cli import main; main(['doctor', '--format', 'json'])"
    code += "\nheavy = {'torch', 'pydantic', 'rich', 'safetensors'} & set(sys.modules)"
    code += "\nsys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
