"""The skills' texts: what they name exists, and what they tell to run works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import ExitCode
from flashinfer_bench.models.patterns.spellings import NESTED, SPELLINGS
from flashinfer_bench.models.sglang.kernels.tables import DEFAULT_BACKENDS, HANDED_OVER
from flashinfer_bench.ops.registry import format_name, operations, parse_name
from flashinfer_bench.runner.bundle import PLACEHOLDER, bundle_at, read_skill
from flashinfer_bench.runner.front_matter import parse
from flashinfer_bench.runner.lint import problems_of
from flashinfer_bench.runner.tables import parameter_table
from flashinfer_bench.skills.registry import MODULES, load_skill

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "skills"
SKILLS = tuple(MODULES)
FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
EVALS = sorted(it.name for it in (ROOT / "evals").iterdir())

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_DEFINITION = re.compile(r"\b[a-z]\w*_(?:d|h|n|qk|topk|v)\d\w*(?!\w*\.py)")
_ELSEWHERE = {
    *("--format", "--list", "--local", "--dataset", "--moe-runner-backend", "--model-path"),
    *("--disable-cuda-graph", "--load-format"),
}
"""Flags of every helper, of `flashinfer-bench` and of SGLang."""


def body(name: str) -> str:
    return read_skill(ROOT / name / "SKILL.md").body


def references(name: str) -> list[Path]:
    return sorted((ROOT / name).glob("references/*.md"))


def texts(name: str) -> Iterator[str]:
    yield body(name)
    yield from (it.read_text() for it in references(name))


def test_every_skill_has_a_folder() -> None:
    assert bundle_at(ROOT).names == sorted(SKILLS)


@pytest.mark.parametrize("name", SKILLS)
def test_header(name: str) -> None:
    fields = read_skill(ROOT / name / "SKILL.md").fields
    assert tuple(fields) == (*FIELDS, "argument-hint")
    description = fields["description"]
    assert isinstance(description, str)
    assert fields["name"] == name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(description) <= 1024 and "Use when" in description
    assert not re.search(r"[<>]|\b(I|you|your)\b", description)
    assert len(str(fields["compatibility"])) <= 500
    assert fields["metadata"] == {"version": __version__}
    assert fields["allowed-tools"] == "Bash(python -m flashinfer_bench.skills.*) Read"


@pytest.mark.parametrize("name", SKILLS)
def test_length(name: str) -> None:
    lines = body(name).splitlines()
    assert 40 <= len(lines) <= 120
    for page in (ROOT / name / "SKILL.md", *references(name)):
        prose = [it for it in page.read_text().splitlines()[10:] if not it.startswith("|")]
        assert max(map(len, prose)) <= 110, page


@pytest.mark.parametrize("name", SKILLS)
def test_one_line_takes_the_arguments(name: str) -> None:
    lines = [it for it in body(name).splitlines() if "$" in it]
    assert lines == [f"python -m {MODULES[name]} {PLACEHOLDER}"]
    assert f"```bash\n{lines[0]}\n```" in body(name)


@pytest.mark.parametrize("name", SKILLS)
def test_commands_answer_help(name: str) -> None:
    found = set(re.findall(r"python -m (flashinfer_bench[\w.]+)", "\n".join(texts(name))))
    assert found
    for module in found:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


@pytest.mark.parametrize("name", SKILLS)
def test_links_are_one_level_deep(name: str) -> None:
    folder = ROOT / name
    linked = [it["target"] for it in _LINK.finditer(body(name))]
    assert all(re.fullmatch(r"references/[\w-]+\.md", it) for it in linked), linked
    assert {folder / it for it in linked} == set(references(name))
    for page in references(name):
        text = page.read_text()
        assert not _LINK.search(text), page
        assert not re.search(r"(?<!`)\b(references|assets|scripts)/", text), page


@pytest.mark.parametrize("name", SKILLS)
def test_tables_are_those_of_the_parameters(name: str) -> None:
    text = (ROOT / name / "references" / "parameters.md").read_text()
    table = parameter_table(load_skill(name))
    assert f"<!-- generated: parameters {name} -->\n{table}<!-- end generated -->" in text


@pytest.mark.parametrize("name", SKILLS)
def test_flags_that_are_named_exist(name: str) -> None:
    fields = {it for skill in MODULES for it in load_skill(skill).params.model_fields}
    known = {f"--{it.replace('_', '-')}" for it in fields} | _ELSEWHERE
    header = str(read_skill(ROOT / name / "SKILL.md").fields["argument-hint"])
    for text in (header, *texts(name)):
        assert {it.replace("_", "-") for it in _FLAG.findall(text)} <= known


@pytest.mark.parametrize("name", SKILLS)
def test_table_of_exit_codes(name: str) -> None:
    section = body(name).partition("## Exit codes\n")[2].partition("\n## ")[0]
    codes = [int(it) for it in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert codes == [0, 1, 2, 3, 4, 5, 6, 130]
    assert all(code in list(ExitCode) for code in codes)


@pytest.mark.parametrize("name", SKILLS)
def test_definitions_that_are_named_exist(name: str) -> None:
    for text in (str(read_skill(ROOT / name / "SKILL.md").fields), *texts(name)):
        for word in _DEFINITION.findall(text):
            parse_name(word)


def test_naming_has_an_example_of_every_operation() -> None:
    """Of paged ones with one token in a page or more."""
    text = (ROOT / "generate-model-definition" / "references" / "naming.md").read_text()
    examples = _DEFINITION.findall(text.partition("## What official")[0])
    shown = {parse_name(it)[0].kind.removesuffix("_ps1") for it in examples}
    assert shown == {it.kind.removesuffix("_ps1") for it in operations()}
    for name in examples:
        operation, constants = parse_name(name)
        assert format_name(operation.kind, constants) == name


def test_keys_of_the_configuration_are_those_that_are_read() -> None:
    text = (ROOT / "extract-model-from-hf" / "references" / "config-fields.md").read_text()
    read = {*NESTED, *(it for spellings in SPELLINGS.values() for it in spellings)}
    tables = text.partition("## Where to look")[2].partition("## What is taken")[0]
    named = {it for row in tables.splitlines() for it in re.findall(r"`([a-z_.]+)`", row)}
    assert named <= read, named - read


def test_kernel_map_agrees_with_the_tables() -> None:
    text = (ROOT / "find-sglang-baseline" / "references" / "kernel-map.md").read_text()
    kernels = set(re.findall(r"`sgl_kernel\.(\w+)`", text))
    assert kernels and {f"sgl_kernel.{it}" for it in kernels} <= set(HANDED_OVER)
    for latent, row in ((False, "grouped-query"), (True, "latent")):
        line = next(it for it in text.splitlines() if it.startswith(f"| {row} |"))
        assert re.findall(r"`(\w+)`", line)[:2] == [*DEFAULT_BACKENDS[latent].values()]


def test_manifests_agree() -> None:
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())
    market = json.loads((REPOSITORY / ".claude-plugin" / "marketplace.json").read_text())
    project = (REPOSITORY / "pyproject.toml").read_text()
    (entry,) = market["plugins"]
    assert f'name = "{plugin["name"]}"' in project
    assert plugin["name"] == market["name"] == entry["name"] == "flashinfer-bench"
    assert plugin["version"] == __version__
    assert (plugin["skills"], entry["source"]) == ("./", "./skills")
    assert f'license = "{plugin["license"]}"' in project
    assert plugin["description"] == entry["description"]


@pytest.mark.parametrize("place", [".claude", ".agents"])
def test_skills_are_linked_for_agents(place: str) -> None:
    link = REPOSITORY / place / "skills"
    assert link.is_symlink() and link.readlink() == Path("../skills")
    assert (link / "add-new-model" / "SKILL.md").is_file()


def test_settings_allow_this_repository_alone() -> None:
    settings = json.loads((REPOSITORY / ".claude" / "settings.json").read_text())
    assert settings["permissions"] == {
        "allow": [
            *("Bash(make style)", "Bash(make test)", "Bash(python -m flashinfer_bench.skills.*)"),
            *("Bash(flashinfer-bench *)", "Bash(claude-code *)"),
        ]
    }
    assert settings["skillOverrides"] == {"collect-workloads": "user-invocable-only"}


def test_there_are_evals() -> None:
    assert 4 <= len(EVALS) <= 6


@pytest.mark.parametrize("case", EVALS)
def test_eval_has_the_shape(case: str) -> None:
    folder = ROOT / "evals" / case
    prompt = parse((folder / "prompt.md").read_text(), folder / "prompt.md")
    assert set(prompt.fields) == {"max_turns", "allowed_tools"} and prompt.body.strip()
    assert str(prompt.fields["max_turns"]).isdigit()
    assert "Bash(python -m flashinfer_bench.skills.*)" in prompt.fields["allowed_tools"]
    graders = sorted(folder.glob("graders/*.md"))
    assert graders and {it.name for it in folder.iterdir()} == {"graders", "prompt.md"}
    for path in graders:
        grader = parse(path.read_text(), path)
        assert grader.fields["type"] == "llm" and int(str(grader.fields["weight"])) > 0
        assert "Pass if" in grader.body and re.search("Fail (if|otherwise)", grader.body)


def test_nothing_is_wrong_with_it() -> None:
    assert problems_of(bundle_at(ROOT)) == []
