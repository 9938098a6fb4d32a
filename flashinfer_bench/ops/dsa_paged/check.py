"""Whether chosen indices are a top-k, for kernels whose scores are a little off.

Which of two almost equal tokens is chosen hangs on rounding. A choice is right when scores that are
off by no more than a tolerance lead to it: no token that was left out exceeds a chosen one by more
than the tolerances of both. The order of indices does not matter.

The tolerance of a token is `rounding * |key| * root(sum over heads of (weight * |query|)**2)`. A
sum in float32 stays far below; the tensor cores of Hopper GPUs add up products of fp8 values with
13 bits after the point of the largest one, and reach half of it at 128 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.checks import Judged
from flashinfer_bench.ops.dsa_paged.reference import index_keys, index_scores, slots_of

if TYPE_CHECKING:
    import torch

_NAME = "topk_indices"


@dataclass(frozen=True)
class TopkIndicesCheck:
    """Judges `topk_indices` by scores in float64; those of the reference give only the shape."""

    rounding: float = 2.0**-12
    """Error of one head's product, relative to the sizes of query and key."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        import torch

        found, shape = actual[_NAME], expected[_NAME].shape
        if found.shape != shape or found.dtype != torch.int32:
            reason = f"{found.dtype} {list(found.shape)}, expected torch.int32 {list(shape)}"
            return [Judged(_NAME, False, reason, math.inf, math.inf)]
        rows = [self._row(inputs, row, indices) for row, indices in enumerate(found)]
        wrong = [f"request {i}: {row.reason}" for i, row in enumerate(rows) if row.reason]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        error = max((row.shortfall for row in rows), default=0.0)
        relative = max((row.relative for row in rows), default=0.0)
        facts = {"wrong_requests": float(len(wrong))}
        return [Judged(_NAME, not wrong, "".join(wrong[:1]) + more, error, relative, facts)]

    def _row(self, inputs: Mapping[str, Any], row: int, found: torch.Tensor) -> _Row:
        import torch

        length, cache = int(inputs["seq_lens"][row]), inputs["k_index_cache_fp8"]
        own = slots_of(inputs["block_table"][row], length, cache.shape[1])  # type: ignore[no-untyped-call]
        count = min(length, len(found))
        reason = _malformed(found, own, count)
        if reason:
            return _Row(reason, math.inf, math.inf)
        chosen = torch.isin(own, found[:count].long())
        if bool(chosen.all()) or not count:
            return _Row()
        keys = index_keys(cache, own, torch.float64)  # type: ignore[no-untyped-call]
        q, weights = inputs["q_index_fp8"][row].double(), inputs["weights"][row].double()
        scores = index_scores(q, keys, weights)  # type: ignore[no-untyped-call]
        slack = self.rounding * keys.norm(dim=-1) * (weights * q.norm(dim=-1)).norm()
        left_out = float((scores - slack)[~chosen].max())
        taken = float((scores + slack)[chosen].min())
        shortfall = max(0.0, float(scores[~chosen].max() - scores[chosen].min()))
        relative = shortfall / max(float(scores.abs().max()), 1e-300)
        reason = "" if taken >= left_out else f"a score of {shortfall:.3g} more was left out"
        return _Row(reason, shortfall, relative)


@dataclass(frozen=True)
class _Row:
    """The choice of one request."""

    reason: str = ""
    shortfall: float = 0.0
    """The best score left out less the worst one chosen."""
    relative: float = 0.0


def _malformed(found: torch.Tensor, own: torch.Tensor, count: int) -> str:
    import torch

    given = found[:count].long()
    if bool((found[count:] != -1).any()):
        return f"after {count} indices -1 expected"
    if bool((given < 0).any()):
        return f"{int((given >= 0).sum())} indices, {count} expected"
    strange = int((~torch.isin(given, own)).sum())
    if strange:
        return f"{strange} indices are no slots of the request"
    repeated = int((given.sort().values.diff() == 0).sum())
    return f"{repeated} indices are repeated" if repeated else ""


__all__ = ["TopkIndicesCheck"]
