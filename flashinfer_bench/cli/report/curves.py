"""fast_p curves as numbers and as text: the share of workloads at least p times as fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flashinfer_bench.data import Standing

BAR_WIDTH = 20
_REACHED_BY = 0.02
_LEVELS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Panel:
    """The curves on one hardware, the highest at the pinned p first, and the axis they share."""

    hardware: str
    workloads: int
    pinned: float
    curves: list[Standing]

    @classmethod
    def of(cls, hardware: str, standings: Iterable[Standing], pinned: float) -> Panel:
        """The panel of a ranking."""
        curves = sorted(standings, key=lambda curve: (-curve.fast_p(pinned), curve.name))
        return cls(hardware, max(len(curve.ratios) for curve in curves), pinned, curves)

    @cached_property
    def end(self) -> float:
        """Where the axis of p ends: a multiple of 1/4 above nearly all ratios."""
        reached = max(1.0, self.pinned, *map(_reach, self.curves))
        return math.floor(4 * reached + 1) / 4

    def points(self, count: int) -> list[float]:
        """Evenly spaced p, each in the middle of its part of the axis."""
        return [self.end * (i + 0.5) / count for i in range(count)]


def spark(curve: Standing, points: Sequence[float]) -> str:
    """A curve as one line of blocks."""
    shares = map(curve.fast_p, points)
    return "".join(_LEVELS[max(share > 0, round(share * (len(_LEVELS) - 1)))] for share in shares)


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A share of one as a horizontal bar."""
    full, eighths = divmod(round(share * width * 8), 8)
    return ("█" * full + _EIGHTHS[eighths].strip()).ljust(width, "·")


def axis(panel: Panel, width: int) -> str:
    """The axis of p above the sparks, with a mark at the pinned one."""
    end, pin = f"{panel.end:g}", f"{panel.pinned:g}"
    at = min(width - 1, int(width * panel.pinned / panel.end))
    fits = at + len(pin) + len(end) + 2 < width
    mark, start = (f"▼{pin}", at) if fits else (f"{pin}▼", at - len(pin))
    line = f"{'0'.ljust(start)}{mark}"
    return line if start + len(mark) + len(end) >= width else line + end.rjust(width - len(line))


def _reach(curve: Standing) -> float:
    """The largest p that one workload in fifty still reaches."""
    return sorted(curve.ratios)[-math.ceil(_REACHED_BY * len(curve.ratios))]
