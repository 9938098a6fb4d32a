"""Conversations in the ShareGPT format, as lengths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flashinfer_bench.errors import DataError, NotFoundError

SAMPLE = Path(__file__).with_name("sample_conversations.jsonl")
_CHARACTERS = 4
"""Of a token, about, where no tokenizer is asked."""
_PEOPLE = ("human", "user", "system")


@dataclass(frozen=True)
class Turn:
    """What is asked, and the answer, in tokens."""

    asked: int
    answered: int


Conversation = tuple[Turn, ...]


def read_conversations(path: Path | None = None) -> list[Conversation]:
    """Of a JSON list or JSON Lines; the sample that ships with the package where none is named.

    Raises NotFoundError, or DataError with the line where something else is found.
    """
    file = path or SAMPLE
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"{file}: {error.strerror}; give a file in ShareGPT format") from error
    found = [it for number, row in _rows(file, text) if (it := _conversation(file, number, row))]
    if not found:
        raise DataError(f"{file}: no conversation with an answer; expected ShareGPT format")
    return found


def _rows(file: Path, text: str) -> Iterator[tuple[int, Any]]:
    try:
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
            return
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, json.loads(line)
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error}); expected ShareGPT format") from error


def _conversation(file: Path, number: int, row: Any) -> Conversation:
    names = (it for it in ("conversations", "messages") if isinstance(row, dict) and it in row)
    messages = row[name] if (name := next(names, None)) else None
    if not isinstance(messages, list):
        raise DataError(f"{file}: entry {number} has no list `conversations`; expected ShareGPT")
    turns, asked = [], 0
    for it in messages:
        who = it.get("from") or it.get("role") if isinstance(it, dict) else None
        words = str(it.get("value") or it.get("content") or "") if who else ""
        tokens = max(1, len(words) // _CHARACTERS)
        if who in _PEOPLE:
            asked += tokens
        elif asked and words:
            turns.append(Turn(asked, tokens))
            asked = 0
    return tuple(turns)


__all__ = ["SAMPLE", "Conversation", "Turn", "read_conversations"]
