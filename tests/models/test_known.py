"""The table of well-known models: complete, found by short names, true to the real files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from flashinfer_bench.models.known import close_names, find_known, known_models

CORPUS = Path(os.environ.get("FIB_CORPUS") or Path(__file__).parents[3] / "shared")


def test_there_are_at_least_forty_different_ones() -> None:
    names = [model.model_id for model in known_models()]
    assert len(names) == len(set(names)) >= 40
    assert names == sorted(names, key=str.lower)
    for model in known_models():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", model.as_of)
        assert model.config["architectures"]


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("kimi-k2", "moonshotai/Kimi-K2-Instruct"),
        ("moonshot-ai/kimi-k2", "moonshotai/Kimi-K2-Instruct"),
        ("deepseek-v3", "deepseek-ai/DeepSeek-V3"),
        ("llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("qwen3-next", "Qwen/Qwen3-Next-80B-A3B-Instruct"),
        ("Qwen/qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("glm-4.5-air", "zai-org/GLM-4.5-Air"),
    ],
)
def test_short_names(name: str, model_id: str) -> None:
    found = find_known(name)
    assert found is not None
    assert found.model_id == model_id


@pytest.mark.parametrize("name", ["gpt-oss", "qwen3", "no-such-model", "llama", ""])
def test_names_of_none_or_several(name: str) -> None:
    assert find_known(name) is None


def test_close_names() -> None:
    assert close_names("gpt-oss")[:2] == ["gpt-oss-120b", "gpt-oss-20b"]
    assert "kimi-k2" in close_names("kimik2")


RENAMED = {"meta-llama/Llama-3.1-8B": "meta-llama/Meta-Llama-3.1-8B"}


@pytest.mark.parametrize("model", known_models(), ids=lambda model: model.model_id)
def test_the_table_says_what_the_real_files_say(model: object) -> None:
    model_id, config = model.model_id, model.config  # type: ignore[attr-defined]
    name = RENAMED.get(model_id, model_id).replace("/", "__")
    path = CORPUS / "hf_configs" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no {path}; FIB_CORPUS may name the folder of the corpus")
    real = json.loads(path.read_text())
    assert_within(config, real)


def assert_within(part: object, whole: object) -> None:
    if isinstance(part, dict):
        assert isinstance(whole, dict)
        for key, value in part.items():
            assert_within(value, whole[key])
    else:
        assert part == whole
