"""Constant sizes of a call of FlashInfer, by the module that makes it."""

from __future__ import annotations

from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.tree import ModuleNode, output_size

Sizes = tuple[tuple[str, int], ...]


def sizes_of(name: str, node: ModuleNode | None, tree: ModelTree) -> Sizes:
    """Those that do not vary with the batch, in the order of FlashInfer's arguments."""
    if node is None:
        return _known(vocab_size=output_size(tree.root))
    facts = node.facts
    if node.role == "norm":
        return _known(hidden_size=facts["hidden_size"])
    if node.role == "routing":
        chosen = facts["top_k"]
        routed = chosen - fused_experts(tree) if isinstance(chosen, int) else None
        return _known(num_experts=routed_experts(tree), top_k=routed)
    if node.role != "attention":
        return ()
    heads, widths = facts["tp_q_head_num"], (facts["qk_head_dim"], facts["v_head_dim"])
    if name.startswith("BatchMLA"):
        return _known(num_heads=heads, head_dim_ckv=widths[1], head_dim_kpe=widths[0] - widths[1])
    if name.startswith("merge_state"):
        return _known(num_heads=heads, head_dim=widths[1])
    kv_heads = facts["tp_k_head_num"]
    if widths[0] == widths[1]:
        return _known(num_qo_heads=heads, num_kv_heads=kv_heads, head_dim=widths[0])
    return _known(
        **{"num_qo_heads": heads, "num_kv_heads": kv_heads},
        **{"head_dim_qk": widths[0], "head_dim_vo": widths[1]},
    )


def _known(**sizes: object) -> Sizes:
    return tuple((name, size) for name, size in sizes.items() if isinstance(size, int))


def routed_experts(tree: ModelTree) -> object:
    """Routed ones."""
    for _, it in tree.root.walk():
        if it.role == "experts" and isinstance(it.facts["num_experts"], int):
            return it.facts["num_experts"] - (it.facts.get("num_fused_shared_experts") or 0)
    return None


def fused_experts(tree: ModelTree) -> int:
    """Shared experts that run as routed ones."""
    found = (it.facts.get("num_fused_shared_experts") for _, it in tree.root.walk())
    return next((it for it in found if isinstance(it, int)), 0)


__all__ = ["Sizes", "fused_experts", "routed_experts", "sizes_of"]
