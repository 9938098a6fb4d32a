"""docs/adding_an_operation_type.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flashinfer_bench.data import Definition

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "adding_an_operation_type.md"
PARTS = (
    "flashinfer_bench",
    "flashinfer_trace",
    "docs",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/data/sample_dataset",
    "tests/ops",
)
"""What the guide's commands need of the repository."""

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
FILES = {path: text for language, path, text in BLOCKS if language == "python" and path}
DIFFS = {path: text for language, path, text in BLOCKS if language == "diff"}
COMMANDS = [
    line for language, _, text in BLOCKS if language == "bash" for line in text.splitlines()
]
NAME = "silu_and_mul_i14336"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="the commands are for bash")


def apply(path: Path, diff: str) -> None:
    """Replaces the lines of a diff that begin with a blank or `-` by those with a blank or `+`."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name}: {before!r}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def make_commands(folder: Path) -> None:
    """The commands' first words, as programs that use this interpreter."""
    programs = {"python": "", "pytest": "-m pytest", "flashinfer-bench": "-m flashinfer_bench"}
    folder.mkdir()
    for name, words in programs.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)


class Repository:
    """A copy of this one, in which commands find their programs and import the copy."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        self.programs = folder / "programs"
        make_commands(self.programs)
        for part in PARTS:
            source, target = ROOT / part, self.root / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        outer = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
        path = f"{self.programs}{os.pathsep}{outer.get('PATH', '')}"
        environment = {**outer, "PATH": path, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The repository with the guide's files and changes."""
    repository = Repository(tmp_path_factory.mktemp("guide"))
    for path, text in FILES.items():
        assert not (repository.root / path).exists(), f"{path} exists; the guide needs another op"
        (repository.root / path).write_text(text, encoding="utf-8")
    for path, diff in DIFFS.items():
        apply(repository.root / path, diff)
    return repository


@pytest.fixture(scope="module")
def results(written: Repository) -> dict[str, str]:
    """Command without its comment -> what it printed."""
    printed = {}
    for command in COMMANDS:
        ran = written.run(command)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        printed[command.partition("#")[0].strip()] = ran.stdout
    return printed


def test_the_guide_has_its_parts() -> None:
    assert list(FILES) == ["flashinfer_bench/ops/activation.py", "tests/ops/test_activation.py"]
    assert list(DIFFS) == ["flashinfer_bench/ops/registry.py"]
    added = [
        line for line in DIFFS["flashinfer_bench/ops/registry.py"].splitlines() if line[0] in "+-"
    ]
    assert added == ['+    "activation",']


def test_the_tests_ran_and_passed(results: dict[str, str]) -> None:
    [summary] = [text for command, text in results.items() if command.startswith("pytest")]
    passed = re.search(r"(\d+) passed", summary)
    assert passed is not None and int(passed[1]) > 15
    assert "skipped" not in summary


def test_the_definition_is_printed(results: dict[str, str]) -> None:
    printed = results[f"flashinfer-bench definition {NAME}"]
    definition = Definition.model_validate_json(printed)
    assert (definition.name, definition.op_type) == (NAME, "activation")
    assert definition.tags == ["fi_api:flashinfer.activation.silu_and_mul"]
    assert (
        "silu_and_mul_i{intermediate_size}"
        in results["flashinfer-bench definition --list --op-type activation"]
    )


def test_names_lead_there_and_back(written: Repository) -> None:
    code = (
        "import json; from flashinfer_bench.ops.registry import format_name, parse_name; "
        f"operation, constants = parse_name('{NAME}'); "
        "print(json.dumps([constants, format_name(operation.kind, constants)]))"
    )
    ran = written.run(f'python -c "{code}"')
    assert json.loads(ran.stdout) == [{"intermediate_size": 14336}, NAME], ran.stderr


def test_page_and_definition_are_there_and_fresh(
    written: Repository, results: dict[str, str]
) -> None:
    page = (written.root / "docs/op_type_schema/activation.md").read_text(encoding="utf-8")
    assert f"flashinfer-bench definition {NAME}" in page
    index = (written.root / "docs/op_type_schema/README.md").read_text(encoding="utf-8")
    assert "[silu_and_mul](activation.md#silu_and_mul)" in index
    file = written.root / f"flashinfer_trace/definitions/activation/{NAME}.json"
    assert file.read_text(encoding="utf-8") == results[f"flashinfer-bench definition {NAME}"]
    for script in ("docs/generate.py", "flashinfer_trace/generate.py"):
        check = written.run(f"python {script} --check")
        assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    "tool",
    [
        "ruff format --check {files}",
        "ruff check {files}",
        pytest.param("mypy {modules}", marks=pytest.mark.slow),
    ],
)
def test_the_code_is_in_style(written: Repository, tool: str) -> None:
    program = tool.partition(" ")[0]
    if find_spec(program) is None:
        pytest.skip(f"no {program}")
    modules = [path for path in FILES if path.startswith("flashinfer_bench/")]
    ran = written.run(f"python -m {tool.format(files=' '.join(FILES), modules=' '.join(modules))}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
