"""Bindings: genuine dumps of SGLang 0.5.13 with FlashInfer 0.6.12, and each refusal.

`tests/data/dumps` holds a few calls of our own runs on an H200, with the plans' tensors; the folder
`dumps` of the corpus holds all of them.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from corpus import corpus_file

from flashinfer_bench.ops.binding import Binding, Bound, Call, Refused
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.gqa_paged import binding as gqa_paged
from flashinfer_bench.ops.gqa_ragged import binding as gqa_ragged
from flashinfer_bench.ops.mla_paged import binding as mla_paged
from flashinfer_bench.ops.mla_ragged import binding as mla_ragged
from flashinfer_bench.ops.registry import operations

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from dump_reader import read_calls  # noqa: E402

SAMPLE = Path(__file__).parents[1] / "data" / "dumps"
PREFIX = "sglang_0.5.13_flashinfer_0.6.12_"

UNBOUND = {
    "fused_topk_deepseek": "routing; its family is not built yet",
    "merge_state": "joins two parts of one attention; no operation",
    "min_p_sampling_from_probs": "no operation draws by min-p",
    "top_k_renorm_probs": "gives probabilities, no token; no operation",
    "top_p_renorm_probs": "gives probabilities, no token; no operation",
}
"""APIs of the dumps that no operation is called by, and why."""

DROPPED = {
    "flashinfer.prefill.BatchPrefillWithPagedKVCacheWrapper.run": "not causal",
}
"""Bound APIs with calls that are refused: SGLang splits a prompt with a cached prefix into causal
attention to itself (ragged) and attention to the whole prefix (paged), and merges the two."""

COUNTS = {
    "llama": {
        "fused_add_rmsnorm_h4096_eps5": 256,
        "gqa_paged_decode_h32_kv8_d128_ps1": 124,
        "gqa_ragged_prefill_causal_h32_kv8_d128": 4,
        "refused": 2,
        "rmsnorm_h4096_eps5": 64,
        "unbound": 194,
    },
    "dsv3": {
        "fused_add_rmsnorm_h7168": 256,
        "mla_paged_decode_h128_ckv512_kpe64_ps1": 124,
        "mla_paged_prefill_causal_h128_ckv512_kpe64_ps1": 2,
        "mla_ragged_prefill_causal_h128_qk192_vo128": 2,
        "rmsnorm_h1536": 128,
        "rmsnorm_h512": 128,
        "rmsnorm_h7168": 64,
        "unbound": 256,
    },
}
"""Definition -> calls in the whole of a dump."""

SM_SCALE = {"llama": 128**-0.5, "dsv3": 0.1352337788608801}
"""DeepSeek's: 192**-0.5 times the square of its rope scaling's 0.1 * ln(40) + 1."""


def definition(call: Call) -> tuple[str, Bound] | None:
    """Name and inputs of the operation that a call is; None where its API is not bound."""
    refusals = []
    for operation in operations():
        if not isinstance(operation.binding, Binding) or call.api not in operation.binding.apis:
            continue
        try:
            bound = operation.binding.bind(call)
        except Refused as error:
            refusals.append(str(error))
        else:
            check_inputs(operation, bound)
            return operation.naming.format(bound.constants), bound
    if refusals:
        raise Refused("\n".join(refusals))
    return None


def check_inputs(operation: Operation, bound: Bound) -> None:
    interface = operation.interface(bound.constants)
    assert list(bound.inputs) == list(interface.inputs)
    lengths = {axis: length for axis, length in interface.axes.items() if length is not None}
    for name, expected in interface.inputs.items():
        value = bound.inputs[name]
        if expected.axes is None:
            assert isinstance(value, float)
            continue
        assert str(value.dtype) == f"torch.{expected.dtype}"
        assert len(value.shape) == len(expected.axes)
        for axis, length in zip(expected.axes, value.shape):
            assert lengths.setdefault(axis, length) == length, (name, axis)


def survey(folder: Path, model: str) -> Counter[str]:
    """Checks each call of a dump and counts its definitions."""
    counts: Counter[str] = Counter()
    for call in read_calls(folder):
        try:
            found = definition(call)
        except Refused as refusal:
            assert DROPPED[call.api] in str(refusal)
            counts["refused"] += 1
            continue
        if found is None:
            assert call.api.rpartition(".")[2] in UNBOUND
        elif "prefill" in found[0] or "decode" in found[0]:
            check_attention(call, found[1], model)
        counts[found[0] if found else "unbound"] += 1
    return counts


def check_attention(call: Call, bound: Bound, model: str) -> None:
    assert bound.inputs["sm_scale"] == pytest.approx(SM_SCALE[model], rel=1e-12)
    assert ("sm_scale" in bound.derived) == (call.plan.get("sm_scale") is None)
    if "qo_indptr" in bound.inputs:
        assert call.layer.get("causal", call.plan.get("causal")) is True
    indptr = bound.inputs["kv_indptr"]
    if "kv_indices" in bound.inputs and not indptr.is_meta:
        assert len(bound.inputs["kv_indices"]) == indptr[-1]


@pytest.mark.parametrize("model", COUNTS)
def test_sample_of_dumps(model: str) -> None:
    counts = survey(SAMPLE / model, model)
    assert set(counts) <= set(COUNTS[model])
    assert {name for name in COUNTS[model] if "gqa" in name or "mla" in name} <= set(counts)


@pytest.mark.parametrize("model", COUNTS)
def test_whole_dumps(model: str, tmp_path: Path) -> None:
    archive = corpus_file("dumps", f"{PREFIX}{model}.tar.xz")
    with tarfile.open(archive) as packed:
        needed = [m for m in packed.getmembers() if ".plan_" in m.name or m.name.endswith(".jsonl")]
        packed.extractall(tmp_path, needed, filter="data")
    folder = next(tmp_path.rglob("forward_calls.jsonl")).parent
    assert survey(folder, model) == COUNTS[model]


def test_without_layer_facts() -> None:
    """Grouped-query attention has a default scale; latent attention's cannot be guessed."""
    outcomes = {}
    for model in COUNTS:
        for call in read_calls(SAMPLE / model):
            if call.layer:
                try:
                    found = definition(Call(call.api, call.run, call.plan))
                except Refused as error:
                    found = str(error), None
                assert found is not None
                outcomes[model, call.api.split(".")[-2][5:-7]] = found
    name, bound = outcomes["llama", "PrefillWithRaggedKVCache"]
    assert bound and bound.inputs["sm_scale"] == 128**-0.5 and name in COUNTS["llama"]
    name, bound = outcomes["llama", "DecodeWithPagedKVCache"]
    assert bound and bound.inputs["sm_scale"] == 128**-0.5 and name in COUNTS["llama"]
    assert "neither plan nor layer" in outcomes["llama", "PrefillWithPagedKVCache"][0]
    assert "no 'sm_scale'" in outcomes["dsv3", "PrefillWithRaggedKVCache"][0]


