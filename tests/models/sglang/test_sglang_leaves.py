"""What each leaf layer makes of its arguments, by hand."""

# ruff: noqa: E501 (tables and source)
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.sglang.leaves import LEAVES, Impossible, Made, divide


def parallel(tp: int = 1, ep: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        **{"tp_size": tp, "attn_tp_size": tp, "moe_ep_size": ep, "moe_tp_size": tp // ep},
        fused_shared_experts=0,
    )


def make(name: str, tp: int = 1, ep: int = 1, **given: Any) -> Made:
    (row,) = [leaf for full, leaf in LEAVES.items() if full.rpartition(".")[2] == name]
    return row.make(SimpleNamespace(**given), parallel(tp, ep))


@pytest.mark.parametrize(
    ("name", "given", "shapes"),
    [
        ("ReplicatedLinear", {"input_size": 64, "output_size": 24}, [(24, 64), (24, 64), (24, 64)]),
        ("ColumnParallelLinear", {"input_size": 64, "output_size": 24}, [(24, 64), (12, 64), (3, 64)]),
        ("RowParallelLinear", {"input_size": 64, "output_size": 24}, [(24, 64), (24, 32), (24, 8)]),
        (
            "MergedColumnParallelLinear",
            {"input_size": 64, "output_sizes": [16, 8]},
            [(24, 64), (12, 64), (3, 64)],
        ),
        (
            "QKVParallelLinear",
            {"hidden_size": 64, "head_size": 4, "total_num_heads": 16, "total_num_kv_heads": 2},
            [(80, 64), (40, 64), (16, 64)],  # a KV head is on four ranks at tp 8
        ),
        (
            "QKVParallelLinear",
            {"hidden_size": 64, "head_size": 4, "total_num_heads": 8, "total_num_kv_heads": None},
            [(96, 64), (48, 64), (12, 64)],
        ),
        (
            "QKVParallelLinear",
            {
                **{"hidden_size": 64, "head_size": 4, "v_head_size": 2},
                **{"total_num_heads": 8, "total_num_kv_heads": 8},
            },
            [(80, 64), (40, 64), (10, 64)],
        ),
        ("VocabParallelEmbedding", {"num_embeddings": 100, "embedding_dim": 8}, [(128, 8), (64, 8), (16, 8)]),
        ("ParallelLMHead", {"num_embeddings": 129, "embedding_dim": 8}, [(192, 8), (96, 8), (24, 8)]),
        (
            "VocabParallelEmbedding",
            {"num_embeddings": 100, "embedding_dim": 8, "enable_tp": False},
            [(128, 8), (128, 8), (128, 8)],
        ),
        ("RMSNorm", {"hidden_size": 64, "eps": 1e-6}, [(64,), (64,), (64,)]),
        ("Gemma3RMSNorm", {"dim": 64, "eps": 1e-6}, [(64,), (64,), (64,)]),
        ("LayerNorm", {"hidden_size": 64, "eps": 1e-6}, [(64,), (64,), (64,)]),
    ],
)  # fmt: skip
def test_shapes_on_one_rank(name: str, given: dict[str, Any], shapes: list[Any]) -> None:
    if "Embedding" in name or "Head" in name:
        given = {"padding_size": 64, "org_num_embeddings": None, **given}
    for tp, shape in zip((1, 2, 8), shapes, strict=True):
        assert make(name, tp, **given).weights["weight"] == shape


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ColumnParallelLinear", {"input_size": 64, "output_size": 28}),
        ("RowParallelLinear", {"input_size": 28, "output_size": 64}),
        ("MergedColumnParallelLinear", {"input_size": 64, "output_sizes": [16, 4]}),
        (
            "QKVParallelLinear",
            {"hidden_size": 64, "head_size": 4, "total_num_heads": 28, "total_num_kv_heads": 4},
        ),
        (
            "QKVParallelLinear",
            {"hidden_size": 64, "head_size": 4, "total_num_heads": 24, "total_num_kv_heads": 3},
        ),
        ("FusedMoE", {"num_experts": 8, "top_k": 2, "hidden_size": 64, "intermediate_size": 20}),
    ],
)
def test_impossible_partitions(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(Impossible, match="not divisible by"):
        make(name, 8, **given)


def test_biases_and_facts() -> None:
    made = make("ColumnParallelLinear", 2, input_size=64, output_size=24, bias=True)
    assert made.weights == {"weight": (12, 64), "bias": (12,)}
    assert made.facts["output_size"] == 24 and made.facts["output_size_per_partition"] == 12
    assert (
        make("RowParallelLinear", input_size=4, output_size=4, bias=False).weights["bias"] is None
    )
    made = make(
        "QKVParallelLinear", 8, hidden_size=64, head_size=4, total_num_heads=16, total_num_kv_heads=2
    )  # fmt: skip
    assert (made.facts["num_heads"], made.facts["num_kv_heads"]) == (2, 1)


def test_stated_ranks_count() -> None:
    made = make("ColumnParallelLinear", 8, input_size=64, output_size=24, tp_size=1)
    assert made.weights["weight"] == (24, 64)


@pytest.mark.parametrize(
    ("tp", "ep", "shared", "first", "second"),
    [
        (1, 1, 0, (16, 80, 64), (16, 64, 40)),
        (8, 1, 0, (16, 10, 64), (16, 64, 5)),
        (8, 8, 0, (2, 80, 64), (2, 64, 40)),
        (8, 2, 0, (8, 20, 64), (8, 64, 10)),
        (8, 8, 1, (3, 80, 64), (3, 64, 40)),
    ],
)
def test_experts(tp: int, ep: int, shared: int, first: Any, second: Any) -> None:
    made = make(
        "FusedMoE", tp, ep, num_experts=16 + shared, num_fused_shared_experts=shared,
        hidden_size=64, intermediate_size=40, top_k=2 + shared,
    )  # fmt: skip
    assert made.weights == {"w13_weight": first, "w2_weight": second}
    assert made.facts["num_local_experts"] == first[0]
    assert made.facts["num_experts"] == 16 + shared


def test_experts_without_a_gate_and_with_biases() -> None:
    made = make(
        "FusedMoE", num_experts=4, hidden_size=8, intermediate_size=6, top_k=2, is_gated=False,
        with_bias=True,
    )  # fmt: skip
    assert made.weights["w13_weight"] == (4, 6, 8)
    assert made.weights["w2_weight_bias"] == (4, 8)


def test_norms_without_weights() -> None:
    assert make("RMSNorm", hidden_size=8, eps=1.0, has_weight=False).weights["weight"] is None
    assert make("RMSNormWithoutScale", hidden_size=8, eps=1.0).weights == {}
    affine = make("LayerNorm", hidden_size=8, eps=1.0, elementwise_affine=False)
    assert affine.weights == {"weight": None, "bias": None}


def test_attention() -> None:
    given = {"num_heads": 4, "head_dim": 64, "scaling": 0.1, "num_kv_heads": 2, "layer_id": 3}
    made = make("RadixAttention", **given, v_head_dim=-1, sliding_window_size=None)
    assert made.facts["v_head_dim"] == 64 and made.facts["sliding_window_size"] == -1
    made = make("RadixAttention", **given, v_head_dim=32, sliding_window_size=127)
    assert made.facts["v_head_dim"] == 32 and made.facts["sliding_window_size"] == 127


def test_unknown_sizes_stay_unknown() -> None:
    mystery = Unknown("a mystery")
    assert divide(mystery, 8) is mystery
    made = make("ColumnParallelLinear", 8, input_size=mystery, output_size=mystery)
    assert made.weights["weight"] == (mystery, mystery)
    made = make("VocabParallelEmbedding", 8, num_embeddings=mystery, embedding_dim=8,
                padding_size=64, org_num_embeddings=None)  # fmt: skip
    assert made.weights["weight"][0] is mystery
