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


def rope(call: RandomCall) -> None:
    positions, table = call.inputs["positions"], call.inputs["cos_sin_cache"]
    assert int(positions.min()) >= 0 and int(positions.max()) < len(table)


def sampling(call: RandomCall) -> None:
    probs = call.inputs["probs"]
    assert float((probs.double().sum(-1) - 1).abs().max()) < 1e-6
    assert float(probs.min()) >= 0


PROPERTIES: dict[str, Callable[[RandomCall], None]] = {
    "gqa_paged": attention,
    "gqa_ragged": attention,
    "mla_paged": attention,
    "mla_ragged": attention,
    "rope": rope,
    "sampling": sampling,
}