def zeros(*shape: int, dtype: Any = None) -> Any:
    return torch.zeros(shape, dtype=dtype or torch.bfloat16)


def index(*values: int) -> Any:
    return torch.tensor(values, dtype=torch.int32)


SIZES = {"num_qo_heads": 8, "num_kv_heads": 2, "page_size": 4}
PAGES = {"indptr": index(0, 2, 3), "indices": index(5, 0, 2, 9, 9), "last_page_len": index(3, 4)}
CACHE = (zeros(6, 4, 2, 64), zeros(6, 4, 2, 64))


def decode(plan: Any = {}, run: Any = {}, layer: Any = {}) -> Call:  # noqa: B006
    given = {**PAGES, **SIZES, "head_dim": 64, **plan}
    return Call("decode", {"q": zeros(2, 8, 64), "paged_kv_cache": CACHE, **run}, given, layer)


def prefill(plan: Any = {}, run: Any = {}, layer: Any = {}) -> Call:  # noqa: B006
    pages = {f"paged_kv_{name}": value for name, value in PAGES.items()}
    given = {"qo_indptr": index(0, 3, 5), **pages, **SIZES, "head_dim_qk": 64, "causal": True}
    tensors = {"q": zeros(5, 8, 64), "paged_kv_cache": CACHE, **run}
    return Call("prefill", tensors, {**given, **plan}, layer)


def ragged(kv: int, vo: int, plan: Any = {}, run: Any = {}, layer: Any = {}) -> Call:  # noqa: B006
    edges = {"qo_indptr": index(0, 3, 5), "kv_indptr": index(0, 3, 5)}
    heads = {"num_qo_heads": 8, "num_kv_heads": kv, "head_dim_qk": 64}
    tensors = {"q": zeros(5, 8, 64), "k": zeros(5, kv, 64), "v": zeros(5, kv, vo), **run}
    return Call("ragged", tensors, {**edges, **heads, **plan}, layer)


def mla(plan: Any = {}, run: Any = {}, layer: Any = {}, queries: Any = (0, 1, 2)) -> Call:  # noqa: B006
    rows = queries[-1]
    given = {
        "qo_indptr": index(*queries),
        "kv_indptr": index(0, 2, 3),
        "kv_indices": index(5, 0, 2, 9),
        "kv_len_arr": index(7, 4),
        "num_heads": 8,
        "head_dim_ckv": 32,
        "head_dim_kpe": 16,
        "page_size": 4,
        "causal": False,
        "sm_scale": 0.25,
    }
    tensors = {
        "q_nope": zeros(rows, 8, 32),
        "q_pe": zeros(rows, 8, 16),
        "ckv_cache": zeros(6, 4, 32),
        "kpe_cache": zeros(6, 4, 16),
    }
    return Call("mla", {**tensors, **run}, {**given, **plan}, layer)


