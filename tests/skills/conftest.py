"""A made-up SGLang and a configuration of it, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_model_command import BEE
from tests.models.config_sources import write_package
from tests.models.fallback_sources import FALLBACK, TRANSFORMERS


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags that name the sources; the current folder is empty but for bee/config.json."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("FIB_DATASET_PATH", str(tmp_path / "none"))
    sglang = write_package(tmp_path / "sources", "sglang", FALLBACK)
    transformers = write_package(tmp_path / "sources", "transformers", TRANSFORMERS)
    folder = tmp_path / "here"
    (folder / "bee").mkdir(parents=True)
    (folder / "bee" / "config.json").write_text(json.dumps(BEE))
    monkeypatch.chdir(folder)
    return ["--sglang-path", str(sglang), "--transformers-path", str(transformers)]
