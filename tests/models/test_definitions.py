"""Layers of a tree and the definitions of what they compute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flashinfer_bench.models.definitions.aliases import MODULE_NAMES, sglang_names
from flashinfer_bench.models.definitions.mapping import MappedLayer, map_layers
from flashinfer_bench.models.definitions.nearest import advise
from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.patterns.layers import Layers
from flashinfer_bench.models.patterns.layers import block as layer_block
from flashinfer_bench.models.quantization import Quantization, read_quantization
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.tree import ModuleNode, Weight
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import parse_name

LAYERS = Layers(ServingProfile(), "bfloat16")
FP8 = Quantization("fp8", 8, family="fp8_block_scale")


def leaf(name: str, layer: str, **given: Any) -> ModuleNode:
    """As SGLang's layer of that name makes it on one rank."""
    return LAYERS.layer(name, layer, **given)


def block(name: str, *children: ModuleNode, weights: tuple[Weight, ...] = ()) -> ModuleNode:
    return layer_block(name, "Block", children, weights=weights)


def linear(name: str, n: int, k: int) -> ModuleNode:
    return leaf(name, "ReplicatedLinear", output_size=n, input_size=k)


def norm(name: str, size: int, eps: float = 1e-6, layer: str = "RMSNorm") -> ModuleNode:
    return leaf(name, layer, hidden_size=size, eps=eps)


def attention(name: str, heads: int, kv_heads: int, size: int, **more: Any) -> ModuleNode:
    stated = {"v_head_dim": -1, "scaling": 0.1, "layer_id": 0, **more}
    sizes = {"num_heads": heads, "num_kv_heads": kv_heads, "head_dim": size}
    return leaf(name, "RadixAttention", **sizes, **stated)


def moe(experts: int, top_k: int, *, bias: bool = False, groups: int = 1) -> ModuleNode:
    sizes = {"hidden_size": 2048, "intermediate_size": 512, "top_k": top_k}
    choice = {"use_grouped_topk": bias, "num_expert_group": groups, "topk_group": groups}
    return block(
        "mlp",
        linear("gate", experts, 2048),
        leaf("topk", "TopK", top_k=top_k, correction_bias=bias or None, **choice),
        leaf("experts", "FusedMoE", num_experts=experts, **sizes),
    )


def embedding(words: int, size: int) -> ModuleNode:
    return leaf(
        "embed_tokens",
        "VocabParallelEmbedding",
        **{"num_embeddings": words, "embedding_dim": size},
        **{"padding_size": 64, "org_num_embeddings": None},
    )


def mapped(*children: ModuleNode, **options: Any) -> dict[str, MappedLayer]:
    profile = options.pop("profile", ServingProfile())
    root = block("", *children)
    return {it.path: it for it in map_layers(root, profile, **options)}


def names(layer: MappedLayer) -> list[str]:
    return [it.name for it in layer.definitions]


def test_gemm() -> None:
    layer = mapped(linear("proj", 6144, 4096), existing={"gemm_n6144_k4096"})["proj"]
    (found,) = layer.definitions
    assert (found.name, found.exact) == ("gemm_n6144_k4096", "gemm_bf16_n6144_k4096")
    assert (found.op_type, found.status) == ("gemm", "existing")


def test_quantised_gemm() -> None:
    kept = replace(FP8, kept=("kept",))
    layers = mapped(linear("proj", 512, 256), linear("kept", 512, 256), quantization=kept)
    assert names(layers["proj"]) == ["gemm_fp8_block_scale_n512_k256"]
    assert names(layers["kept"]) == ["gemm_n512_k256"]


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block_scale"),
        ({"quant_method": "fp8"}, "fp8_per_tensor"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "fp4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
    ],
)
def test_families_of_quantisation(config: dict[str, Any], family: str) -> None:
    found = read_quantization({"quantization_config": config})
    assert found is not None and found.family == family


def test_norms_of_the_residual_stream() -> None:
    layers = mapped(
        embedding(640, 64),
        norm("input_norm", 64),
        norm("head_norm", 16, eps=1e-5),
        norm("final_norm", 64, layer="GemmaRMSNorm"),
        norm_kinds={"final_norm": frozenset({"fused"})},
    )
    assert names(layers["input_norm"]) == ["fused_add_rmsnorm_h64", "rmsnorm_h64"]
    assert [it.exact for it in layers["head_norm"].definitions] == ["rmsnorm_h16_eps5"]
    assert names(layers["final_norm"]) == ["gemma_fused_add_rmsnorm_h64"]


def test_norms_without_an_operation() -> None:
    node = leaf("norm", "LayerNorm", hidden_size=64, eps=1e-5)
    assert mapped(node)["norm"].gap == "layernorm"
    node = leaf("norm", "RMSNormWithoutScale", hidden_size=64, eps=1e-5)
    assert mapped(node)["norm"].gap == "rmsnorm without a weight"


@pytest.mark.parametrize(
    ("backend", "stated", "page"),
    [
        (None, None, 1),
        (None, 64, 64),
        ("flashinfer", 64, 1),
        ("trtllm_mha", None, 64),
        ("trtllm_mha", 16, 16),
        ("fa3", 32, 32),
    ],
)
def test_page_size_is_the_backends(backend: str | None, stated: int | None, page: int) -> None:
    profile = ServingProfile(attention_backend=backend, page_size=stated)
    layer = mapped(attention("attn", 32, 8, 128), profile=profile)["attn"]
    assert names(layer)[0] == f"gqa_paged_decode_h32_kv8_d128_ps{page}"


