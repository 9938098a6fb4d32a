"""A model's record from its tree."""

from __future__ import annotations

from typing import Any

import pytest

from flashinfer_bench.data.model import Model
from flashinfer_bench.models.definitions.mapping import map_layers
from flashinfer_bench.models.entry import display_name, model_record, plain_id, short_id
from flashinfer_bench.models.extraction import ExtractedModel
from flashinfer_bench.models.hub import HubConfig
from flashinfer_bench.models.patterns import build_pattern_tree
from flashinfer_bench.models.quantization import read_quantization
from flashinfer_bench.models.routes import Route
from flashinfer_bench.models.serving import ChosenServing, ServingProfile
from tests.models.test_patterns import DENSE, GDN, MLA


def record(config: dict[str, Any], model_id: str = "some/Model-7B", **stated: Any) -> Model:
    profile = ServingProfile()
    tree = build_pattern_tree(config, profile)
    model = ExtractedModel(
        HubConfig(model_id, config, "hub", "there", "c0ffee"),
        None,
        tree,
        Route("pattern", "guess", "made up"),
        ChosenServing(profile, "as stated"),
        read_quantization(config),
        total_parameters=lambda: tree.parameters,
    )
    return model_record(model, map_layers(tree.root, profile), **stated)


def test_layers_that_are_alike_are_one_module() -> None:
    found = record(DENSE)
    layers = found.modules["layers"]
    assert (layers.count, layers.parent, layers.type) == (3, "model", "block")
    attention = found.modules["attn"]
    assert attention.count == 3 and found.path("attn") == ["model", "layers", "self_attn", "attn"]
    assert "gqa_paged_decode_h8_kv2_d8_ps1" in (attention.definitions or [])
    assert not any(key.isdigit() for key in found.modules)
    assert found.parameters == sum(
        (found.modules[key].parameters or 0) * found.modules[key].count for key in found.children()
    )


def test_what_differs_stands_side_by_side() -> None:
    found = record(MLA)
    counts = {key: it.count for key, it in found.modules.items()}
    assert (counts["layers"], counts["mlp_dense"], counts["mlp_moe"]) == (3, 1, 2)
    assert counts["self_attn"] == 3  # of both kinds of layers
    assert found.modules["mlp_dense.gate_up_proj"].count == 1
    assert found.modules["shared_experts.gate_up_proj"].parent == "shared_experts"
    assert counts["experts"] == 2
    assert found.description is not None
    assert found.description.startswith("3 layers (1 dense and 2 with 8 experts)")


def test_mixers_of_two_kinds() -> None:
    found = record(GDN)
    counts = {key: it.count for key, it in found.modules.items()}
    assert (counts["layers"], counts["linear_attn"], counts["mlp"]) == (3, 2, 3)
    linear = next(it for it in found.modules.values() if "gdn_decode" in str(it.definitions))
    assert linear.count == 2


def test_windows_are_told_apart() -> None:
    windows = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    found = record({**DENSE, **windows, "sliding_window": 16})
    assert found.modules["attn_sliding"].count == 2 and found.modules["attn_full"].count == 1


def test_provenance_and_layout() -> None:
    found = record(DENSE, description="Ours")
    assert found.origin is not None and found.layout is not None
    assert (found.origin.revision, found.origin.route) == ("c0ffee", "pattern")
    assert (found.layout.tp, found.layout.gpu, found.description) == (1, "h200", "Ours")
    assert found.hf_repo_id == "some/Model-7B"
    assert Model.model_validate(found.model_dump()) == found


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("moonshotai/Kimi-K2-Instruct", ("kimi-k2", "Kimi K2")),
        ("meta-llama/Llama-3.1-8B-Instruct", ("llama-3.1-8b", "Llama 3.1 8B")),
        ("openai/gpt-oss-120b", ("gpt-oss-120b", "gpt-oss-120b")),
        ("Qwen__Qwen3-8B", ("qwen3-8b", "Qwen3 8B")),
    ],
)
def test_names(repository: str, expected: tuple[str, str]) -> None:
    model_id = short_id(repository)
    assert (model_id, display_name(model_id, repository)) == expected


def test_ids_hold_no_other_signs() -> None:
    assert plain_id("../Some Model_7B!") == "some-model-7b"
    assert short_id("///") == "model"
