"""Writes the generated parts of the pages in this folder, and a page for each op_type.

    python docs/generate.py            write them, remove pages of op_types that are no more
    python docs/generate.py --check    exit 1 and name the pages that this would change

A part lies between `<!-- generated: NAME -->` and `<!-- end generated -->`. NAME is one of

    a stored model     the table of its fields, from their types and docstrings
    an enum            its values
    example FILE[:N]   a record of the sample dataset, the first or N-th line of a .jsonl file
    op_types           a table of all operations
    checks             how outputs are judged

Pages of op_type_schema/ are generated from first to last line, except README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import op_type_pages
from markdown_parts import table
from pydantic import BaseModel

from flashinfer_bench import data
from flashinfer_bench.data.definition import NEW_DTYPES, DType

DOCS = Path(__file__).resolve().parent
OP_TYPES = DOCS / "op_type_schema"
SAMPLES = DOCS.parent / "tests" / "data" / "sample_dataset"

_BEGIN, _END = "<!-- generated: ", "<!-- end generated -->"
_PART = re.compile(rf"(?<={_BEGIN})(?P<name>[^\n]+?) -->\n(?P<content>.*?)(?={_END})", re.DOTALL)
_REGISTRY = {"op_types": op_type_pages.index, "checks": op_type_pages.checks}
_WIDTH = 90

Schema = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    check = parser.parse_args(arguments).check
    found = {page: page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")}
    made = pages(found)
    stale = sorted(page for page in found.keys() | made if found.get(page) != made.get(page))
    for page in stale:
        if check:
            state = "missing" if page not in found else "stale" if page in made else "leftover"
            print(f"{page}: {state}; run `python docs/generate.py`", file=sys.stderr)
        elif page in made:
            page.write_text(made[page], encoding="utf-8")
        else:
            page.unlink()
    return 1 if check and stale else 0


def pages(found: Mapping[Path, str]) -> dict[Path, str]:
    """Every page as it should be, from the pages as they are."""
    kept = [page for page in found if page.parent != OP_TYPES or page.name == "README.md"]
    return {page: render(found[page], page) for page in kept} | op_type_pages.pages(OP_TYPES)


def render(text: str, page: Path) -> str:
    """The page with all its generated parts made anew; ValueError where a part is not closed."""
    parts = list(_PART.finditer(text))
    if not len(parts) == text.count(_BEGIN) == text.count(_END):
        raise ValueError(f"{page}: every `{_BEGIN}NAME -->` needs one `{_END}` after it")
    return _PART.sub(lambda part: f"{part['name']} -->\n{_content(part['name'], page)}\n", text)


def _content(name: str, page: Path) -> str:
    if name.startswith("example "):
        return _example(name.removeprefix("example "))
    if name in _REGISTRY:
        return _REGISTRY[name]()
    item = getattr(data, name, None)
    if not isinstance(item, type) or not issubclass(item, BaseModel | Enum):
        raise ValueError(f"{page}: {name!r} is no model or enum of flashinfer_bench.data")
    if issubclass(item, BaseModel):
        return _fields(item, page)
    return _dtypes() if item is DType else _listed(item)


def _fields(model: type[BaseModel], page: Path) -> str:
    """A table with a row for every field."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    rows = []
    for name, field in schema["properties"].items():
        default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
        meaning = " ".join((model.model_fields[name].description or "").split())
        rows.append((f"`{name}`", _type(field, page), default, meaning))
    return table(("field", "type", "default", "meaning"), rows)


def _type(schema: Schema, page: Path) -> str:
    """A JSON schema in words."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(member, page) for member in schema[union])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({_place(name, page)})"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{json.dumps(value)}`" for value in values)
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), page)}"
    if kind == "object":
        members = schema.get("additionalProperties", True)
        return f"map of name to {_type(members if isinstance(members, dict) else {}, page)}"
    return f"non-empty {kind}" if schema.get("minLength") else f"{kind}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _place(name: str, page: Path) -> str:
    """Link from a page to the heading under which a model is described."""
    mark = f"{_BEGIN}{name} -->"
    homes = [home for home in DOCS.rglob("*.md") if mark in home.read_text(encoding="utf-8")]
    if not homes:
        raise ValueError(f"{page}: links to {name}, which no page describes; add a part for it")
    file = "" if page in homes else Path(os.path.relpath(homes[0], page.parent)).as_posix()
    return f"{file}#{name.lower()}"


def _listed(values: type[Enum]) -> str:
    return ", ".join(f"`{member.value}`" for member in values)


def _dtypes() -> str:
    known = [f"`{dtype}`" for dtype in DType if dtype not in NEW_DTYPES]
    new = [f"`{dtype}`" for dtype in DType if dtype in NEW_DTYPES]
    return f"{', '.join(known)}\n\nOnly here, refused by the public tool: {', '.join(new)}"


def _example(place: str) -> str:
    path, _, number = place.partition(":")
    lines = (SAMPLES / path).read_text(encoding="utf-8")
    text = lines.splitlines()[int(number or 1) - 1] if path.endswith(".jsonl") else lines
    return f"```json\n{_pretty(json.loads(text))}\n```"


def _pretty(value: Any, indent: str = "", key: str = "") -> str:
    """JSON with every list and object on one line that fits on one."""
    start = f"{indent}{key}"
    short = json.dumps(value, ensure_ascii=False)
    if len(start) + len(short) <= _WIDTH or not isinstance(value, dict | list):
        return f"{start}{short}"
    deeper = f"{indent}  "
    if isinstance(value, list):
        members, (opening, closing) = [_pretty(item, deeper) for item in value], "[]"
    else:
        named = {f"{json.dumps(name)}: ": member for name, member in value.items()}
        members, (opening, closing) = [_pretty(named[name], deeper, name) for name in named], "{}"
    inside = ",\n".join(members)
    return f"{start}{opening}\n{inside}\n{indent}{closing}"


if __name__ == "__main__":
    sys.exit(main())
