"""The command line: words, exit codes, what is printed where, and the record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flashinfer_bench.cli import main as cli_main
from flashinfer_bench.errors import UsageError
from flashinfer_bench.runner.main import main
from flashinfer_bench.runner.parsing import runner_flags
from flashinfer_bench.skills import registry

Printed = pytest.CaptureFixture[str]


def records() -> list[dict[str, object]]:
    folder = Path(os.environ["FIB_CACHE_PATH"]) / "runs"
    return [json.loads(it.read_text()) for it in sorted(folder.glob("*.json"))]


def test_run_writes_prints_and_leaves_a_record(bundle: Path, capsys: Printed) -> None:
    assert main(["run", "write-a-word", "--word", "hello", "--format", "json"]) == 0
    assert Path("word.txt").read_text() == "hello"
    printed = json.loads(capsys.readouterr().out)
    assert (printed["status"], printed["engine"]) == ("ok", "pipeline")
    [record] = records()
    assert record["command"] == ["claude-code", "run", "write-a-word", *record["command"][3:]]  # type: ignore[index]
    assert record["exit_code"] == 0


def test_the_subcommand_is_the_same_runner(bundle: Path, capsys: Printed) -> None:
    assert cli_main(["skills", "run", "write_a_word", "--word=x", "--dry_run", "true"]) == 0
    assert "wrote x" in capsys.readouterr().out
    assert not Path("word.txt").exists()


@pytest.mark.parametrize("first", ["-p", "runn", "mcp"])
def test_other_words_are_not_taken_for_claude(first: str, capsys: Printed) -> None:
    assert main([first, "hello"]) == 2
    told = capsys.readouterr().err
    assert "the Claude Code CLI is `claude`" in told
    assert told.count("\n") == 1


def test_a_typo_names_the_skill_that_is_meant(bundle: Path) -> None:
    with pytest.raises(UsageError, match="did you mean write-a-word"):
        main(["run", "write-a-wrod"])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--word", "absent"], 3, "no word absent"),
        (["--word", "bad"], 5, "the word is bad"),
        (["--times", "2"], 2, "--word is needed"),
        (["--word", "x", "--model", "m"], 2, "--model needs --engine claude or api"),
        (["--word", "x", "--engine", "claude"], 6, "no `claude` on PATH"),
        (["--word", "interrupt"], 130, "interrupted"),
    ],
)
def test_failures_have_a_code_one_line_and_a_record(
    bundle: Path, capsys: Printed, words: list[str], code: int, told: str
) -> None:
    assert main(["run", "write-a-word", *words]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    [record] = records()
    assert record["exit_code"] == code
    assert "record of this run: " in printed.err


def test_a_key_does_not_choose_the_engine(
    bundle: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert main(["run", "write-a-word", "--word", "x", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "pipeline"


@pytest.mark.parametrize("flag", ["--wrod", "--mod", "--max-turns=0", "--timeout=nan"])
def test_flags_that_are_off_end_with_2(bundle: Path, capsys: Printed, flag: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", "write-a-word", "--word", "x", flag])
    assert stop.value.code == 2


@pytest.mark.parametrize("name", registry.MODULES)
def test_no_skill_has_a_flag_of_the_runner(name: str) -> None:
    fields = registry.load_skill(name).params.model_fields
    assert not runner_flags() & {f"--{it.replace('_', '-')}" for it in fields}


def test_list_and_show_tell_what_the_texts_say(bundle: Path, capsys: Printed) -> None:
    assert main(["list", "--format", "json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["runs"]) == ("write-a-word", True)
    assert main(["show", "write-a-word"]) == 0
    assert "$ARGUMENTS" in capsys.readouterr().out


def test_show_rendered_is_what_the_engines_send(bundle: Path, capsys: Printed) -> None:
    words = ["show", "write-a-word", "--rendered", "--format", "json", "--", "--word", "a b"]
    assert main(words) == 0
    sent = json.loads(capsys.readouterr().out)
    assert "/flashinfer-bench:write-a-word --word 'a b'" in sent["engine claude: command"]
    expanded = sent["engine claude: the text as Claude Code expands it"]
    assert "write_a_word --word 'a b'\n" in expanded
    assert sent["engine api: user"] == "/write-a-word --word 'a b'"
    assert "$ARGUMENTS" in sent["engine api: system"]


def test_doctor_tells_where_the_skills_are(bundle: Path, capsys: Printed) -> None:
    assert main(["doctor", "--format", "json"]) == 0
    found = {it["name"]: it for it in json.loads(capsys.readouterr().out)}
    assert str(bundle) in found["skills"]["found"]
    assert found["claude"]["status"] == "missing"


def test_help_of_the_runner_loads_no_pydantic() -> None:
    code = (
        "import sys\nfrom flashinfer_bench.runner.main import main\n"
        "assert main(['--help']) == 0\nassert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
