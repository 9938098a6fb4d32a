"""One token drawn from each row of probabilities, after top-k, top-p or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused
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
from flashinfer_bench.ops.sampling.check import SamplingCheck, draw_many
from flashinfer_bench.ops.sampling.inputs import draw_lengths, make_inputs
from flashinfer_bench.ops.sampling.reference import (
    target,
    top_k_sampling_from_probs,
    top_k_top_p_sampling_from_probs,
    top_p_sampling_from_probs,
)

_FILTERS = {
    "top_k": Tensor(("batch_size",), "int32", "tokens of each row that may be drawn; 0 for all"),
    "top_p": Tensor(("batch_size",), "float32", "mass of each row that may be drawn"),
}


def _interface(*filters: str) -> Callable[[Constants], Interface]:
    inputs = {"probs": Tensor(("batch_size", "vocab_size"), "float32", "each row adds up to 1")}
    inputs |= {name: _FILTERS[name] for name in filters}
    outputs = {"samples": Tensor(("batch_size",), "int64", "token index, random")}

    def interface(constants: Constants) -> Interface:
        axes = {"batch_size": None, "vocab_size": constants["vocab_size"]}
        return Interface(axes, inputs, outputs)

    return interface


def _cost(filters: int) -> Callable[[Constants, Lengths], Cost]:
    """Every probability read and added once."""

    def cost(constants: Constants, lengths: Lengths) -> Cost:
        batch, vocab = lengths["batch_size"], constants["vocab_size"]
        return Cost(batch * (4 * vocab + 4 * filters + 8), batch * vocab)

    return cost


def _filter(name: str) -> Argument:
    """A tensor, or one number for all rows."""

    def for_each_row(call: Call) -> Any:
        """One number becomes that of every row."""
        import torch

        number, probs = call.get("run", name), call.run["probs"]
        if number is None:
            return None
        dtype, device = getattr(torch, _FILTERS[name].dtype), getattr(probs, "device", None)
        return torch.full((probs.shape[0],), number, dtype=dtype, device=device)

    return Argument(
        "run", name, accepts=lambda value: hasattr(value, "shape"), otherwise=for_each_row
    )


def _recognise(call: Call) -> Mapping[str, int]:
    probs = call.get("run", "probs")
    if probs is None:
        raise Refused(f"{call.api}: run was given no 'probs'")
    if len(probs.shape) != 2 or not str(probs.dtype).endswith("float32"):
        raise Refused(
            f"{call.api}: probs is {probs.dtype} {list(probs.shape)}; float32 "
            "[batch_size, vocab_size] expected"
        )
    if call.get("run", "indices") is not None:
        raise Refused(f"{call.api}: indices given; each row of probs is drawn from once")
    order = call.get("run", "filter_apply_order", "top_k_first")
    if order != "top_k_first":
        raise Refused(f"{call.api}: filter_apply_order {order!r}; 'top_k_first' expected")
    return {"vocab_size": int(probs.shape[1])}


def _older_names(stem: str) -> tuple[str, ...]:
    joined = stem.replace("top_", "top")
    names = (stem, f"{joined}_from_probs", joined)
    return tuple(f"{name}_v{{vocab_size}}" for name in names)


def _operation(summary: str, reference: Callable[..., Any], *filters: str) -> Operation:
    stem = "_".join(filters) + "_sampling"
    inputs = {"probs": Argument("run", "probs"), **{name: _filter(name) for name in filters}}
    note = "FlashInfer returns int32; which random numbers it takes is its own affair"
    return Operation(
        op_type="sampling",
        kind=f"{stem}_from_probs",
        summary=summary,
        naming=Naming(f"{stem}_from_probs_v{{vocab_size}}", _older_names(stem)),
        interface=_interface(*filters),
        reference=reference,
        make_inputs=make_inputs(*filters),
        draw_lengths=draw_lengths,
        check=SamplingCheck(),
        cost=_cost(len(filters)),
        example=Example(
            f"{stem}_from_probs_v128256", {"batch_size": 64}, "Llama 3.1 8B, 64 requests"
        ),
        binding=Binding((f"flashinfer.sampling.{stem}_from_probs",), inputs, _recognise, note=note),
    )


OPERATIONS = (
    _operation(
        "One token for each row, drawn from its k most probable ones.",
        top_k_sampling_from_probs,
        "top_k",
    ),
    _operation(
        "One token for each row, drawn from the fewest most probable ones that reach a mass of p.",
        top_p_sampling_from_probs,
        "top_p",
    ),
    _operation(
        "One token for each row, drawn after top-k, renormalisation and top-p.",
        top_k_top_p_sampling_from_probs,
        "top_k",
        "top_p",
    ),
)

__all__ = ["OPERATIONS", "SamplingCheck", "draw_many", "target"]
