"""Architectures that SGLang lacks: which of its classes wraps transformers' model, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.errors import DataError, NotFoundError
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.source import SglangSource
from flashinfer_bench.models.tree import ModuleNode, layer_runs
from tests.models.config_sources import write_package
from tests.models.fallback_sources import FALLBACK, TRANSFORMERS

BEE = {
    **{"architectures": ["BeeForCausalLM"], "model_type": "bee", "vocab_size": 100},
    **{"hidden_size": 8, "num_layers": 2},
}
ANT = {
    **{"architectures": ["AntForConditionalGeneration"], "model_type": "ant"},
    "text_config": {"hidden_size": 8, "vocab_size": 128, "num_experts": 4},
}
Build = Callable[..., ModelTree]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    package = write_package(tmp_path, "sglang", FALLBACK)
    transformers = write_package(tmp_path, "transformers", TRANSFORMERS)

    def made(config: dict[str, Any], tp: int = 1, **options: Any) -> ModelTree:
        source = SglangSource(package, "1.0", "path")
        given = {"transformers": transformers, **options}
        return build_tree(config, source, ServingProfile(tp=tp), **given)

    return made


def nodes(tree: ModelTree) -> dict[str, ModuleNode]:
    return dict(tree.root.walk())


def test_transformers_model_is_wrapped_and_its_layers_replaced(build: Build) -> None:
    tree = build(BEE)
    found = nodes(tree)
    assert tree.architecture.name == found[""].class_name == "TransformersForCausalLM"
    assert [(run.count, run.class_name) for run in layer_runs(tree.root)] == [(2, "BeeLayer")]
    assert found["model.embed_tokens"].facts["num_embeddings_padded"] == 128
    up, down = found["model.layers.0.up"], found["model.layers.0.down"]
    assert (up.class_name, up.role, up.count) == ("Wrapped", "linear", 2)
    assert up.facts["layer_class"] == "ColumnParallelLinear" and up.weights[0].shape == (32, 8)
    assert down.facts["layer_class"] == "RowParallelLinear"
    assert found["model.layers.0.act"].class_name == "BuzzActivation"
    assert found["model.layers.0"].weights[0].shape == (3,)
    assert tree.parameters == 128 * 8 + 2 * (2 * 8 * 32 + 8 + 3) + 8
    assert not tree.doubts


def test_notes_say_that_sglang_lacks_the_architecture(build: Build) -> None:
    tree = build(BEE)
    assert tree.notes == [
        "SGLang 1.0 has no architecture BeeForCausalLM; it would run transformers' implementation, "
        "wrapped as TransformersForCausalLM"
    ]


def test_norms_whose_weights_start_at_zero_are_told_apart(build: Build) -> None:
    found = nodes(build(BEE))
    assert found["model.norm"].facts["layer_class"] == "RMSNorm"
    assert found["model.layers.0.norm"].facts["layer_class"] == "GemmaRMSNorm"


def test_attention_outside_the_modules_is_listed(build: Build) -> None:
    attention = build(BEE).outside
    assert [(it.name, it.count, it.role) for it in attention] == [("attentions.0", 3, "attention")]


def test_model_with_text_model_inside_and_experts(build: Build) -> None:
    tree = build(ANT)
    found = nodes(tree)
    assert tree.architecture.name == "TransformersMultiModalMoEForCausalLM"
    assert found["model.language_model"].class_name == "AntTextModel"
    assert found["model.language_model.embed_tokens"].class_name == "VocabParallelEmbedding"
    assert found["model.language_model.layers.0.experts"].weights[0].shape == (5, 7)
    assert found["model.language_model.layers.0.gate"].facts["layer_class"] == "ReplicatedLinear"
    assert found["model.patches"].weights[0].shape == (8, 3, 2, 2)


def test_plan_of_parallelism_splits_and_its_absence_refuses(build: Build) -> None:
    found = nodes(build(BEE, tp=2))
    assert found["model.layers.0.up"].weights[0].shape == (16, 8)
    assert found["model.layers.0.down"].weights[0].shape == (8, 16)
    with pytest.raises(DataError, match="does not support tensor parallel"):
        build(ANT, tp=2)


def test_what_sglang_refuses_is_refused(build: Build) -> None:
    with pytest.raises(DataError, match="AntLegacyModel is not compatible"):
        build({**ANT, "architectures": ["AntLegacyModel"]})


def test_own_architecture_does_not_fall_back(build: Build) -> None:
    config = {"architectures": ["CatForCausalLM"], "model_type": "bee", "hidden_size": 8}
    tree = build(config)
    assert tree.architecture.name == "CatForCausalLM" and not tree.notes


def test_configuration_class_may_name_an_own_architecture(build: Build) -> None:
    config = {"architectures": ["EmuForCausalLM"], "model_type": "emu", "hidden_size": 8}
    tree = build({**config, "num_attention_heads": 2})
    assert tree.architecture.name == "CatForCausalLM" and not tree.notes


def test_class_for_a_text_model_gets_the_inner_configuration(build: Build, tmp_path: Path) -> None:
    tables = tmp_path / "transformers/models/auto/modeling_auto.py"
    text = tables.read_text(encoding="utf-8").replace('"AntModel"', '"AntTextModel"')
    tables.write_text(text, encoding="utf-8")
    found = nodes(build(ANT))
    assert found["model"].class_name == "AntTextModel"
    assert found["model.embed_tokens"].facts["embedding_dim"] == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["YakModel"]}, "and transformers has no YakModel$"),
        ({"model_type": "yak"}, "transformers has no GenericConfig models$"),
        (
            {"architectures": ["YakModel"], "auto_map": {"AutoModel": "yak.YakModel"}},
            "a checkpoint's own code is not run$",
        ),
        ({"architectures": []}, "states no architecture"),
    ],
)
def test_neither_has_it(build: Build, change: dict[str, Any], said: str) -> None:
    with pytest.raises(NotFoundError, match=said):
        build({**BEE, **change})


def test_without_transformers_source(build: Build) -> None:
    with pytest.raises(NotFoundError, match="its source is not there"):
        build(BEE, transformers=None)
