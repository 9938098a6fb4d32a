"""The corpus of facts beside the repository; tests that need it skip with a reason without it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(os.environ.get("FIB_CORPUS") or Path(__file__).parents[3] / "shared")


def corpus_file(*parts: str) -> Path:
    path = CORPUS.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"no {path}; FIB_CORPUS may name the folder of the corpus")
    return path


def official_interfaces() -> list[dict[str, Any]]:
    """The official dataset's definitions, without their references."""
    found: list[dict[str, Any]] = json.loads(
        corpus_file("definitions", "interfaces.json").read_text()
    )
    return found