GQA_DECODE = {"num_qo_heads": 8, "num_kv_heads": 2, "head_dim": 64, "page_size": 4}


def test_decode_with_pages() -> None:
    bound = gqa_paged.DECODE.bind(decode())
    assert bound.constants == GQA_DECODE
    assert bound.inputs["kv_indices"].tolist() == [5, 0, 2]
    assert bound.inputs["kv_last_page_len"].tolist() == [3, 4]
    assert bound.inputs["sm_scale"] == 64**-0.5
    assert bound.derived == {"sm_scale"}


def test_scale_of_the_plan_and_of_the_layer() -> None:
    planned = gqa_paged.DECODE.bind(decode({"sm_scale": 0.5}))
    assert planned.inputs["sm_scale"] == 0.5 and not planned.derived
    layer = gqa_paged.DECODE.bind(decode({"sm_scale": 0.5}, layer={"sm_scale": 0.3}))
    assert layer.inputs["sm_scale"] == 0.3 and layer.derived == {"sm_scale"}


def test_merged_cache() -> None:
    merged = torch.arange(6 * 2 * 4 * 2 * 64).reshape(6, 2, 4, 2, 64).to(torch.bfloat16)
    bound = gqa_paged.DECODE.bind(decode(run={"paged_kv_cache": merged}))
    assert torch.equal(bound.inputs["k_cache"], merged[:, 0])
    assert torch.equal(bound.inputs["v_cache"], merged[:, 1])


def test_pages_of_one_token() -> None:
    flat = (zeros(24, 2, 64), zeros(24, 2, 64))
    call = decode({"page_size": 1}, {"paged_kv_cache": flat})
    for binding in (gqa_paged.DECODE, gqa_paged.DECODE_PS1):
        bound = binding.bind(call)
        assert bound.constants["page_size"] == 1
        assert bound.inputs["k_cache"].shape == (24, 1, 2, 64)
        assert "kv_last_page_len" not in bound.inputs
    for binding, several in ((gqa_paged.DECODE_PS1, decode()), (mla_paged.DECODE_PS1, mla())):
        with pytest.raises(Refused, match="pages hold several tokens"):
            binding.bind(several)


def test_window_and_cap() -> None:
    window, cap = {"window_left": 127}, {"logits_soft_cap": 50.0}
    for call in (decode({**window, **cap}), decode(cap, window), decode(layer={**window, **cap})):
        found = gqa_paged.DECODE.bind(call).constants
        assert found == {**GQA_DECODE, "window_left": 127, "logits_soft_cap": 50}
    off = {"window_left": -1, "logits_soft_cap": 0.0}
    assert gqa_paged.DECODE.bind(decode(off, layer=off)).constants == GQA_DECODE
    assert gqa_paged.PREFILL.bind(prefill(window)).constants["window_left"] == 127
    assert gqa_ragged.PREFILL.bind(ragged(2, 64, cap)).constants["logits_soft_cap"] == 50


def test_positional_arguments_that_plan_only_counts() -> None:
    """0.7's plan is `(…, page_size, *deprecated_positional_args, **kwargs)`."""
    plan = {"deprecated_positional_args": ("NONE", 127), "kwargs": {"sm_scale": 0.5}}
    bound = gqa_paged.DECODE.bind(decode(plan))
    assert bound.constants["window_left"] == 127
    assert bound.inputs["sm_scale"] == 0.5
    with pytest.raises(Refused, match="ALIBI"):
        gqa_paged.DECODE.bind(decode({"deprecated_positional_args": ("ALIBI",)}))


def test_causal_of_the_layer() -> None:
    assert gqa_paged.PREFILL.bind(prefill({"causal": False}, layer={"causal": True}))
    with pytest.raises(Refused, match="not causal"):
        gqa_paged.PREFILL.bind(prefill(layer={"causal": False}))
    assert gqa_ragged.PREFILL.bind(ragged(2, 64))  # a prompt with itself
    with pytest.raises(Refused, match="neither plan nor layer"):
        gqa_ragged.PREFILL.bind(ragged(2, 64, {"kv_indptr": index(0, 2, 5)}))