def test_grouped_query_attention() -> None:
    window = {"sliding_window_size": 127, "logit_cap": 50.0}
    layer = mapped(attention("attn", 64, 8, 64, **window))["attn"]
    assert names(layer) == [
        "gqa_paged_decode_h64_kv8_d64_ps1",
        "gqa_paged_prefill_causal_h64_kv8_d64_ps1",
        "gqa_ragged_prefill_causal_h64_kv8_d64",
    ]
    assert {it.exact.partition("_w")[2] for it in layer.definitions} == {"127_cap50"}


def test_latent_attention() -> None:
    layers = mapped(
        attention("attn_mqa", 16, 1, 576, v_head_dim=512),
        attention("attn_mha", 16, 16, 192, v_head_dim=128),
    )
    assert names(layers["attn_mqa"]) == [
        "mla_paged_decode_h16_ckv512_kpe64_ps1",
        "mla_paged_prefill_causal_h16_ckv512_kpe64_ps1",
    ]
    assert names(layers["attn_mha"]) == ["mla_ragged_prefill_causal_h16_qk192_vo128"]


def test_sparse_latent_attention() -> None:
    facts = {"n_heads": 64, "head_dim": 128, "index_topk": 2048}
    indexer = replace(block("indexer", linear("wk", 128, 7168)), role="indexer", facts=facts)
    layers = mapped(attention("attn_mqa", 16, 1, 576, v_head_dim=512), indexer)
    assert names(layers["attn_mqa"]) == ["dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64"]
    assert names(layers["indexer"]) == ["dsa_topk_indexer_fp8_h64_d128_topk2048_ps64"]


def test_experts_by_precision_and_routing() -> None:
    plain = mapped(moe(128, 8))
    assert names(plain["mlp.experts"]) == ["trtllm_bf16_moe_topk8_e128_h2048_i512"]
    assert names(plain["mlp.gate"]) == ["gemm_n128_k2048"]
    assert plain["mlp.topk"].inside == "mlp.experts"
    in_blocks = mapped(moe(128, 8), quantization=FP8)["mlp.experts"]
    assert names(in_blocks) == ["moe_fp8_block_scale_renorm_topk8_e128_h2048_i512"]
    by_bias = mapped(moe(256, 8, bias=True, groups=4), quantization=FP8)["mlp.experts"]
    name = "moe_fp8_block_scale_ds_routing_topk8_ng4_kg4_e256_h2048_i512"
    assert names(by_bias) == [name]
    assert mapped(moe(128, 8, bias=True))["mlp.experts"].gap is not None


def test_all_experts_are_stated_where_the_name_means_others() -> None:
    layer = mapped(moe(320, 8, bias=True), quantization=FP8)["mlp.experts"]
    assert "_of320_e320_" in layer.definitions[0].exact
    assert "_of" not in layer.definitions[0].name


def decays(size: int) -> tuple[Weight, ...]:
    return tuple(Weight(name, (size,), "bfloat16", 2) for name in ("dt_bias", "A_log"))


def test_linear_attention_by_its_decays() -> None:
    sizes = {"num_q_heads": 16, "num_k_heads": 16, "num_v_heads": 32}
    widths = dict.fromkeys(("head_q_dim", "head_k_dim", "head_v_dim"), 128)
    node = leaf("attn", "RadixLinearAttention", layer_id=0, **sizes, **widths)
    one_each = mapped(block("gdn", node, weights=decays(32)))["gdn.attn"]
    assert names(one_each) == [
        "gdn_decode_qk16_v32_d128_k_last",
        "gdn_prefill_qk16_v32_d128_k_last",
    ]
    assert mapped(block("kda", node, weights=decays(4096)))["kda.attn"].gap is not None


def test_state_space() -> None:
    facts = {"num_heads": 128, "head_dim": 64, "ssm_state_size": 128, "n_groups": 8, "tp_size": 2}
    weights = (Weight("D", (64,), "float32", 4),)
    mixer = replace(block("mixer", linear("in_proj", 64, 64)), role="state space", facts=facts)
    layers = mapped(replace(mixer, weights=weights))
    assert names(layers["mixer"]) == ["mamba_ssu_decode_h64_d64_s128_ng4"]


def test_sampling_takes_the_vocabulary() -> None:
    layers = mapped(embedding(128256, 64), leaf("logits_processor", "LogitsProcessor"))
    assert names(layers["logits_processor"]) == ["top_k_top_p_sampling_from_probs_v128256"]
    assert layers["embed_tokens"].gap == "embedding lookup"


def test_what_is_unknown_is_a_gap() -> None:
    unknown: Any = Unknown("not known")
    assert mapped(linear("proj", unknown, 64))["proj"].gap is not None
    assert mapped(norm("norm", unknown))["norm"].gap is not None


def test_every_name_stands_for_a_definition() -> None:
    layers = mapped(
        embedding(640, 64), norm("norm", 64, 1e-5), attention("attn", 4, 2, 16), moe(8, 2)
    )
    for layer in layers.values():
        assert layer.definitions or layer.gap or layer.inside
        for it in layer.definitions:
            assert emit(*parse_name(it.exact)).name == it.exact


def test_advice_for_a_missing_definition() -> None:
    existing = {"gqa_paged_decode_h32_kv8_d128_ps1", "gqa_paged_decode_h5_kv1_d128_ps1", "other"}
    advice = advise("gqa_paged_decode_h32_kv4_d128_ps1", "gqa_paged", existing)
    assert advice.nearest == "gqa_paged_decode_h32_kv8_d128_ps1"
    assert advice.differences == ("num_kv_heads 8 instead of 4",)
    assert "gqa_paged_decode_h32_kv4_d128_ps1" in advice.command
    assert advise("rmsnorm_h64", "rmsnorm", existing).nearest is None


def test_names_of_drawings() -> None:
    assert sglang_names("moe_experts") == ("experts",)
    assert sglang_names("qkv_proj") == ("qkv_proj",)
    assert all(names for names in MODULE_NAMES.values())
