"""How states are judged: those of the call's requests by their size, all others to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.checks import Judged, Numeric

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StateCheck:
    """`Numeric` for the output and the requests' states; the pool's other states unchanged."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        before, after = inputs["state"], actual["new_state"]
        if after.shape != before.shape:
            return Numeric()(inputs, expected, actual)
        slots = inputs["state_batch_indices"].long()
        slots = slots[slots >= 0]
        wanted, found = (
            {**outputs, "new_state": outputs["new_state"][slots]} for outputs in (expected, actual)
        )
        changed = _others_changed(before, after, slots)
        return [
            _also(it, changed) if it.name == "new_state" else it
            for it in Numeric()(inputs, wanted, found)
        ]


def _others_changed(before: torch.Tensor, after: torch.Tensor, slots: torch.Tensor) -> int:
    """States that differ and are no request's."""
    import torch

    others = torch.ones(len(before), dtype=torch.bool, device=before.device)
    others[slots] = False
    bits = [state[others].to(before.dtype).view(torch.int16) for state in (before, after)]
    return int((bits[0] != bits[1]).flatten(1).any(dim=1).sum())


def _also(judged: Judged, changed: int) -> Judged:
    if not changed:
        return judged
    reasons = [f"{changed} states of no request changed", judged.reason]
    return replace(judged, passed=False, reason="; ".join(filter(None, reasons)))


__all__ = ["StateCheck"]
