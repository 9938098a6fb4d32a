"""Starting is cheap: what the package and its help load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flashinfer_bench

HEAVY = ("torch", "triton", "flashinfer", "libcst", "anthropic", "huggingface_hub", "numpy")
LOADED = "import sys; print(*(name for name in sys.argv[1:] if name in sys.modules))"


def loaded_after(code: str, *names: str) -> set[str]:
    """Which of the modules a fresh process has loaded after running `code`."""
    script = f"{code}\n{LOADED}"
    command = [sys.executable, "-c", script, *names]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(output.splitlines()[-1].split() if output.strip() else ())


def test_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import flashinfer_bench", "pydantic", "rich", *HEAVY)


def test_the_data_layer_loads_pydantic_but_nothing_heavy() -> None:
    assert not loaded_after("import flashinfer_bench.data", "pydantic", *HEAVY)
    code = "from flashinfer_bench.data import TraceSet"
    assert loaded_after(code, "pydantic", *HEAVY) == {"pydantic"}


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import flashinfer_bench.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code, stop.code"
    )
    assert not loaded_after(code, "pydantic", "rich", *HEAVY)


@pytest.mark.parametrize("name", flashinfer_bench.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(flashinfer_bench, name) is not None
    assert name in dir(flashinfer_bench)


def test_public_names_are_sorted_and_unknown_ones_fail() -> None:
    assert sorted(flashinfer_bench.__all__) == sorted(set(flashinfer_bench.__all__))
    with pytest.raises(AttributeError, match="Definitoin"):
        _ = flashinfer_bench.Definitoin


def test_changelog_names_the_version() -> None:
    from pathlib import Path

    changelog = Path(__file__).parents[1].joinpath("CHANGELOG.md").read_text()
    newest = next(line for line in changelog.splitlines() if line.startswith("## ["))
    assert newest.startswith(f"## [{flashinfer_bench.__version__}]")


def test_module_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "flashinfer_bench", "--version"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.strip() == f"flashinfer-bench {flashinfer_bench.__version__}"
