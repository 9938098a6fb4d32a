"""`check`: what is wrong with a bundle, each problem as `file:line: message`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.errors import DataError, ExitCode, FlashInferBenchError, UsageError
from flashinfer_bench.runner.bundle import PLACEHOLDER, TEXT, Bundle, SkillText, read_skill
from flashinfer_bench.runner.lint_plugin import plugin_problems
from flashinfer_bench.runner.parsing import runner_flags
from flashinfer_bench.runner.tables import with_tables
from flashinfer_bench.skills.registry import MODULES, load_skill

FIELDS = {
    *("name", "description", "license", "compatibility", "metadata", "allowed-tools"),
    "argument-hint",
}
"""The six of the specification, and one of Claude Code's that other agents ignore."""
OTHER_FLAGS = {"--help", "--version", "--rendered", "--claude", "--agents", "--copy", "--fix"}
"""Of the runner's other commands."""
MOST_LINES, LONGEST_NAME, LONGEST_DESCRIPTION, LONGEST_COMPATIBILITY = 499, 64, 1024, 500
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_MODULE = re.compile(r"python3? -m (?P<module>flashinfer_bench\.skills\.[\w.]*\w)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_OTHER_PROGRAM = re.compile(r"\b(flashinfer-bench (?!skills)|sglang\.|git |pip |npm )[^`\n]*")
_EXIT_ROW = re.compile(r"\|\s*`?(?P<code>\d+)`?\s*\|")


def problems_of(bundle: Bundle) -> list[str]:
    """All problems, skill by skill."""
    found = [it for name in bundle.names for it in _skill_problems(bundle.root / name / TEXT)]
    return [*found, *plugin_problems(bundle)]


def fix_tables(bundle: Bundle) -> None:
    """Make the parameter tables in all texts anew."""
    for path in _texts(bundle.root):
        text = path.read_text(encoding="utf-8")
        fixed = with_tables(text)
        if fixed != text:
            write_atomic(path, fixed.encode())


def _texts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.md"))


def _skill_problems(path: Path) -> Iterator[str]:
    try:
        text = read_skill(path)
    except DataError as error:
        yield str(error)
        return
    checks = (_header, _length, _placeholder, _modules, _flags, _exit_codes)
    for check in checks:
        yield from check(text)
    for file in _texts(path.parent):
        yield from _links(text, file)
        yield from _tables(file)


def _header(text: SkillText) -> Iterator[str]:
    def at(field: str, problem: str) -> str:
        return f"{text.path}:{text.lines.get(field, 1)}: {problem}"

    for field in text.fields:
        if field not in FIELDS:
            yield at(field, f"field {field!r}; expected one of {', '.join(sorted(FIELDS))}")
    name, compatibility = text.fields.get("name"), text.fields.get("compatibility", "")
    if name != text.name:
        yield at("name", f"name is {name!r}; expected the folder's, {text.name!r}")
    if not _NAME.fullmatch(text.name) or len(text.name) > LONGEST_NAME:
        yield at("name", f"expected at most {LONGEST_NAME} of a-z, 0-9 and single hyphens")
    if not 1 <= len(text.description) <= LONGEST_DESCRIPTION:
        long = len(text.description)
        yield at("description", f"{long} characters; expected 1 to {LONGEST_DESCRIPTION}")
    if "<" in text.description or ">" in text.description:
        yield at("description", "angle brackets are not allowed")
    if len(compatibility) > LONGEST_COMPATIBILITY:
        yield at("compatibility", f"expected at most {LONGEST_COMPATIBILITY} characters")
    if not isinstance(text.fields.get("metadata", {}), dict):
        yield at("metadata", "expected indented `key: value` lines")


def _length(text: SkillText) -> Iterator[str]:
    count = len(text.body.splitlines())
    if count > MOST_LINES:
        what = "move details into references/"
        yield f"{text.path}:{text.line_of_body}: {count} lines, at most {MOST_LINES}; {what}"


def _lines(text: SkillText) -> Iterator[tuple[str, str]]:
    """`file:line` and the text of each line of the body."""
    for i, line in enumerate(text.body.splitlines(), text.line_of_body):
        yield f"{text.path}:{i}", line


def _placeholder(text: SkillText) -> Iterator[str]:
    found = [(where, line) for where, line in _lines(text) if PLACEHOLDER in line]
    for where, _ in found[1:]:
        yield f"{where}: {PLACEHOLDER} again; expected it in one line only"
    module = MODULES.get(text.name)
    if module is None:
        return
    wanted = f"expected one line `python -m {module} {PLACEHOLDER}`"
    if not found:
        yield f"{text.path}:{text.line_of_body}: {wanted}"
        return
    where, line = found[0]
    named = _MODULE.search(line)
    if named is None or named["module"] != module:
        yield f"{where}: {wanted}"


def _modules(text: SkillText) -> Iterator[str]:
    if text.name not in MODULES:
        return
    for where, line in _lines(text):
        for module in _MODULE.finditer(line):
            if find_spec(module["module"]) is None:
                yield f"{where}: there is no module {module['module']}"


def _flags(text: SkillText) -> Iterator[str]:
    if text.name not in MODULES:
        return
    known = runner_flags() | OTHER_FLAGS
    for name in MODULES:
        fields = load_skill(name).params.model_fields
        known |= {f"--{it.replace('_', '-')}" for it in fields}
    for where, line in _lines(text):
        for flag in _FLAG.findall(_OTHER_PROGRAM.sub("", line)):
            if flag.replace("_", "-") not in known:
                yield f"{where}: no skill takes {flag}, nor does the runner"


def _exit_codes(text: SkillText) -> Iterator[str]:
    head = ""
    known = {int(it) for it in ExitCode}
    for where, line in _lines(text):
        if not line.startswith("|"):
            head = ""
            continue
        head = head or line.split("|")[1]
        row = _EXIT_ROW.match(line)
        if row and "exit" in head.lower() and int(row["code"]) not in known:
            yield f"{where}: there is no exit code {row['code']}"


def _links(text: SkillText, file: Path) -> Iterator[str]:
    """Files of the skill are linked from SKILL.md only, so that an agent sees them all there."""
    for i, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        for link in _LINK.finditer(line):
            target = link["target"].partition("#")[0]
            where = f"{file}:{i}"
            if not target or "://" in target or target.startswith("mailto:"):
                continue
            if file != text.path:
                yield f"{where}: links on to {target}; only {TEXT} links to files"
            elif len(Path(target).parts) > 2 or ".." in Path(target).parts or target[0] == "/":
                yield f"{where}: {target} is not at most one folder below {TEXT}"
            elif not (file.parent / target).exists():
                yield f"{where}: {target} does not exist"


def _tables(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    try:
        made = with_tables(text)
    except UsageError as error:
        yield f"{file}:{_line_of(text, '<!-- generated: parameters')}: {error}"
        return
    except FlashInferBenchError as error:
        yield f"{file}:1: {error}"
        return
    lines = zip(text.splitlines(), made.splitlines())
    stale = next((i for i, (old, new) in enumerate(lines, 1) if old != new), None)
    if made != text:
        what = "the parameter table is stale; run `claude-code check --fix`"
        yield f"{file}:{stale or len(text.splitlines())}: {what}"


def _line_of(text: str, part: str) -> int:
    return text[: max(text.find(part), 0)].count("\n") + 1


__all__ = ["fix_tables", "problems_of"]
