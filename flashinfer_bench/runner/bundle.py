"""Where the skills' texts are, and what they say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import flashinfer_bench
from flashinfer_bench.errors import DataError, NotFoundError, UsageError
from flashinfer_bench.runner.front_matter import Value, parse

BUNDLE_VARIABLE = "FIB_BUNDLE"
TEXT = "SKILL.md"
PLACEHOLDER = "$ARGUMENTS"
_ALWAYS_THERE = "add-new-model"


@dataclass(frozen=True)
class SkillText:
    """What an agent reads of one skill."""

    name: str
    """Of its folder."""
    description: str
    fields: Mapping[str, Value]
    """Everything that the header states."""
    lines: Mapping[str, int]
    """Where each field stands, from 1."""
    body: str
    path: Path
    line_of_body: int

    def rendered(self, arguments: str) -> str:
        """The body as Claude Code expands it."""
        if PLACEHOLDER in self.body:
            return self.body.replace(PLACEHOLDER, arguments)
        return f"{self.body.rstrip()}\n\nARGUMENTS: {arguments}\n" if arguments else self.body

    @property
    def resources(self) -> dict[str, Path]:
        """The skill's other files, by their path from its folder."""
        files = sorted(it for it in self.path.parent.rglob("*") if it.is_file())
        found = {it.relative_to(self.path.parent).as_posix(): it for it in files}
        return {name: it for name, it in found.items() if it != self.path and name[0] != "."}


@dataclass(frozen=True)
class Bundle:
    """A folder of skills."""

    root: Path

    @property
    def names(self) -> list[str]:
        return sorted(it.parent.name for it in self.root.glob(f"*/{TEXT}"))

    def skill(self, name: str) -> SkillText:
        """The text of a skill.

        Raises UsageError, with names that are alike, where there is none; DataError with file and
        line where its header does not parse.
        """
        known = name.replace("_", "-").strip("/").rpartition(":")[2]
        if known not in self.names:
            close = get_close_matches(known, self.names, n=3, cutoff=0.4) or self.names
            raise UsageError(f"no skill {name!r}; did you mean {' or '.join(close)}?")
        return read_skill(self.root / known / TEXT)


def read_skill(path: Path) -> SkillText:
    """The text in a file; DataError with file and line where its header does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:1: expected UTF-8 text: {error.reason}") from error
    found = parse(text, path)
    description = found.fields.get("description", "")
    return SkillText(
        name=path.parent.name,
        description=description if isinstance(description, str) else "",
        fields=found.fields,
        lines=found.lines,
        body=found.body,
        path=path,
        line_of_body=found.line_of_body,
    )


def find_bundle() -> Bundle:
    """FIB_BUNDLE, else the checkout's `skills/`, else what the wheel carries."""
    stated = os.environ.get(BUNDLE_VARIABLE)
    if stated:
        return bundle_at(Path(stated))
    package = Path(flashinfer_bench.__file__).parent
    for root in (package.parent / "skills", package / "_bundle" / "skills"):
        if (root / _ALWAYS_THERE / TEXT).is_file():
            return Bundle(root)
    raise NotFoundError(
        "the skills' texts are neither beside the package nor in it; "
        f"set {BUNDLE_VARIABLE} to a folder of skills or install flashinfer-bench again"
    )


def bundle_at(root: Path) -> Bundle:
    """The bundle in a folder; NotFoundError where it holds no skill."""
    found = Bundle(root.expanduser().absolute())
    if not found.names:
        raise NotFoundError(f"{root}: holds no skill; expected folders with a {TEXT}")
    return found


__all__ = ["Bundle", "SkillText", "bundle_at", "find_bundle", "read_skill"]
