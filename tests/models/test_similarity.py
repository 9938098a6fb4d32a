"""Which known models an unknown one is most like."""

from __future__ import annotations

from flashinfer_bench.models.known import known_models
from flashinfer_bench.models.patterns import build_pattern_tree
from flashinfer_bench.models.similarity import closest_models, known_outlines, outline
from tests.models.test_patterns import DENSE, GDN, MLA


def test_outlines_are_of_known_models() -> None:
    names = {model.model_id for model in known_models()}
    assert len(known_outlines()) > 40 and set(known_outlines()) <= names


def test_outline_of_a_tree() -> None:
    found = outline(build_pattern_tree(MLA).root)
    assert found.sizes == {"layers": 3, "hidden": 64, "vocabulary": 128}
    assert found.parts["attention"] == {"MLA": {"layers": 3, "h": 8, "ckv": 16}}
    moe = {"layers": 2, "experts": 8, "top": 2, "width": 16}
    assert found.parts["feed-forward"] == {"dense MLP": {"layers": 1, "width": 96}, "MoE": moe}


def test_a_model_is_most_like_itself() -> None:
    exact = 0
    for model in known_models():
        if model.model_id in known_outlines() and "vision_config" not in model.config:
            best = closest_models(build_pattern_tree(model.config).root)[0]
            exact += best.score > 0.95
    assert exact >= 30


def test_kinds_of_layers_decide() -> None:
    outlines = known_outlines()
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    for config, kind in ((DENSE, "GQA"), (MLA, "MLA"), ({**GDN, **experts}, "GDN")):
        best = closest_models(build_pattern_tree(config).root)[0]
        assert kind in outlines[best.model_id].parts["attention"], best


def test_differences_are_readable() -> None:
    config = next(it.config for it in known_models() if it.model_id == "deepseek-ai/DeepSeek-R1")
    changed = {**config, "num_hidden_layers": 48, "n_routed_experts": 64}
    found = {it.model_id: it for it in closest_models(build_pattern_tree(changed).root, 5)}
    like = found["deepseek-ai/DeepSeek-R1"]
    assert 0.8 < like.score < 1
    assert like.differences == (
        "layers 48 instead of 61",
        "dense MLP 18432 and MoE 64 experts top 8 width 2048 instead of "
        "dense MLP 18432 and MoE 256 experts top 8 width 2048",
    )
