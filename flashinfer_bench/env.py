"""Environment variables and the folders they name."""

from __future__ import annotations

import os
from pathlib import Path

DATASET_PATH_VARIABLE = "FIB_DATASET_PATH"
CACHE_PATH_VARIABLE = "FIB_CACHE_PATH"
_HOME = Path("~/.cache/flashinfer_bench")


def dataset_path() -> Path:
    """Folder of the default dataset: FIB_DATASET_PATH, else ~/.cache/flashinfer_bench/dataset."""
    return _path(DATASET_PATH_VARIABLE, _HOME / "dataset")


def cache_path() -> Path:
    """Folder of what can be rebuilt: FIB_CACHE_PATH, else ~/.cache/flashinfer_bench/cache."""
    return _path(CACHE_PATH_VARIABLE, _HOME / "cache")


def _path(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()
