"""Tables of a skill's parameters, as they stand in its references."""

from __future__ import annotations

import re
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from flashinfer_bench.skills.contract import Skill
from flashinfer_bench.skills.flags import fields_of
from flashinfer_bench.skills.registry import load_skill

_PART = re.compile(
    r"(?P<start><!-- generated: parameters (?P<skill>[\w-]+) -->\n)"
    r".*?(?P<end><!-- end generated -->)",
    re.DOTALL,
)


def parameter_table(skill: Skill) -> str:
    """Markdown: a row for each flag."""
    rows = [("flag", "type", "default", "meaning"), ("---",) * 4]
    for name, field in fields_of(skill.params).items():
        flag = f"`--{name.replace('_', '-')}`"
        rows.append((flag, _type(field.annotation), _default(field), field.description or ""))
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def with_tables(text: str) -> str:
    """The text with every parameter table made anew; UsageError for a skill that is not known."""
    return _PART.sub(
        lambda it: f"{it['start']}{parameter_table(load_skill(it['skill']))}{it['end']}", text
    )


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{it}`" for it in get_args(annotation))
    members = [it for it in get_args(annotation) if it is not NoneType]
    if get_origin(annotation) in (list, tuple):
        return f"{_type(members[0])} …"
    if members:
        return " or ".join(map(_type, members))
    return {str: "text", bool: "switch", int: "integer", float: "number"}.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    default = field.get_default(call_default_factory=True)
    if default in (None, "", [], ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


__all__ = ["parameter_table", "with_tables"]
