"""Models as TypeScript literals, put between markers into a file that may hold more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import unified_diff as _unified_diff
from typing import Any

from pydantic import BaseModel

from flashinfer_bench.data.json_utils import json_ready
from flashinfer_bench.data.model import Model
from flashinfer_bench.errors import DataError
from flashinfer_bench.models.typescript.reading import Block, ModelsFile

WIDTH = 100
_INDENT = "  "
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_LARGEST_PLAIN = 1e21
"""From here on JavaScript itself writes whole numbers with an exponent."""
_NEW_FILE = """\
// Models as trees of modules, written by `generate-model-definition`: blocks between markers
// are rewritten, everything else is yours.
import type { Model } from "./types";

export const models = [] satisfies Model[];
"""


def new_file() -> str:
    """A file without models, to be given to `upsert`."""
    return _NEW_FILE


def render_entry(model: Model, indent: str = "") -> str:
    """The model as an object literal, its lines after the first indented by `indent` and more.

    Optional fields that are None are left out, unknown keys are kept.
    """
    return _render(_fields(model, json_ready(model)), indent, len(indent) + 1)


def upsert(text: str, model: Model) -> str:
    """`text` with the model's block replaced, or appended to the array `models`.

    Every other byte stays, but for a comma that the last entry lacks. Line ends are the file's.
    Raises DataError, with a line, where the file is broken or the model stands in it otherwise.
    """
    file = ModelsFile(text)
    _check_id(file, model.id)
    newline = _newline(text)
    block = file.blocks.get(model.id)
    if block is None:
        return _append(file, model, newline)
    start, stop = _inside(file, block)
    indent = file.source.indent(block.begin.start) or ""
    entry = f"{indent}{render_entry(model, indent)},\n"
    return text[:start] + entry.replace("\n", newline) + text[stop:]


def without(text: str, model_id: str) -> str:
    """`text` without the block of a model, markers and all; the same where it has none.

    Raises DataError, with a line, where the file is broken.
    """
    file = ModelsFile(text)
    block = file.blocks.get(model_id)
    if block is None:
        return text
    start = file.source.line_start(block.begin.start)
    return text[:start] + text[_after_line(text, block.end.end) :]


def unified_diff(before: str, after: str, path: str) -> str:
    """What changes from `before` to `after`, as a patch of the file `path`; empty for nothing."""
    lines = _unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _fields(record: BaseModel, dumped: Mapping[str, Any]) -> dict[str, Any]:
    """What was dumped of `record`: fields in their order without None, then unknown keys."""
    found: dict[str, Any] = {}
    for name in type(record).model_fields:
        if dumped.get(name) is None:
            continue
        value = getattr(record, name)
        if isinstance(value, BaseModel):
            found[name] = _fields(value, dumped[name])
        elif isinstance(value, dict):
            found[name] = {key: _fields(it, dumped[name][key]) for key, it in value.items()}
        else:
            found[name] = dumped[name]
    return found | {key: dumped[key] for key in record.model_extra or {}}


def _render(value: Any, indent: str, taken: int) -> str:
    """A value's literal; `taken` columns of its first line hold something else."""
    if not isinstance(value, (dict, list)):
        return _scalar(value)
    inline = _inline(value)
    if taken + len(inline) <= WIDTH:
        return inline
    inner = indent + _INDENT
    if isinstance(value, dict):
        keys = [f"{_key(key)}: " for key in value]
        parts = list(zip(keys, value.values()))
    else:
        parts = [("", item) for item in value]
    lines = [
        f"{inner}{key}{_render(item, inner, len(inner) + len(key) + 1)},\n" for key, item in parts
    ]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n{''.join(lines)}{indent}{end}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        items = ", ".join(f"{_key(key)}: {_inline(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return _scalar(value)


def _key(key: str) -> str:
    if key == "__proto__":  # uncomputed, it would set the prototype
        return '["__proto__"]'
    return key if _IDENTIFIER.fullmatch(key) else _scalar(key)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text if text.isprintable() else "".join(map(_visible, text))
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_PLAIN:
        return str(int(value))
    return json.dumps(value)


def _visible(character: str) -> str:
    """A character that an editor shows, or its escape: line separators and marks of direction."""
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _check_id(file: ModelsFile, model_id: str) -> None:
    if not model_id.isprintable() or re.search(r"\s", model_id):
        raise DataError(f"model id {model_id!r} has blanks; a marker takes one word, rename it")
    block = file.blocks.get(model_id)
    for entry in file.entries():
        if entry.id != model_id:
            continue
        if not entry.ours:
            raise DataError(
                f"line {entry.line}: {model_id!r} is written by hand here; remove that entry to "
                "have it generated, or keep it and do not generate this model"
            )
        lines = [file.source.line(mark.start) for mark in (block.begin, block.end)] if block else []
        if not lines or not lines[0] < entry.line < lines[1]:
            raise DataError(
                f"line {entry.line}: {model_id!r} stands in the block of another model; remove it"
            )


def _append(file: ModelsFile, model: Model, newline: str) -> str:
    source, text = file.source, file.source.text
    last, close = source.tokens[file.close - 1], source.tokens[file.close]
    comma = "" if last.text == "," or file.close - 1 == file.open else ","
    base = _leading(text, source.line_start(source.tokens[file.declaration].start))
    indent = _entry_indent(file)
    if indent is None:
        indent = base + _INDENT
    marker = f"{indent}// model:{model.id}"
    block = f"{marker} begin\n{indent}{render_entry(model, indent)},\n{marker} end\n"
    if source.indent(close.start) is not None:
        place = source.line_start(close.start)
    else:
        place, block = close.start, f"\n{block}{base}"
    kept = text[: last.end] + comma + text[last.end : place]
    return kept + block.replace("\n", newline) + text[place:]


def _entry_indent(file: ModelsFile) -> str | None:
    """The indent of the array's first entry that begins a line."""
    for item in file.items:
        indent = file.source.indent(file.source.tokens[item.start].start)
        if indent is not None:
            return indent
    return None


def _leading(text: str, start: int) -> str:
    blanks = re.compile(r"[ \t]*").match(text, start)
    return blanks[0] if blanks else ""


def _inside(file: ModelsFile, block: Block) -> tuple[int, int]:
    """From the line after a block's first marker to the line of its second."""
    start = _after_line(file.source.text, block.begin.end)
    return start, file.source.line_start(block.end.start)


def _after_line(text: str, position: int) -> int:
    """Where the next line begins, `position` being the end of a line's text."""
    return position + (2 if text.startswith("\r\n", position) else 1)


def _newline(text: str) -> str:
    windows = text.count("\r\n")
    if windows:
        return "\r\n" if 2 * windows >= text.count("\n") else "\n"
    return "\r" if "\r" in text and "\n" not in text else "\n"


__all__ = ["new_file", "render_entry", "unified_diff", "upsert", "without"]
