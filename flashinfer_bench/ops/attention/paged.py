"""Attention over a paged cache: decode and causal prefill, with pages of one token or of several.

Pages of one token need no lengths of last pages; so each stage is two operations, with their own
reference each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flashinfer_bench.ops.attention.binding import AttentionBinding
from flashinfer_bench.ops.attention.check import CHECK
from flashinfer_bench.ops.attention.cost import attention_cost
from flashinfer_bench.ops.attention.draws import (
    draw_decode_lengths,
    draw_prefill_lengths,
    paged_indices,
)
from flashinfer_bench.ops.attention.tensors import (
    KV_INDICES,
    KV_LAST_PAGE_LEN,
    KV_PAGES_INDPTR,
    QO_INDPTR,
    SM_SCALE,
    Axes,
    draw_values,
    outputs,
    per_token,
)
from flashinfer_bench.ops.attention.variants import PARAMETERS
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

Stage = Literal["decode", "prefill_causal"]

_CALLS: dict[Stage, tuple[int, dict[str, int], str]] = {
    "decode": (64, {}, "64 requests of 1,024 tokens"),
    "prefill_causal": (4, {"total_q": 4096}, "4 prompts of 1,024 tokens"),
}
"""Requests of 1,024 tokens, lengths of the queries, and both in words."""


@dataclass(frozen=True)
class Paged:
    """What one op_type of attention over a paged cache has of its own."""

    op_type: str
    sizes: str
    """Pattern of the constants in names, e.g. `h{num_qo_heads}_d{head_dim}`."""
    axes: Mapping[Stage, Axes]
    """All axes of a definition, in order; a prefill's `batch_size` follows where it is needed."""
    queries: Mapping[str, Axes]
    """Input -> its axes after that of the tokens."""
    caches: Mapping[str, Axes]
    """Input -> its axes after those of pages and of tokens in a page."""
    output: Axes
    sm_scale: Callable[[Constants], float]
    example: tuple[str, str]
    """The sizes of a known model, as in `sizes`, and its name."""
    requires: tuple[str, ...] = ()
    """Conditions on constants."""
    variants: str = ""
    """Pattern of constants that are no axes, at the end of names."""
    older: Mapping[Stage, str] = field(default_factory=dict)
    """Other beginnings of names that are read."""

    def operation(
        self,
        stage: Stage,
        summary: str,
        reference: Callable[..., Any],
        binding: AttentionBinding,
        *,
        ps1: bool = False,
    ) -> Operation:
        """`ps1` has pages of one token."""
        stem = f"{self.op_type}_{stage}"
        sizes = f"{self.sizes}_ps{'1' if ps1 else '{page_size}'}{self.variants}"
        older = (f"{self.older[stage]}_{sizes}",) if stage in self.older else ()
        return Operation(
            op_type=self.op_type,
            kind=f"{stem}_ps1" if ps1 else stem,
            summary=summary,
            naming=Naming(f"{stem}_{sizes}", accepted=older),
            interface=self.interface(stage),
            reference=reference,
            make_inputs=self.make_inputs(stage),
            draw_lengths=_draw_decode if stage == "decode" else _draw_prefill,
            check=CHECK,
            cost=self.cost(stage),
            binding=binding,
            example=self._example(stage, 1 if ps1 else 64),
            parameters={name: PARAMETERS[name] for name in Naming(self.variants).constants},
            requires=self.requires,
            tags=("stage:decode" if stage == "decode" else "stage:prefill",),
        )

    def interface(self, stage: Stage) -> Callable[[Constants], Interface]:
        rows = "batch_size" if stage == "decode" else "total_q"
        values = per_token((rows,), self.queries)
        values |= per_token(("num_pages", "page_size"), self.caches)

        def interface(constants: Constants) -> Interface:
            sizes = {**constants, "page_size": _page_size(constants)}
            axes = {axis: sizes.get(axis) for axis in self.axes[stage]}
            index, constraints = _index(stage, _page_size(constants))
            if "kv_last_page_len" in index:
                axes.setdefault("batch_size", None)
            inputs = {**values, **index, "sm_scale": SM_SCALE}
            return Interface(axes, inputs, outputs(rows, self.output), constraints)

        return interface

    def make_inputs(self, stage: Stage) -> Callable[[Draw, Constants, Lengths], dict[str, Any]]:
        interface = self.interface(stage)

        def make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
            return {
                **draw_values(draw, interface(constants), lengths),
                **paged_indices(draw, _page_size(constants), lengths),
                "sm_scale": self.sm_scale(constants),
            }

        return make_inputs

    def cost(self, stage: Stage) -> Callable[[Constants, Lengths], Cost]:
        interface = self.interface(stage)

        def cost(constants: Constants, lengths: Lengths) -> Cost:
            tokens = _cached_tokens_at_least(_page_size(constants), lengths)
            return attention_cost(interface(constants), constants, lengths, tokens)

        return cost

    def _example(self, stage: Stage, page_size: int) -> Example:
        requests, queries, of = _CALLS[stage]
        sizes, model = self.example
        pages = requests * 1024 // page_size
        lengths = {"len_indptr": requests + 1, "num_kv_indices": pages, "num_pages": pages}
        if stage == "decode" or page_size > 1:
            lengths["batch_size"] = requests
        name = f"{self.op_type}_{stage}_{sizes}_ps{page_size}"
        return Example(name, {**queries, **lengths}, f"{model}, {of}")


def _page_size(constants: Constants) -> int:
    return constants.get("page_size", 1)


def _index(stage: Stage, page_size: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The inputs that say which tokens belong to which request, and their constraints."""
    inputs, constraints = {}, []
    if stage == "prefill_causal":
        inputs["qo_indptr"] = QO_INDPTR
        constraints.append("total_q == qo_indptr[-1].item()")
    inputs["kv_indptr"] = KV_PAGES_INDPTR
    inputs["kv_indices"] = KV_INDICES
    if page_size > 1:
        inputs["kv_last_page_len"] = KV_LAST_PAGE_LEN
    if stage == "decode" or page_size > 1:
        constraints.append("len_indptr == batch_size + 1")
    return inputs, (*constraints, "num_kv_indices == kv_indptr[-1].item()")


def _draw_decode(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_decode_lengths(draw, _page_size(constants))


def _draw_prefill(draw: Draw, constants: Constants) -> dict[str, int]:
    return draw_prefill_lengths(draw, _page_size(constants))


def _cached_tokens_at_least(page_size: int, lengths: Lengths) -> int:
    """Tokens in distinct pages where the last page of every request holds a single one."""
    pages, requests = lengths["num_kv_indices"], lengths["len_indptr"] - 1
    tokens = pages * page_size - min(pages, requests) * (page_size - 1)
    return min(tokens, lengths["num_pages"] * page_size)


__all__ = ["Paged"]
