"""Which way a configuration goes, and how far it is to be trusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.errors import DataError
from flashinfer_bench.models.extraction import unquantized
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.routes import Route, build_by_route
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang
from tests.models.config_sources import write_package
from tests.models.fallback_sources import FALLBACK, TRANSFORMERS
from tests.models.test_patterns import CORPUS, DENSE

MINE = """
from sglang.srt.layers.linear import RowParallelLinear
from torch import nn

class MineForCausalLM(nn.Module):
    def __init__(self, config, quant_config=None, prefix=""):
        super().__init__()
        if config.hidden_size > 64:
            raise ValueError("too wide")
        if config.num_hidden_layers > 3:
            config.of_the_checkpoint
        self.up = nn.Linear(config.hidden_size, 3)

EntryClass = MineForCausalLM
"""
BEE = {"architectures": ["BeeForCausalLM"], "model_type": "bee", "vocab_size": 100}
Build = Callable[..., tuple[ModelTree, Route]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    package = write_package(tmp_path, "sglang", {**FALLBACK, "srt/models/mine.py": MINE})
    transformers = write_package(tmp_path, "transformers", TRANSFORMERS)

    def made(config: dict[str, Any], tp: int = 1) -> tuple[ModelTree, Route]:
        source, profile = SglangSource(package, "1.0", "path"), ServingProfile(tp=tp)
        return build_by_route(config, source, profile, transformers=transformers)

    return made


def test_sglangs_own_class_is_exact(build: Build) -> None:
    tree, route = build({**DENSE, "architectures": ["MineForCausalLM"]})
    assert (route.source, route.confidence) == ("sglang", "exact")
    assert route.reason == "SGLang 1.0 has MineForCausalLM (srt/models/mine.py:5)"
    assert tree.root.class_name == "MineForCausalLM"


def test_transformers_inside_sglang_is_likely(build: Build) -> None:
    _, route = build({**BEE, "hidden_size": 8, "num_layers": 2})
    assert (route.source, route.confidence) == ("transformers", "likely")
    assert "transformers' own model inside TransformersForCausalLM" in route.reason


def test_an_architecture_of_neither_is_a_guess(build: Build) -> None:
    tree, route = build(DENSE)
    assert (route.source, route.confidence) == ("pattern", "guess")
    assert "no architecture AnyForCausalLM" in route.reason
    assert route.reason.endswith("3 layers of GQA and dense MLP")
    assert tree.architecture.name == "AnyForCausalLM"


def test_without_sglang_the_pattern_is_taken() -> None:
    _, route = build_by_route(DENSE, None)
    assert route.source == "pattern" and route.reason.startswith("SGLang's source is not there; ")


def test_what_sglang_checks_and_refuses_stays_refused(build: Build) -> None:
    with pytest.raises(DataError, match="SGLang refuses this configuration: too wide"):
        build({**DENSE, "architectures": ["MineForCausalLM"], "hidden_size": 128})


def test_what_fails_without_a_check_goes_to_the_pattern(build: Build) -> None:
    _, route = build({**DENSE, "architectures": ["MineForCausalLM"], "num_hidden_layers": 4})
    assert route.source == "pattern" and "of_the_checkpoint" in route.reason


def test_a_pattern_that_lacks_a_size_says_both(build: Build) -> None:
    with pytest.raises(DataError, match=r"no architecture Odd.*; and no pattern fits: .*hidden"):
        build({"architectures": ["OddForCausalLM"], "num_hidden_layers": 1})


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder of configurations: set FIB_CORPUS")
@pytest.mark.skipif(
    not {"FIB_SGLANG", "FIB_TRANSFORMERS"} <= set(os.environ),
    reason="set FIB_SGLANG and FIB_TRANSFORMERS to their sources",
)
def test_every_configuration_takes_a_route() -> None:
    sglang, transformers = find_sglang(os.environ["FIB_SGLANG"]), os.environ["FIB_TRANSFORMERS"]
    refused = []
    for path in sorted(CORPUS.glob("*.json")):
        try:
            config = unquantized(load_json(path))
            tree, _ = build_by_route(config, sglang, transformers=Path(transformers))
            assert tree.parameters > 0
        except DataError as error:
            assert "\n" not in str(error)
            refused.append(path.stem)
    assert len(refused) <= 2, refused
