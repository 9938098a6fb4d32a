"""`claude-code install`: links and copies, and nothing of others touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from flashinfer_bench.errors import DataError
from flashinfer_bench.runner.main import main

Printed = pytest.CaptureFixture[str]


def test_links_lead_to_the_bundle_and_stay(bundle: Path, capsys: Printed) -> None:
    assert main(["install"]) == 0
    entry = Path(".claude/skills/write-a-word")
    assert entry.is_symlink()
    assert entry.resolve() == bundle / "write-a-word"
    assert "installed" in capsys.readouterr().out
    assert main(["install"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert [it.name for it in entry.parent.iterdir()] == ["write-a-word"]


def test_copies_are_replaced_when_the_bundle_changes(bundle: Path, capsys: Printed) -> None:
    words = ["install", "project", "--agents", "--copy"]
    assert main(words) == 0
    entry = Path("project/.agents/skills/write-a-word")
    assert not entry.is_symlink()
    (entry / "old.md").write_text("of an older version")
    source = bundle / "write-a-word" / "SKILL.md"
    source.write_text(source.read_text() + "more\n")
    capsys.readouterr()
    assert main(words) == 0
    assert "installed" in capsys.readouterr().out
    assert (entry / "SKILL.md").read_text() == source.read_text()
    assert not (entry / "old.md").exists()
    assert main(words) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main(["install", "project", "--agents"]) == 0
    assert entry.is_symlink()
    assert source.exists()


def test_links_become_copies_without_touching_the_bundle(bundle: Path) -> None:
    assert main(["install"]) == 0
    assert main(["install", "--copy"]) == 0
    entry = Path(".claude/skills/write-a-word")
    assert not entry.is_symlink()
    assert (bundle / "write-a-word" / "SKILL.md").exists()
    assert not (bundle / "write-a-word" / ".flashinfer-bench").exists()


@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_foreign_entries_are_refused_and_nothing_is_written(
    bundle: Path, tmp_path: Path, kind: str
) -> None:
    (bundle / "another").mkdir()
    (bundle / "another" / "SKILL.md").write_text("---\nname: another\n---\n")
    entry = Path(".claude/skills/write-a-word")
    entry.parent.mkdir(parents=True)
    if kind == "folder":
        entry.mkdir()
    else:
        entry.symlink_to(tmp_path if kind == "link" else "nowhere")
    for more in ([], ["--copy"]):
        with pytest.raises(DataError, match="not made by this command"):
            main(["install", *more])
    assert [it.name for it in entry.parent.iterdir()] == ["write-a-word"]


def test_a_folder_that_is_the_bundle_needs_nothing(bundle: Path, capsys: Printed) -> None:
    Path(".claude").mkdir()
    Path(".claude/skills").symlink_to(bundle)
    before = sorted(bundle.rglob("*"))
    assert main(["install", "--copy"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert sorted(bundle.rglob("*")) == before


def test_links_inside_a_checkout_are_relative(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    assert main(["install"]) == 0
    link = Path(".claude/skills/write-a-word").readlink()
    assert link == Path("../../bundle/write-a-word")
