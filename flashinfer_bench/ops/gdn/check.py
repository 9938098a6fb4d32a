"""How the gated delta rule is judged: `Numeric` with larger rows.

A row of the output is a token with all its heads, a row of the states a head's whole matrix.
Output rows of single heads cancel: where a head has forgotten all but one token, its output is the
product of the query with that token's key, which may be anywhere near zero, times the value. What
an honest kernel rounds is as large as ever then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.ops.checks import Bounds, Judged, judge


@dataclass(frozen=True)
class JoinedRows:
    """Floating-point outputs within bounds; their last two dimensions are one row."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Output -> its own bounds."""

    def __call__(
        self,
        inputs: Mapping[str, Any],
        expected: Mapping[str, Any],
        actual: Mapping[str, Any],
    ) -> list[Judged]:
        return [
            self._judge(name, expected[name], actual[name], self.bounds.get(name, Bounds()))
            for name in expected
        ]

    def _judge(self, name: str, expected: Any, actual: Any, bounds: Bounds) -> Judged:
        if actual.shape == expected.shape:
            expected, actual = expected.flatten(-2), actual.flatten(-2)
        return judge(name, expected, actual, bounds)


__all__ = ["JoinedRows"]
