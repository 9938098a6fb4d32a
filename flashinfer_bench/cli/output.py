"""Results on stdout: JSON for programs, tables for people, one plain line a row in a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

GAP = 2
"""Columns between two columns of a table."""
_MANY_ROWS = 500
"""From here on a table is laid out plainly on a terminal too; rich takes a second for these."""

_NUMBER = re.compile(r"[-×]?[\d.]+(e[-+]?\d+)?([%x]|/\d+)?|inf|nan")
_STYLES = (
    (re.compile(r"PASSED|ok"), "green"),
    (re.compile(r"INCORRECT_[A-Z]+|[A-Z]+_ERROR|TIMEOUT|REWARD_HACK|broken"), "red"),
    (re.compile(r"missing|.*\(missing\).*"), "yellow"),
)


def print_json(result: Any) -> None:
    """One JSON document; infinities and NaN are strings."""
    from pydantic_core import to_json

    print(to_json(result, indent=2, inf_nan_mode="strings").decode())


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str | None = None,
    optional: Sequence[str] = (),
) -> None:
    """A table; columns of numbers are right-aligned, None is a dash.

    Columns in `optional` are left out, first to last, while the table is wider than the terminal.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not on_terminal() or len(cells) >= _MANY_ROWS:
        _print_plain_table(columns, cells, title)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = _fitting(columns, cells, optional)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i in shown:
        numeric = _is_numeric(cells, i)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(columns[i], justify=justify, no_wrap=numeric, overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[i], style=_style(row[i])) for i in shown))
    if title:
        print_text(title, style="bold")
    console().print(table)
    left_out = [name for i, name in enumerate(columns) if i not in shown and name]
    if left_out:
        print_text(f"(no room for: {', '.join(left_out)})", style="dim")


def print_text(text: str = "", style: str | None = None, *, wrap: bool = False) -> None:
    """A line of text; `style`, and `wrap` between words, show on a terminal only."""
    if on_terminal():
        text = clean(text, keep="\n\t")
        console().print(text, style=style, markup=False, highlight=False, soft_wrap=not wrap)
    else:
        print(text)


def print_heading(name: str, what: str, description: str | None = None) -> None:
    """Name and kind of one record, and what it is for."""
    print_text(f"{name} ({what})", style="bold")
    if description:
        print_text(description, wrap=True)


def print_facts(facts: Mapping[str, Any]) -> None:
    """One aligned line for each fact that is not None."""
    known = {name: _cell(value) for name, value in facts.items() if value is not None}
    width = max(map(len, known), default=0) + GAP
    for name, value in known.items():
        print_text(f"{name.ljust(width)}{value}", style=_style(value))


def print_code(source: str, language: str) -> None:
    """Source text, coloured on a terminal and verbatim elsewhere."""
    if not on_terminal():
        print(source.removesuffix("\n"))
        return
    from rich.syntax import Syntax

    theme, background = "ansi_dark", "default"
    text = clean(source, keep="\n\t").rstrip("\n")
    console().print(Syntax(text, language, theme=theme, background_color=background))


def percent(share: float | None) -> str | None:
    """A share of one as a percentage; only all of it is 100%, only nothing is 0%."""
    if share is None:
        return None
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{min(99.9, max(0.1, 100 * share)):.1f}%"
    return f"{100 * share:.0f}%"


def times(ratio: float | None) -> str | None:
    """A speedup."""
    return None if ratio is None else f"{ratio:.2f}x"


def pairs(values: Mapping[str, Any]) -> str:
    """`name=value`, all on one line."""
    return " ".join(f"{name}={value}" for name, value in values.items())


def counted(count: int, noun: str) -> str:
    """`1 solution`, `2 solutions`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def clean(text: str, keep: str = "") -> str:
    """Text without characters that would break the line or drive the terminal, but for `keep`."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def on_terminal() -> bool:
    """Whether a person watches, and there is rich to write for one."""
    return sys.stdout.isatty() and find_spec("rich") is not None


@cache
def console() -> Console:
    """Where tables and text for people go."""
    from rich.console import Console

    return Console()


def _print_plain_table(
    columns: Sequence[str], cells: Sequence[Sequence[str]], title: str | None
) -> None:
    if title:
        print(title)
    widths = [max(map(len, column)) for column in zip(columns, *cells)]
    numeric = [_is_numeric(cells, i) for i in range(len(columns))]
    for row in (columns, *cells):
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric)
        )
        print((" " * GAP).join(aligned).rstrip())


def _fitting(
    columns: Sequence[str], cells: Sequence[Sequence[str]], optional: Sequence[str]
) -> list[int]:
    """Positions of the columns that fit on the terminal side by side."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) + GAP for column in zip(columns, *cells)]
    room = console().width + GAP - sum(widths)
    left_out: list[int] = []
    for i in map(columns.index, optional):
        if room < 0:
            left_out.append(i)
            room += widths[i]
    for i in reversed(left_out):
        if widths[i] <= room:
            left_out.remove(i)
            room -= widths[i]
    return [i for i in range(len(columns)) if i not in left_out]


def _is_numeric(cells: Sequence[Sequence[str]], i: int) -> bool:
    known = [row[i] for row in cells if row[i] != "-"]
    return bool(known) and all(map(_NUMBER.fullmatch, known))


def _style(cell: str) -> str:
    return next((style for pattern, style in _STYLES if pattern.fullmatch(cell)), "")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else clean(str(value))
