"""The models of the web pages, as TypeScript: `web/apps/web/data/models.ts` written and read."""

from __future__ import annotations

from flashinfer_bench.models.typescript.problems import tree_problems
from flashinfer_bench.models.typescript.reading import ReadEntry, read_models
from flashinfer_bench.models.typescript.writing import (
    new_file,
    render_entry,
    unified_diff,
    upsert,
    without,
)

__all__ = [
    "ReadEntry",
    "new_file",
    "read_models",
    "render_entry",
    "tree_problems",
    "unified_diff",
    "upsert",
    "without",
]
