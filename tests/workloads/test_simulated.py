"""Workloads of a model's definitions from simulated steps."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from flashinfer_bench.models.definitions.mapping import MappedLayer, map_layers
from flashinfer_bench.models.patterns.layers import Layers, block
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.workloads.simulated import simulated
from flashinfer_bench.workloads.simulation import Engine, Row, Step

LAYERS = Layers(ServingProfile(), "bfloat16")
STEPS = [
    Step("prefill", (Row(5, 5, (0, 1, 2, 3, 4)), Row(2, 2, (5, 6)))),
    Step("decode", (Row(1, 6, (0, 1, 2, 3, 4, 7)), Row(1, 3, (5, 6, 8)))),
]


def layers() -> list[MappedLayer]:
    heads = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 16, "v_head_dim": -1, "scaling": 0.5}
    norms = [LAYERS.layer(it, "RMSNorm", hidden_size=16, eps=1e-6) for it in ("q_norm", "k_norm")]
    attention = LAYERS.layer("attn", "RadixAttention", layer_id=0, **heads)
    return map_layers(block("model", "Block", [block("self_attn", "Block", [*norms, attention])]),
                      ServingProfile())  # fmt: skip


def test_norms_of_heads_see_a_row_for_each_head() -> None:
    found, calls = simulated(layers(), ["rmsnorm_h16"], STEPS, Engine())
    rows = {it.workload.axes["batch_size"] for it in found["rmsnorm_h16"]}
    assert rows == {7 * 4, 7 * 2, 2 * 4, 2 * 2} and calls["rmsnorm_h16"] == 4


def test_page_tables_are_those_of_the_steps() -> None:
    name = "gqa_paged_decode_h4_kv2_d16_ps1"
    (kept,) = simulated(layers(), [name], STEPS, Engine())[0][name]
    assert kept.tensors["kv_indptr"].tolist() == [0, 6, 9]
    assert kept.tensors["kv_indices"].tolist() == [0, 1, 2, 3, 4, 7, 5, 6, 8]
    assert kept.workload.inputs["sm_scale"].value == 0.5
    assert kept.workload.model_extra == {"source": "simulated"}
