"""Module trees from configurations alone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flashinfer_bench.errors import DataError, NotFoundError
from flashinfer_bench.models.extraction import unquantized
from flashinfer_bench.models.hub import load_json
from flashinfer_bench.models.patterns import build_pattern_tree
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import build_tree
from flashinfer_bench.models.sglang.source import find_sglang
from flashinfer_bench.models.tree import ModuleNode, layer_runs

CORPUS = Path(
    os.environ.get("FIB_CORPUS", Path(__file__).parents[3] / "shared" / "hf_configs")
)  # a folder of config.json files
DENSE = {
    **{"architectures": ["AnyForCausalLM"], "hidden_size": 64, "num_hidden_layers": 3},
    **{"num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 96},
    **{"vocab_size": 128, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 1e4},
    **{"torch_dtype": "bfloat16", "tie_word_embeddings": False},
}
MLA = {
    **DENSE,
    **{"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4},
    **{"v_head_dim": 8, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 2},
    **{"moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_shared_experts": 1},
    **{"topk_group": 1, "topk_method": "noaux_tc"},
}
GDN = {
    **DENSE,
    **{"full_attention_interval": 3, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4},
}
PLAIN = (
    *("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"),
    *("MixtralForCausalLM", "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM", "Qwen3NextForCausalLM"),
    *("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM"),
    *("FalconMambaForCausalLM", "NemotronHForCausalLM"),
    *("Glm4MoeForCausalLM", "GraniteForCausalLM", "GraniteMoeHybridForCausalLM"),
)


def nodes(config: dict[str, Any], tp: int = 1, ep: int = 1) -> dict[str, ModuleNode]:
    return dict(build_pattern_tree(config, ServingProfile(tp=tp, ep=ep)).root.walk())


def test_standard_transformer() -> None:
    tree = build_pattern_tree(DENSE)
    found = dict(tree.root.walk())
    attention = found["model.layers.0.self_attn.attn"]
    assert (attention.role, attention.count) == ("attention", 3)
    assert attention.facts["tp_q_head_num"] == 8 and attention.facts["tp_k_head_num"] == 2
    assert found["model.layers.0"].items == (0, 1, 2)
    assert found["model.layers.0.mlp.gate_up_proj"].weights[0].shape == (192, 64)
    layer = (64 + 2 * 16) * 64 + 64 * 64 + 3 * 64 * 96 + 2 * 64
    assert tree.parameters == 3 * layer + 2 * 128 * 64 + 64
    assert {it.dtype for node in found.values() for it in node.weights} == {"bfloat16"}


def test_sizes_are_those_of_one_rank() -> None:
    found = nodes(DENSE, tp=4)
    assert found["model.layers.0.self_attn.qkv_proj"].weights[0].shape == (16 + 2 * 8, 64)
    assert found["model.layers.0.self_attn.attn"].facts["tp_k_head_num"] == 1
    assert found["model.layers.0.mlp.down_proj"].weights[0].shape == (64, 24)


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be split over tp 3, ep 1: 8 is not divisible by 3"):
        nodes({**DENSE, "num_key_value_heads": 3}, tp=3)


def test_spellings_of_other_vendors() -> None:
    other = {
        **{"n_embd": 64, "n_layer": 3, "n_head": 8, "multi_query_group_num": 2, "n_inner": 96},
        **{"padded_vocab_size": 128, "activation_function": "swiglu", "layernorm_epsilon": 1e-5},
        **{"rmsnorm": True, "tie_word_embeddings": False, "rope_theta": 1e4},
    }
    assert build_pattern_tree(other).parameters == build_pattern_tree(DENSE).parameters


def test_a_missing_size_is_named_with_its_spellings() -> None:
    without = {key: it for key, it in DENSE.items() if key != "hidden_size"}
    with pytest.raises(DataError, match="does not state its hidden; expected one of `hidden_size`"):
        build_pattern_tree(without)


def test_assumptions_are_notes() -> None:
    notes = build_pattern_tree({key: it for key, it in DENSE.items() if key != "hidden_act"}).notes
    assert notes[0] == "pattern from config.json: 3 layers of GQA and dense MLP"
    assert "head size is not stated; taken as hidden size / heads = 8" in notes
    assert "the activation is not stated; a gated MLP assumed" in notes


def test_latent_attention_and_experts() -> None:
    found = nodes(MLA, tp=2, ep=2)
    runs = layer_runs(build_pattern_tree(MLA).root)
    assert [run.count for run in runs] == [1, 2]
    absorbed = found["model.layers.1.self_attn.attn_mqa"].facts
    assert (absorbed["tp_q_head_num"], absorbed["tp_k_head_num"]) == (4, 1)
    assert (absorbed["qk_head_dim"], absorbed["v_head_dim"]) == (20, 16)
    experts = found["model.layers.1.mlp.experts"].facts
    assert (experts["num_experts"], experts["num_local_experts"], experts["top_k"]) == (8, 4, 2)
    assert found["model.layers.1.mlp.topk"].facts["correction_bias"] is True
    assert "model.layers.1.mlp.shared_experts.gate_up_proj" in found


def test_gated_delta_net_in_two_of_three_layers() -> None:
    found = nodes(GDN)
    assert found["model.layers.0"].items == (0, 1) and found["model.layers.2"].items == (2,)
    facts = found["model.layers.0.linear_attn.attn"].facts
    assert (facts["num_k_heads"], facts["num_v_heads"], facts["head_v_dim"]) == (2, 4, 8)
    assert [it.name for it in found["model.layers.0.linear_attn"].weights] == ["dt_bias", "A_log"]


def test_state_space_by_letters_and_alone() -> None:
    sizes = {"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 2}
    found = nodes({**DENSE, **sizes, "hybrid_override_pattern": "M-*"})
    assert found["model.layers.0.mixer"].role == "state space"
    assert found["model.layers.0.mixer.in_proj"].facts["output_sizes"] == [64, 64, 16, 16, 4]
    assert "model.layers.1.mlp" in found and "model.layers.2.self_attn.attn" in found
    alone = {"d_model": 64, "n_layer": 2, "vocab_size": 128, "state_size": 4, "rms_norm_eps": 1e-5}
    assert nodes(alone)["model.layers.0.mixer"].class_name == "MambaMixer1"


def test_windows_of_listed_layers_and_tied_embeddings() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    more = {"layer_types": kinds, "sliding_window": 16, "tie_word_embeddings": True}
    found = nodes({**DENSE, **more})
    assert found["model.layers.0.self_attn.attn"].facts["sliding_window_size"] == 15
    assert found["model.layers.1.self_attn.attn"].facts["sliding_window_size"] == -1
    assert found["lm_head"].shared and found["lm_head"].weights[0].tied


def test_a_kind_of_layer_without_pattern_is_refused() -> None:
    with pytest.raises(DataError, match="layer kind 'fourier' has no pattern"):
        build_pattern_tree({**DENSE, "layer_types": ["fourier"] * 3})


def parts(root: ModuleNode) -> dict[str, Counter[Any]]:
    """Shapes of matrices, sizes of norms, and attention, each as often as it occurs."""
    found: dict[str, Counter[Any]] = {it: Counter() for it in ("matrices", "norms", "attention")}
    names = ("tp_q_head_num", "tp_k_head_num", "qk_head_dim", "v_head_dim")
    for _, node in root.walk():
        for weight in node.weights:
            if weight.shape and len(weight.shape) > 1 and not weight.tied:
                found["matrices"][weight.shape] += node.count
        if node.role == "norm" and node.name not in ("q_norm", "k_norm"):
            found["norms"][node.facts["hidden_size"]] += node.count
        if node.role == "attention":
            found["attention"][tuple(node.facts[it] for it in names)] += node.count
    return found


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder of configurations: set FIB_CORPUS")
@pytest.mark.skipif(
    not {"FIB_SGLANG", "FIB_TRANSFORMERS"} <= set(os.environ),
    reason="set FIB_SGLANG and FIB_TRANSFORMERS to their sources",
)
def test_patterns_agree_with_sglang_for_plain_models() -> None:
    sglang, compared = find_sglang(os.environ["FIB_SGLANG"]), 0
    transformers = Path(os.environ["FIB_TRANSFORMERS"])
    profile, differing = ServingProfile(shared_expert_fusion=False), []
    for path in sorted(CORPUS.glob("*.json")):
        config = unquantized(load_json(path))
        if not set(config.get("architectures") or ()) & set(PLAIN):
            continue
        try:
            expected = build_tree(config, sglang, profile, transformers=transformers)
        except (DataError, NotFoundError):
            continue
        tree, compared = build_pattern_tree(config, profile), compared + 1
        mine, theirs = parts(tree.root), parts(expected.root)
        if abs(tree.parameters / expected.parameters - 1) > 0.01 or mine != theirs:
            lines = {it: (mine[it] - theirs[it], theirs[it] - mine[it]) for it in mine}
            differing.append((path.stem, tree.parameters / expected.parameters, lines))
    assert compared and not differing
