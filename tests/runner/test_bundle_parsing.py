"""Headers of SKILL.md, and what of a text is sent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flashinfer_bench.errors import DataError, NotFoundError, UsageError
from flashinfer_bench.runner.bundle import bundle_at, find_bundle, read_skill
from flashinfer_bench.runner.front_matter import parse


def header(text: str) -> str:
    return f"---\n{text}\n---\n\nbody\n"


def test_the_allowed_forms() -> None:
    found = parse(
        header(
            "# a comment\nname: a-b\nplain: it's [odd] text\nsingle: 'it''s: so'\n"
            'double: "a: \\"b\\" é"\nmetadata:\n  version: "1.0"\n  author: me\n'
            "tools: [Read, 'Bash(x *)']\nitems:\n- one\n- 'two'\nempty:"
        ),
        Path("f"),
    )
    assert found.fields == {
        "name": "a-b",
        "plain": "it's [odd] text",
        "single": "it's: so",
        "double": 'a: "b" é',
        "metadata": {"version": "1.0", "author": "me"},
        "tools": ["Read", "Bash(x *)"],
        "items": ["one", "two"],
        "empty": "",
    }
    assert found.lines["items"] == 11
    assert found.body == "body\n"
    assert header("x: 1").splitlines()[parse(header("x: 1"), Path("f")).line_of_body - 1] == "body"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("# Title\n", 1, "starts with ---"),
        ("---\nname: x\n", 3, "not closed"),
        (header("name: x\njust text"), 3, "expected `key: value`"),
        (header("name: x\nname: y"), 3, "stated twice"),
        (header("a: one: two"), 2, "quote this value"),
        (header("a: |"), 2, "quote this value"),
        (header("a: 'open"), 2, "not closed"),
        (header('a: "open'), 2, "not closed"),
        (header("a: [x, y"), 2, "list is not closed"),
        (header("m:\n  k:\n    deep: x"), 3, "indented"),
        (header("m:\n  k: 1\n  k: 2"), 4, "stated twice"),
        (header("\tname: x"), 2, "expected `key: value`"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(DataError, match=told) as raised:
        parse(text, Path("SKILL.md"))
    assert str(raised.value).startswith(f"SKILL.md:{line}: ")


def test_the_stated_bundle_is_found(bundle: Path) -> None:
    found = find_bundle()
    assert found.root == bundle
    text = found.skill("flashinfer-bench:write_a_word")
    assert text.description == "Writes a word. Use when a test runs."
    assert list(text.resources) == ["references/parameters.md"]
    lines = text.path.read_text().splitlines()
    assert lines[text.line_of_body - 1] == "# Write a word"
    with pytest.raises(UsageError, match="did you mean write-a-word"):
        found.skill("write-words")


def test_a_folder_without_skills_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no skill"):
        bundle_at(tmp_path)


def test_the_wheel_s_bundle_is_found_where_there_is_no_checkout(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "flashinfer_bench"
    installed = package / "_bundle" / "skills"
    shutil.copytree(bundle / "write-a-word", installed / "add-new-model")
    monkeypatch.delenv("FIB_BUNDLE")
    monkeypatch.setattr("flashinfer_bench.__file__", str(package / "__init__.py"))
    assert find_bundle().root == installed
    shutil.copytree(installed, package.parent / "skills")
    assert find_bundle().root == package.parent / "skills"


def test_arguments_stand_where_the_text_wants_them_or_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x" / "SKILL.md"
    path.parent.mkdir()
    path.write_text(header("name: x") + "do $ARGUMENTS\n")
    assert read_skill(path).rendered("--a 'b c'").endswith("do --a 'b c'\n")
    path.write_text(header("name: x"))
    assert read_skill(path).rendered("--a") == "body\n\nARGUMENTS: --a\n"
    assert read_skill(path).rendered("") == "body\n"