def test_latent_attention() -> None:
    bound = mla_paged.DECODE.bind(mla())
    assert bound.inputs["kv_indices"].tolist() == [5, 0, 2]
    assert bound.inputs["kv_last_page_len"].tolist() == [3, 4]
    assert bound.derived == {"kv_last_page_len"}
    prompt = mla({"causal": True}, queries=(0, 3, 5))
    assert mla_paged.PREFILL.bind(prompt).inputs["qo_indptr"].tolist() == [0, 3, 5]
    constants = mla_ragged.PREFILL.bind(ragged(8, 32, {"sm_scale": 0.5})).constants
    assert constants == {"num_qo_heads": 8, "qk_dim": 64, "vo_dim": 32}


NOT_BOUND = [
    (gqa_paged.DECODE, decode(run={"sinks": zeros(8)}), "attention sinks"),
    (gqa_paged.DECODE, decode(run={"k_scale": 0.5}), "k_scale is 0.5"),
    (gqa_paged.DECODE, decode(run={"v_scale": zeros(1)}), "v_scale"),
    (gqa_paged.DECODE, decode(run={"args": (1,)}), "custom variant"),
    (gqa_paged.DECODE, decode(run={"kv_cache_sf": zeros(1)}), "block scales"),
    (gqa_paged.DECODE, decode(run={"skip_softmax_threshold_scale_factor": 0.1}), "skipping"),
    (gqa_paged.DECODE, decode(run={"q_len_per_req": 2}), "q_len_per_req is 2"),
    (gqa_paged.DECODE, decode({"pos_encoding_mode": "ALIBI"}), "'ALIBI'"),
    (gqa_paged.DECODE, decode({"pos_encoding_mode": "ROPE_LLAMA"}), "'NONE' expected"),
    (gqa_paged.DECODE, decode({"logits_soft_cap": 30.5}), "30.5; a whole number"),
    (gqa_paged.DECODE, decode({"num_qo_heads": 16}), "8 by the tensors, 16 by the plan"),
    (gqa_paged.DECODE, decode(layer={"kv_layout": "HND"}), "HND; NHD expected"),
    (gqa_paged.DECODE, decode(run={"paged_kv_cache": (zeros(6, 2, 4, 64),) * 2}), "HND"),
    (gqa_paged.DECODE, decode(run={"q": zeros(2, 8, 64, dtype=torch.float16)}), "float16"),
    (gqa_paged.DECODE, decode(run={"q": zeros(2, 512)}), "3 axes expected"),
    (gqa_paged.DECODE, decode(run={"paged_kv_cache": None}), "no 'k_cache'"),
    (
        gqa_paged.DECODE,
        decode(run={"paged_kv_cache": (zeros(6, 4, 2, 64, dtype=torch.uint8),) * 2}),
        "uint8; bfloat16 expected",
    ),
    (gqa_paged.DECODE, decode({"indptr": None}), "plan was given no 'indptr'"),
    (gqa_paged.PREFILL, prefill({"causal": False}), "not causal"),
    (gqa_paged.PREFILL, prefill({"causal": None}), "neither plan nor layer"),
    (gqa_paged.PREFILL, prefill({"custom_mask": zeros(4)}), "custom mask"),
    (gqa_paged.PREFILL, prefill({"packed_custom_mask": zeros(4)}), "custom mask"),
    (gqa_paged.PREFILL, prefill({"prefix_len_ptr": index(1)}), "multi-item scoring"),
    (gqa_ragged.PREFILL, ragged(2, 64, {"causal": False}), "not causal"),
    (gqa_ragged.PREFILL, ragged(2, 64, {"v_indptr": index(0)}), "values of other lengths"),
    (gqa_ragged.PREFILL, ragged(8, 32), "one expected"),
    (mla_ragged.PREFILL, ragged(8, 64), "two expected"),
    (mla_ragged.PREFILL, ragged(2, 32), "8 heads of queries, 2 of keys"),
    (mla_ragged.PREFILL, ragged(8, 32), "no 'sm_scale'"),
    (mla_ragged.PREFILL, ragged(8, 32, {"window_left": 7}), "window_left"),
    (mla_paged.DECODE, mla({"sm_scale": None}), "no 'sm_scale'"),
    (mla_paged.DECODE, mla(queries=(0, 0, 2)), "one query for each request"),
    (mla_paged.DECODE, mla({"metadata": object()}), "metadata object"),
    (mla_paged.DECODE, mla(run={"page_table": index(0)}), "page table given to run"),
    (mla_paged.DECODE, mla(run={"return_lse_base_on_e": True}), "base 2 expected"),
    (mla_paged.DECODE, mla(run={"kpe_cache": zeros(6, 4, 8)}), "shapes of queries and caches"),
    (mla_paged.PREFILL, mla({"causal": True}), "several queries"),
    (mla_paged.PREFILL, mla(queries=(0, 3, 5)), "not causal"),
]


@pytest.mark.parametrize("binding, call, reason", NOT_BOUND)
def test_refusal(binding: Binding, call: Call, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        binding.bind(call)
