"""Facts that are read from source files, kept in our cache until one of the files changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flashinfer_bench.data.files import write_atomic
from flashinfer_bench.env import cache_path

_FORMAT = 2
"""Of what is kept; other ones are made anew."""


def kept_facts(
    kind: str, files: Sequence[Path], make: Callable[[], Any], *, given: str = ""
) -> Any:
    """What `make` gives, a JSON value; from the cache where no file's size or time has changed.

    `given` is what it depends on besides the files.
    """
    state = [(str(file), it.st_size, it.st_mtime_ns) for file in files for it in [file.stat()]]
    key = hashlib.sha256(repr((_FORMAT, kind, state, given)).encode()).hexdigest()[:24]
    cached = cache_path() / "source_facts" / kind / f"{key}.json"
    try:
        kept = json.loads(cached.read_bytes())
        if kept["key"] == key:
            return kept["facts"]
    except (OSError, ValueError, TypeError, KeyError):
        pass  # none, or none that can be read: made anew
    found = make()
    cached.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(cached, json.dumps({"key": key, "facts": found}).encode())
    return found


__all__ = ["kept_facts"]
