"""`definition`: from a name alone to the full JSON."""

from __future__ import annotations

import json

import pytest

from flashinfer_bench.cli import main
from flashinfer_bench.data import Definition
from flashinfer_bench.errors import ExitCode

Capture = pytest.CaptureFixture[str]


def test_a_name_gives_the_whole_definition(capsys: Capture) -> None:
    assert main(["definition", "gemm_n_6144_k_4096"]) == ExitCode.OK
    definition = Definition.model_validate_json(capsys.readouterr().out)
    assert definition.name == "gemm_n6144_k4096"
    assert definition.const_axes == {"N": 6144, "K": 4096}


def test_unknown_names_get_close_matches(capsys: Capture) -> None:
    assert main(["definition", "rmsnom_h4096"]) == ExitCode.NOT_FOUND
    output = capsys.readouterr()
    assert not output.out
    assert "rmsnorm_h{hidden_size}" in output.err


def test_the_list_of_operations(capsys: Capture) -> None:
    assert main(["definition", "--list", "--op-type", "rmsnorm", "--format", "json"]) == ExitCode.OK
    names = [row["name"] for row in json.loads(capsys.readouterr().out)]
    assert "fused_add_rmsnorm_h{hidden_size}[_eps{eps_exponent}]" in names
    assert main(["definition", "--list"]) == ExitCode.OK
    assert "gemm_n{N}_k{K}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], ExitCode.USAGE),
        (["rmsnorm_h64", "--list"], ExitCode.USAGE),
        (["--list", "--op-type", "rmsnrm"], ExitCode.NOT_FOUND),
    ],
)
def test_wrong_words(words: list[str], code: ExitCode, capsys: Capture) -> None:
    assert main(["definition", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
