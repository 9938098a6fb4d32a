"""A bundle of one skill whose helper writes a file, and a program that stands for Claude Code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flashinfer_bench._version import __version__
from flashinfer_bench.skills import registry

MODULE = "flashinfer_bench.skills.write_a_word"
SKILL = "write-a-word"
HELPER = '''
"""A skill for tests."""
import hashlib
import sys
from pathlib import Path

from pydantic import Field

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.skills.contract import Output, Params, Result, Skill
from flashinfer_bench.skills.execution import helper_main


class WordParams(Params):
    """Writes a word into a file."""

    word: str = Field(description="what to write")
    times: int = Field(1, description="how often | at least once")
    output: str = Field("word.txt", description="where")
    dry_run: bool = Field(False, description="write nothing")


def run(params):
    if params.word == "absent":
        raise NotFoundError("no word absent; give another --word")
    if params.word == "interrupt":
        raise KeyboardInterrupt
    data = (params.word * params.times).encode()
    if not params.dry_run:
        Path(params.output).write_bytes(data)
    output = Output(params.output, "word", hashlib.sha256(data).hexdigest(), True)
    return Result([output], summary=f"wrote {params.word}")


def verify(params, result):
    if params.dry_run:
        return []
    return ["the word is bad"] if Path(params.output).read_text().startswith("bad") else []


SKILL = Skill("write-a-word", WordParams, run, verify)
if __name__ == "__main__":
    sys.exit(helper_main(SKILL))
'''
TEXT = f"""---
name: {SKILL}
description: "Writes a word. Use when a test runs."
license: Apache-2.0
metadata:
  version: "{__version__}"
allowed-tools: Bash(python -m flashinfer_bench.skills.*) Read
argument-hint: --word WORD
---

# Write a word

python -m {MODULE} $ARGUMENTS

See [parameters](references/parameters.md). `--dry-run` writes nothing.

| exit code | do |
|---|---|
| 3 | give another word |
"""
PARAMETERS = f"""# Parameters

<!-- generated: parameters {SKILL} -->
| flag | type | default | meaning |
| --- | --- | --- | --- |
| `--word` | text | (needed) | what to write |
| `--times` | integer | `1` | how often \\| at least once |
| `--output` | text | `word.txt` | where |
| `--dry-run` | switch | `false` | write nothing |
<!-- end generated -->
"""
CLAUDE = """#!{python}
import json, os, subprocess, sys, time

def tell(**event):
    print(json.dumps(event), flush=True)

def helper(*flags):
    return subprocess.run(["python", "-m", "{module}", *flags], stdout=subprocess.DEVNULL)

def init(*skills):
    tell(type="system", subtype="init", skills=list(skills), slash_commands=[])

def result(**other):
    tell(**{{"type": "result", "subtype": "success", "is_error": False,
             "permission_denials": [], **other}})

with open("seen.json", "w") as file:
    told = {{"argv": sys.argv[1:], "stdin": sys.stdin.read(),
             "claudecode": "CLAUDECODE" in os.environ, "group": os.getpgrp() == os.getpid()}}
    json.dump(told, file)
{play}
"""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle's folder; its skill is the only one, the current folder is empty."""
    package = tmp_path / "path" / "flashinfer_bench_more"
    package.mkdir(parents=True)
    (package / "write_a_word.py").write_text(HELPER)
    (package.parent / "sitecustomize.py").write_text(
        f"import flashinfer_bench.skills as it\nit.__path__.append({str(package)!r})\n"
    )
    import flashinfer_bench.skills as skills

    monkeypatch.setattr(skills, "__path__", [*skills.__path__, str(package)])
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setattr(registry, "MODULES", {SKILL: MODULE})
    for module in ("lint", "showing", "engines.api"):
        monkeypatch.setattr(f"flashinfer_bench.runner.{module}.MODULES", {SKILL: MODULE})
    root = tmp_path / "bundle"
    write(root / SKILL / "SKILL.md", TEXT)
    write(root / SKILL / "references" / "parameters.md", PARAMETERS)
    manifest = f'{{\n  "name": "flashinfer-bench",\n  "version": "{__version__}"\n}}\n'
    write(root / ".claude-plugin" / "plugin.json", manifest)
    monkeypatch.setenv("FIB_BUNDLE", str(root))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("FIB_CLAUDE", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return root


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a program that plays a part in place of Claude Code."""

    def install(play: str) -> None:
        program = tmp_path / "claude"
        program.write_text(CLAUDE.format(python=sys.executable, module=MODULE, play=play))
        program.chmod(0o755)
        monkeypatch.setenv("FIB_CLAUDE", str(program))

    return install


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
