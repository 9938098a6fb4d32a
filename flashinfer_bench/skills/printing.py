"""How a run ended: JSON for programs, lines in colour for people."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator

from flashinfer_bench.skills.contract import Envelope

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "grey": 90, "bold": 1}
_TREE = re.compile(
    r"(?P<branch>^[│ ├└─]+)(?P<name>\S+)(?P<count> ×\d+)?(?P<computes>  → .+)?(?P<gap>  · .+)?$"
)
_STYLES = {"branch": "grey", "count": "cyan", "computes": "green", "gap": "yellow"}


def print_envelope(envelope: Envelope, form: str) -> None:
    """The result on stdout, what went wrong on stderr."""
    if form == "json":
        print(json.dumps(envelope.as_json(), indent=2))
    elif envelope.error is None:
        for line in _for_people(envelope):
            print(line)
    told = [f"warning: {it}" for it in envelope.warnings]
    told += [f"note: {it}" for it in envelope.notes] if form == "human" else []
    told += [f"{envelope.skill}: {envelope.error}"] if envelope.error else []
    sys.stdout.flush()
    for line in told:
        print(line, file=sys.stderr)


def _for_people(envelope: Envelope) -> Iterator[str]:
    in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    yield from (_in_tree(it, in_colour) for it in envelope.summary.splitlines())
    yield from (_in_diff(it, in_colour) for it in envelope.diff.splitlines())
    for it in envelope.outputs:
        state = "written" if it.changed else "unchanged"
        colour = "green" if it.changed else "grey"
        yield f"{_paint(f'{state:>9}', colour, in_colour)}  {it.path}  ({it.kind})"
    if envelope.outputs and not any(it.changed for it in envelope.outputs):
        yield "nothing changed: every file was so already"
    yield from (f"{_paint('next:', 'bold', in_colour)} {it}" for it in envelope.next)


def _in_tree(line: str, in_colour: bool) -> str:
    found = _TREE.match(line)
    if found is None:
        return line
    parts = ((name, text) for name, text in found.groupdict().items() if text)
    return "".join(_paint(text, _STYLES.get(name, ""), in_colour) for name, text in parts)


def _in_diff(line: str, in_colour: bool) -> str:
    kinds = {"+": "green", "-": "red", "@": "cyan"}
    return _paint(line, kinds.get(line[:1], ""), in_colour)


def _paint(text: str, colour: str, in_colour: bool) -> str:
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if in_colour and colour else text


__all__ = ["print_envelope"]
