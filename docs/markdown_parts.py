"""Markdown from Python: tables, cells, docstrings as paragraphs."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns without any content are left out, and so is the table without rows."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    used = [i for i in range(len(head)) if any(row[i] for row in cells)]
    if not used:
        return ""
    lines = [f"| {' | '.join(row[i] for i in used)} |" for row in (head, *cells)]
    return "\n".join([lines[0], f"|{'---|' * len(used)}", *lines[1:]])


def paragraphs(documented: Any) -> list[str]:
    """A docstring as blocks, each on one line; lists stay as they are."""
    blocks = inspect.cleandoc(documented.__doc__ or "").split("\n\n")
    return [block if block.startswith("- ") else " ".join(block.split()) for block in blocks]


def field_meanings(model: type) -> dict[str, str]:
    """Field -> the docstring below it."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(body.body, body.body[1:])
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }
