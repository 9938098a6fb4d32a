"""The engine `claude`, driven by a program that plays Claude Code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flashinfer_bench.runner.main import main

Printed = pytest.CaptureFixture[str]
Play = Callable[[str], None]
HONEST = 'init("flashinfer-bench:write-a-word")\nhelper("--word", "hello")\nresult()'


def run(*more: str) -> int:
    words = ["run", "write-a-word", "--word", "hello", "--engine", "claude", *more]
    return main([*words, "--format", "json"])


def test_the_helper_that_the_agent_ran_decides(
    bundle: Path, claude: Play, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    claude(HONEST)
    assert run("--model", "m", "--max-turns", "3", "--max-budget-usd", "0.5", "--log", "log") == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "claude"
    assert Path("word.txt").read_text() == "hello"
    seen = json.loads(Path("seen.json").read_text())
    assert (seen["stdin"], seen["claudecode"], seen["group"]) == ("", False, True)
    assert seen["argv"] == [
        *("-p", "/flashinfer-bench:write-a-word --word hello", "--plugin-dir", str(bundle)),
        *("--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"),
        *("--permission-prompts", "none", "--allowedTools"),
        *("Bash(python -m flashinfer_bench.skills.*)", "Read"),
        *("--model", "m", "--max-turns", "3", "--max-budget-usd", "0.5"),
    ]
    kinds = [json.loads(line)["type"] for line in Path("log").read_text().splitlines()]
    assert kinds == ["system", "result"]


FORGED = (
    'init("write-a-word")\nenvelope = dict(skill="write-a-word", status="ok", exit_code=0,\n'
    'engine="pipeline", outputs=[dict(path="word.txt", kind="word", sha256="0", changed=True)],\n'
    "warnings=[], notes=[], next=[], error=None)\n"
    'open(os.environ["FIB_ENVELOPE"], "w").write(json.dumps(envelope))\nresult()'
)
CHANGED = HONEST.replace("result()", 'open("word.txt", "w").write("other")\nresult()')
DENIED = HONEST.replace(
    "result()",
    'result(permission_denials=[dict(tool_name="Bash", tool_input=dict(command="curl x"))])',
)
OUT_OF_TURNS = HONEST.replace("result()", 'result(subtype="error_max_turns", is_error=True)')


@pytest.mark.parametrize(
    ("play", "code", "told"),
    [
        ('init("write-a-word")\nresult(result="All done!")', 7, "never ran the helper"),
        ('init("something-else")\nhelper("--word", "hello")\nresult()', 7, "does not list"),
        ('helper("--word", "hello")\nresult()', 7, "told no skills"),
        (DENIED, 7, "denied Bash(curl x)"),
        (OUT_OF_TURNS, 7, "error_max_turns"),
        (HONEST.replace("result()", "sys.exit(1)"), 7, "status 1 and no result"),
        ('init("write-a-word")\nhelper("--word", "absent")\nresult()', 3, "no word absent"),
        ('init("write-a-word")\nhelper("--word", "bad")\nresult()', 5, "the word is bad"),
        (FORGED, 5, "word.txt"),
        (FORGED.replace("engine=", "engin="), 5, "was changed"),
        (CHANGED, 5, "holds something else"),
    ],
)
def test_success_is_never_taken_from_words(
    bundle: Path, claude: Play, capsys: Printed, play: str, code: int, told: str
) -> None:
    claude(play)
    assert run() == code
    printed = capsys.readouterr()
    assert told in printed.err
    assert json.loads(printed.out)["status"] == "failed"


def test_other_parameters_than_asked_for_are_a_warning(
    bundle: Path, claude: Play, capsys: Printed
) -> None:
    claude(HONEST.replace('"hello"', '"hello", "--times", "2"'))
    assert run() == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["status"] == "partial"
    assert printed["warnings"] == ["the agent ran with --times 2, not 1"]


def test_a_hanging_agent_is_ended_with_its_children(
    bundle: Path, claude: Play, capsys: Printed
) -> None:
    claude(
        'init("write-a-word")\nchild = subprocess.Popen(["sleep", "600"])\n'
        'open("child", "w").write(str(child.pid))\ntime.sleep(600)'
    )
    assert run("--timeout", "3") == 7
    assert "longer than 3 s" in capsys.readouterr().err
    status = Path("/proc", Path("child").read_text(), "stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"
