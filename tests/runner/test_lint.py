"""`claude-code check`: each rule, broken once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flashinfer_bench.runner.main import main

Printed = pytest.CaptureFixture[str]
TEXT = "write-a-word/SKILL.md"
TABLE = "write-a-word/references/parameters.md"
PLUGIN = ".claude-plugin/plugin.json"


def test_a_sound_bundle_has_no_problem(bundle: Path, capsys: Printed) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["check", str(bundle), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "told"),
    [
        (TEXT, "name: write-a-word", "name: write-words", 2, "expected the folder's"),
        (TEXT, "license:", "model:", 4, "field 'model'"),
        (TEXT, "Writes a word.", "Writes <b>.", 3, "angle brackets"),
        (TEXT, "Writes a word.", "x" * 1024, 3, "expected 1 to 1024"),
        (TEXT, '"Writes a word. Use when a test runs."', '""', 3, "0 characters"),
        (TEXT, "license: Apache-2.0", f"compatibility: {'x' * 501}", 4, "at most 500"),
        (TEXT, 'metadata:\n  version: "0.1.0"', "metadata: x", 5, "`key: value` lines"),
        (TEXT, "license: Apache", "license: a: b", 4, "quote this value"),
        (TEXT, "# Write a word", "# Write a word" + "\nx" * 500, 11, "at most 499"),
        (TEXT, "skills.write_a_word $", "skills.writes_a_word $", 13, "expected one line"),
        (TEXT, "skills.write_a_word $", "skills.writes_a_word $", 13, "there is no module"),
        (TEXT, " $ARGUMENTS", "", 11, "expected one line"),
        (TEXT, "# Write a word", "# $ARGUMENTS", 13, "in one line only"),
        (TEXT, "`--dry-run` writes", "`--dry-ran` writes", 15, "no skill takes --dry-ran"),
        (TEXT, "| 3 |", "| 9 |", 19, "there is no exit code 9"),
        (TEXT, "references/parameters.md", "references/other.md", 15, "does not exist"),
        (TEXT, "references/parameters.md", "a/b/c.md", 15, "one folder below"),
        (TEXT, "references/parameters.md", "../x.md", 15, "one folder below"),
        (TABLE, "# Parameters", "# [x](other.md)", 1, "links on to other.md"),
        (TABLE, "`1`", "`2`", 7, "table is stale"),
        (TABLE, "parameters write-a-word", "parameters write-words", 3, "no skill"),
        (PLUGIN, "flashinfer-bench", "flashinfer", 2, "expected 'flashinfer-bench'"),
        (PLUGIN, '"version": "', '"version": "9', 3, "version '9"),
        (PLUGIN, "}", "", 5, "Expecting"),
    ],
)
def test_each_problem_is_told_with_file_and_line(
    bundle: Path, capsys: Printed, file: str, old: str, new: str, line: int, told: str
) -> None:
    path = bundle / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert main(["check"]) == 5
    found = capsys.readouterr().out.splitlines()
    assert [it for it in found if it.startswith(f"{path}:{line}: ") and told in it], found


def test_flags_of_other_programs_are_not_ours_to_judge(bundle: Path) -> None:
    path = bundle / TEXT
    path.write_text(
        f"{path.read_text()}\n`flashinfer-bench run --definitions x`, `git log --all`\n"
    )
    assert main(["check"]) == 0


def test_fix_makes_stale_tables_anew(bundle: Path) -> None:
    path = bundle / TABLE
    sound = path.read_text()
    path.write_text(sound.replace("`1`", "`2`"))
    assert main(["check", "--fix"]) == 0
    assert path.read_text() == sound


def test_a_skill_without_helper_is_checked_as_a_text(bundle: Path, capsys: Printed) -> None:
    path = bundle / "collect-more" / "SKILL.md"
    path.parent.mkdir()
    path.write_text("---\nname: collect-more\ndescription: Collects.\n---\n\n`--any-flag`\n")
    assert main(["check"]) == 0
    path.write_text(path.read_text().replace("collect-more", "other"))
    assert main(["check"]) == 5


def test_a_checkout_needs_a_marketplace_and_the_link(bundle: Path, capsys: Printed) -> None:
    checkout = bundle.parent / "checkout"
    checkout.mkdir()
    bundle.rename(checkout / "skills")
    (checkout / "pyproject.toml").touch()
    assert main(["check", str(checkout / "skills")]) == 5
    told = capsys.readouterr().out
    assert "marketplace.json:1: No such file" in told
    assert "expected a link to ../skills" in told
    entry = {"name": "flashinfer-bench", "source": "./skills"}
    manifest = checkout / ".claude-plugin" / "marketplace.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"plugins": [entry]}))
    (checkout / ".claude").mkdir()
    (checkout / ".claude" / "skills").symlink_to("../skills")
    assert main(["check", str(checkout / "skills")]) == 0
    manifest.write_text(json.dumps({"plugins": [{**entry, "source": "./"}]}))
    assert main(["check", str(checkout / "skills")]) == 5


def test_what_claude_says_of_the_plugin_counts(
    bundle: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bundle.parent / "claude"
    program.write_text('#!/bin/sh\necho "$@"; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("FIB_CLAUDE", str(program))
    assert main(["check"]) == 5
    assert f"fails: plugin validate --strict {bundle}" in capsys.readouterr().out
