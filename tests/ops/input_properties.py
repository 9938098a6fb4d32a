"""What generated inputs hold beyond what their definition demands, by op_type."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from attention_calls import requests
from random_calls import RandomCall


def attention(call: RandomCall) -> None:
    indices_lead_to_tokens(call)
    if "qo_indptr" in call.inputs:
        assert all(it.kept >= len(it.q) for it in requests(call.inputs))


def dsa_paged(call: RandomCall) -> None:
    inputs, page_size = call.inputs, call.constants["page_size"]
    if "sparse_indices" in inputs:
        slots = call.lengths["num_pages"] * page_size
        for row in inputs["sparse_indices"].tolist():
            valid = row[: len(row) - row.count(-1)]
            assert all(0 <= slot < slots for slot in valid) and len(set(valid)) == len(valid)
        return
    for length, pages in zip(inputs["seq_lens"].tolist(), inputs["block_table"].tolist()):
        own = pages[: -(-length // page_size)]
        assert length >= 1 and len(set(own)) == len(own)
        assert all(0 <= page < call.lengths["num_pages"] for page in pages)
    assert bool(inputs["q_index_fp8"].float().isfinite().all())


def gdn(call: RandomCall) -> None:
    inputs = call.inputs
    for name in ("q", "k"):
        length = inputs[name].double().norm(dim=-1)
        assert bool(((length - 1).abs().lt(0.01) | (length == 0)).all())
    if "cu_seqlens" in inputs:
        assert inputs["cu_seqlens"][0] == 0 and bool((inputs["cu_seqlens"].diff() >= 0).all())
    if "initial_state_indices" in inputs:
        slots = inputs["initial_state_indices"].tolist()
        assert len(set(slots)) == len(slots)
        assert all(0 <= slot < call.lengths["pool_size"] for slot in slots)


def indices_lead_to_tokens(call: RandomCall) -> None:
    inputs = call.inputs
    for key in ("qo_indptr", "kv_indptr"):
        if key in inputs:
            assert inputs[key][0] == 0 and (inputs[key].diff() >= 0).all()
    if "kv_indices" not in inputs:
        return
    pages, edges = inputs["kv_indices"].tolist(), inputs["kv_indptr"].tolist()
    num_pages, page_size = call.lengths["num_pages"], call.constants.get("page_size", 1)
    assert all(0 <= page < num_pages for page in pages)
    own = [pages[a:b] for a, b in pairwise(edges)]
    assert all(len(set(it)) == min(len(it), num_pages) for it in own)
    if len(pages) <= num_pages:
        assert len(set(pages)) == len(pages)
    if "kv_last_page_len" in inputs:
        for count, last in zip(map(len, own), inputs["kv_last_page_len"].tolist()):
            assert 1 <= last <= page_size if count else last == 0


def moe(call: RandomCall) -> None:
    inputs = call.inputs
    if "topk_ids" in inputs:
        chosen = inputs["topk_ids"].sort(dim=-1).values >> 16
        assert bool((chosen.diff(dim=-1) > 0).all())
    else:
        assert bool(inputs["routing_logits"].isfinite().all())


def rope(call: RandomCall) -> None:
    positions, table = call.inputs["positions"], call.inputs["cos_sin_cache"]
    assert int(positions.min()) >= 0 and int(positions.max()) < len(table)


def mamba_ssu(call: RandomCall) -> None:
    inputs = call.inputs
    slots = [slot for slot in inputs["state_batch_indices"].tolist() if slot != -1]
    assert len(set(slots)) == len(slots)
    assert all(0 <= slot < call.lengths["state_cache_size"] for slot in slots)
    assert bool((inputs["A"] < 0).all() and (inputs["A"] == inputs["A"][:, :1, :1]).all())
    for name in ("dt", "D", "dt_bias"):
        assert bool((inputs[name] == inputs[name][..., :1]).all())


def sampling(call: RandomCall) -> None:
    probs = call.inputs["probs"]
    assert float((probs.double().sum(-1) - 1).abs().max()) < 1e-6
    assert float(probs.min()) >= 0


PROPERTIES: dict[str, Callable[[RandomCall], None]] = {
    "dsa_paged": dsa_paged,
    "gdn": gdn,
    "gqa_paged": attention,
    "gqa_ragged": attention,
    "mamba_ssu": mamba_ssu,
    "mla_paged": attention,
    "mla_ragged": attention,
    "moe": moe,
    "rope": rope,
    "sampling": sampling,
}
