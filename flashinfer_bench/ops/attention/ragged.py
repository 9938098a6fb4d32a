"""Causal attention over keys and values that lie one request after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.attention.binding import AttentionBinding
from flashinfer_bench.ops.attention.check import CHECK
from flashinfer_bench.ops.attention.cost import attention_cost
from flashinfer_bench.ops.attention.draws import draw_prefill_lengths, ragged_indices
from flashinfer_bench.ops.attention.reference import causal_attention
from flashinfer_bench.ops.attention.tensors import (
    KV_INDPTR,
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
)
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    from flashinfer_bench.ops.draw import Draw

_CONSTRAINTS = ("total_q == qo_indptr[-1].item()", "total_kv == kv_indptr[-1].item()")


@dataclass(frozen=True)
class Ragged:
    """What one op_type of attention over ragged keys has of its own."""

    op_type: str
    summary: str
    sizes: str
    """Pattern of the constants in names, e.g. `h{num_qo_heads}_d{head_dim}`."""
    axes: Axes
    """All axes of a definition, in order."""
    q: Axes
    """Axes after that of the tokens; so in `k`, `v` and `output`."""
    k: Axes
    v: Axes
    output: Axes
    sm_scale: Callable[[Constants], float]
    example: tuple[str, str]
    """The sizes of a known model, as in `sizes`, and its name."""
    requires: tuple[str, ...] = ()
    """Conditions on constants."""
    variants: str = ""
    """Pattern of constants that are no axes, at the end of names."""
    older: tuple[str, ...] = ()
    """Other beginnings of names that are read."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """Axis that names do not state -> the constant that it equals."""

    def operation(self, binding: AttentionBinding) -> Operation:
        stem, sizes = f"{self.op_type}_prefill_causal", f"{self.sizes}{self.variants}"
        model_sizes, model = self.example
        return Operation(
            op_type=self.op_type,
            kind=stem,
            summary=self.summary,
            naming=Naming(f"{stem}_{sizes}", tuple(f"{it}_{sizes}" for it in self.older)),
            interface=self.interface,
            reference=causal_attention,
            make_inputs=self.make_inputs,
            draw_lengths=_draw_lengths,
            check=CHECK,
            cost=self.cost,
            binding=binding,
            example=Example(
                f"{stem}_{model_sizes}",
                {"len_indptr": 5, "total_q": 4096, "total_kv": 4096},
                f"{model}, 4 prompts of 1,024 tokens",
            ),
            parameters={name: PARAMETERS[name] for name in Naming(self.variants).constants},
            requires=self.requires,
            tags=("stage:prefill",),
        )

    def interface(self, constants: Constants) -> Interface:
        axes = {axis: constants.get(self.equal.get(axis, axis)) for axis in self.axes}
        inputs = {
            **per_token(("total_q",), {"q": self.q}),
            **per_token(("total_kv",), {"k": self.k, "v": self.v}),
            "qo_indptr": QO_INDPTR,
            "kv_indptr": KV_INDPTR,
            "sm_scale": SM_SCALE,
        }
        return Interface(axes, inputs, outputs("total_q", self.output), _CONSTRAINTS)

    def make_inputs(self, draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
        index = ragged_indices(draw, lengths)
        values = draw_values(draw, self.interface(constants), lengths)
        return {**values, **index, "sm_scale": self.sm_scale(constants)}

    def cost(self, constants: Constants, lengths: Lengths) -> Cost:
        interface = self.interface(constants)
        return attention_cost(interface, constants, lengths, lengths["total_kv"])


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    drawn = draw_prefill_lengths(draw, 1)
    return {
        "len_indptr": drawn["len_indptr"],
        "total_q": drawn["total_q"],
        "total_kv": drawn["num_kv_indices"],
    }


__all__ = ["Ragged"]
