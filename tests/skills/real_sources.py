"""SGLang and transformers themselves: named, or downloaded once; without them tests skip."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from flashinfer_bench.errors import AccessError
from flashinfer_bench.models.sglang.source import find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers

SGLANG = "0.5.23"


@cache
def real_sources() -> dict[str, Path]:
    """Folder of each package; FIB_SGLANG and FIB_TRANSFORMERS name them, else the package index."""
    named = {name: os.environ.get(f"FIB_{name.upper()}") for name in ("sglang", "transformers")}
    before = os.environ.get("FIB_CACHE_PATH")
    os.environ["FIB_CACHE_PATH"] = str(Path(tempfile.gettempdir()) / "fib_test_sources")
    try:
        sglang = find_sglang(named["sglang"], version=None if named["sglang"] else SGLANG)
        transformers = find_transformers(named["transformers"], sglang=sglang)
    except AccessError as error:
        pytest.skip(f"no source of SGLang {SGLANG}: {error}")
    finally:
        if before is not None:
            os.environ["FIB_CACHE_PATH"] = before
    if sglang.version != SGLANG or transformers is None:
        pytest.skip(f"needs SGLang {SGLANG} and the transformers that it pins")
    return {"sglang": sglang.package, "transformers": transformers.package}
