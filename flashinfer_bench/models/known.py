"""Configurations of well-known models that ship with the package, so that no network is needed.

They restate the facts of a model's config.json that decide its shapes, as of the stated day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("known_models.jsonl")
_EDITION = re.compile(r"-(instruct|it|hf|base|chat|reasoning|bf16|\d+k|\d{4}|v\d+(\.\d+)?)$")
"""Ends of repository names that shapes do not depend on."""


@dataclass(frozen=True)
class KnownModel:
    model_id: str
    """On the Hugging Face Hub."""
    as_of: str
    """Day on which the facts held, as YYYY-MM-DD."""
    config: Mapping[str, Any]


@cache
def known_models() -> tuple[KnownModel, ...]:
    """All models of the table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return tuple(KnownModel(**json.loads(line)) for line in lines)


def find_known(name: str) -> KnownModel | None:
    """The model that a repository id or short name means: `kimi-k2`, `moonshot-ai/kimi-k2`.

    The organisation counts only where the whole id is known; None where nothing or more than one
    model fits.
    """
    wanted = name.lower()
    for model in known_models():
        if model.model_id.lower() == wanted:
            return model
    short = wanted.rpartition("/")[2]
    for key in (short, without_edition(short)):
        found = _by_short_name().get(key)
        if found is not None:
            return found
    longer = [model for key, model in _by_short_name().items() if key.startswith(f"{short}-")]
    return longer[0] if len({model.model_id for model in longer}) == 1 else None


def close_names(name: str) -> list[str]:
    """Short names of the table that are nearest to a name, at most five."""
    short, names = name.lower().rpartition("/")[2], list(_by_short_name())
    starting = [it for it in names if it.startswith(short)]
    return list(dict.fromkeys([*starting, *get_close_matches(short, names, n=5, cutoff=0.4)]))[:5]


def without_edition(short: str) -> str:
    """A repository's name without what tells editions of one model apart."""
    while (cut := _EDITION.sub("", short)) != short:
        short = cut
    return short


@cache
def _by_short_name() -> dict[str, KnownModel]:
    """Names without edition first, then whole ones; of several models the first of the table."""
    names: dict[str, KnownModel] = {}
    for model in known_models():
        names.setdefault(without_edition(model.model_id.lower().rpartition("/")[2]), model)
    for model in known_models():
        names[model.model_id.lower().rpartition("/")[2]] = model
    return names


__all__ = ["KnownModel", "close_names", "find_known", "known_models", "without_edition"]
