"""Each thing that `claude-code check` looks at, broken in a copy, is named with file and line."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import ExitCode
from flashinfer_bench.runner.bundle import PLACEHOLDER, bundle_at
from flashinfer_bench.runner.lint import fix_tables, problems_of
from flashinfer_bench.runner.main import main
from flashinfer_bench.skills.registry import MODULES

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Break:
    """A change of one file, and what the check says of it."""

    file: str
    old: str
    new: str
    says: str
    """Pattern of the message."""
    at: str | None = None
    """In the line that is named; None for the first line of `new`."""


_ADD, _TABLE = "skills/add-new-model/SKILL.md", "skills/add-new-model/references/parameters.md"
_COLLECT = "skills/collect-workloads/SKILL.md"
_PLUGIN, _MARKET = "skills/.claude-plugin/plugin.json", ".claude-plugin/marketplace.json"
_TITLE, _LINKED = "# Add a new model", "(references/parameters.md)"
_COMMAND = f"python -m {MODULES['add-new-model']} {PLACEHOLDER}"
BREAKS = {
    "no header": Break(_ADD, "---\nname", "name", "header"),
    "open header": Break(_ADD, "PATH]\n---\n", "PATH]\n", "not closed|`key: value`", ""),
    "unquoted colon": Break(_ADD, "license: Apache", "license: a: Apache", "quote this value"),
    "unknown field": Break(_ADD, "license:", "licence:", "'licence'"),
    "field twice": Break(_ADD, "license:", "name: add-new-model\nlicense:", "twice"),
    "other name": Break(_ADD, "name: add-new-model", "name: add-model", "'add-new-model'"),
    "no description": Break(_ADD, "description: ", "argument-hint: ", "twice|0 char", ""),
    "long description": Break(_ADD, "description: ", f"description: {'long ' * 205}", "1024"),
    "angle brackets": Break(_ADD, "description: ", "description: Takes <model>. ", "angle"),
    "long compatibility": Break(
        _ADD, "compatibility: ", f"compatibility: {'long ' * 101}", "500 characters"
    ),
    "flat metadata": Break(
        _ADD, "metadata:\n  version:", "metadata: text\nlicense-of:", "indented"
    ),
    "long body": Break(_ADD, _TITLE, _TITLE + "\nx" * 500, "499", _TITLE),
    "no arguments": Break(_ADD, PLACEHOLDER, "", "expected one line", _TITLE),
    "arguments twice": Break(_ADD, "## Before", f"{PLACEHOLDER}\n## Before", "again"),
    "other helper": Break(_ADD, _COMMAND, _COMMAND.replace("add_new", "add_old"), "expected"),
    "other flag": Break(_ADD, "`--dry-run`", "`--try-run`", "--try-run", "`--try-run`"),
    "other exit code": Break(_ADD, "\n| 130 |", "\n| 131 |", "131", "| 131 |"),
    "dead link": Break(_ADD, _LINKED, "(references/parameter.md)", "does not exist"),
    "deep link": Break(_ADD, _LINKED, "(references/a/b.md)", "one folder"),
    "link outside": Break(_ADD, _LINKED, "(../README.md)", "one folder"),
    "link of a reference": Break(_TABLE, "# Param", "[x](naming.md)\n# Param", "links on"),
    "stale table": Break(_TABLE, "ask no network", "ask a network", "stale"),
    "table of no skill": Break(
        _TABLE, "parameters add-new-model -->", "parameters add-old-thing -->", "no skill"
    ),
    "header of a skill without a helper": Break(_COLLECT, "license:", "licence:", "'licence'"),
    "link of a skill without a helper": Break(
        _COLLECT, "## Consent", "[x](references/x.md)\n## Consent", "does not exist"
    ),
    "plugin's name": Break(_PLUGIN, '"name": "flashinfer-bench"', '"name": "other"', "'other'"),
    "plugin's version": Break(_PLUGIN, f'"{__version__}"', '"9.9.9"', "9.9.9"),
    "no JSON": Break(_PLUGIN, '"license"', "license", "Expecting"),
    "marketplace's plugin": Break(_MARKET, '"source"', '"name": "x", "source"', "no plugin", ""),
    "marketplace's source": Break(_MARKET, '"./skills"', '"./"', "source './'"),
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A checkout with the bundle and what is around it."""
    shutil.copytree(REPOSITORY / "skills", tmp_path / "skills")
    shutil.copytree(REPOSITORY / ".claude-plugin", tmp_path / ".claude-plugin")
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "skills").symlink_to("../skills")
    return tmp_path


def problems_in(checkout: Path) -> list[str]:
    return problems_of(bundle_at(checkout / "skills"))


def test_a_copy_has_no_problems(copied: Path) -> None:
    assert problems_in(copied) == []


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(name: str, copied: Path) -> None:
    broken = BREAKS[name]
    path = copied / broken.file
    text = path.read_text()
    assert broken.old in text
    path.write_text(text.replace(broken.old, broken.new, 1))
    (problem,) = [it for it in problems_in(copied) if re.search(broken.says, it)]
    where, line, _ = re.split(r":(\d+): ", problem, maxsplit=1)
    expected = broken.new.strip().partition("\n")[0] if broken.at is None else broken.at
    assert where == str(path)
    assert expected in path.read_text().split("\n")[int(line) - 1]


@pytest.mark.parametrize("target", [None, "../other"])
def test_a_missing_or_other_link_is_named(copied: Path, target: str | None) -> None:
    link = copied / ".claude" / "skills"
    link.unlink()
    if target:
        link.symlink_to(target)
    (problem,) = problems_in(copied)
    assert problem.startswith(f"{link}:1: ") and "../skills" in problem


def test_a_copied_folder_is_no_link(copied: Path) -> None:
    link = copied / ".claude" / "skills"
    link.unlink()
    shutil.copytree(copied / "skills", link)
    (problem,) = problems_in(copied)
    assert problem.startswith(f"{link}:1: expected a link")


def test_a_renamed_folder_is_named(copied: Path) -> None:
    (copied / "skills" / "add-new-model").rename(copied / "skills" / "add-model")
    problem, *_ = problems_in(copied)
    assert "add-model/SKILL.md:2: name is 'add-new-model'" in problem


def test_a_page_that_is_gone_is_named(copied: Path) -> None:
    (copied / _TABLE).unlink()
    (problem,) = problems_in(copied)
    assert re.search(r"SKILL\.md:\d+: references/parameters\.md does not exist", problem)


def test_tables_are_made_anew(copied: Path) -> None:
    page = copied / _TABLE
    before = page.read_bytes()
    page.write_bytes(before.replace(b"ask no network", b"ask a network"))
    fix_tables(bundle_at(copied / "skills"))
    assert page.read_bytes() == before


def test_the_command_says_so(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied / "skills"
    assert main(["check", str(folder)]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    (copied / _TABLE).unlink()
    assert main(["check", str(folder)]) == ExitCode.INVALID
    assert capsys.readouterr().out.count("does not exist") == 1
