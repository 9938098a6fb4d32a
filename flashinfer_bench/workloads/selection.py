"""A few workloads that stand for all calls of a run: alike ones merged, the rest spread out.

A workload is a point whose coordinates are logarithms of its axes and of statistics of its lengths.
The first one chosen is the most frequent, each next one the farthest from those chosen; what is not
chosen adds its weight to the nearest one, so that weights sum to the calls seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from flashinfer_bench.workloads.sanitizer import Kept

MOST = 64
"""Workloads of one definition."""
_Point = tuple[float, ...]


def merged(kept: Iterable[Kept]) -> dict[str, dict[str, Kept]]:
    """Definition -> identity -> workload; calls that are the same add up to one weight."""
    found: dict[str, dict[str, Kept]] = {}
    for it in kept:
        same = found.setdefault(it.definition.name, {})
        known = same.get(it.workload.uuid)
        same[it.workload.uuid] = it if known is None else _heavier(known, it.workload.weight or 1.0)
    return found


def selected(kept: Mapping[str, Kept], most: int = MOST) -> list[Kept]:
    """At most so many, the most frequent first; the same ones whatever the order of the calls."""
    rows = sorted(kept.values(), key=lambda it: (-(it.workload.weight or 0), it.workload.uuid))
    if len(rows) <= most:
        return rows
    weights = [it.workload.weight or 0.0 for it in rows]
    chosen = spread([_point(it) for it in rows], weights, most)
    return [_weighing(rows[at], weight) for at, weight in chosen]


def spread(
    points: Sequence[_Point], weights: Sequence[float], most: int
) -> list[tuple[int, float]]:
    """Places of at most so many points, the first of all among them, and the weight of each with
    those that it is the nearest to."""
    centers, nearest = _spread(points, most)
    found = dict.fromkeys(centers, 0.0)
    for weight, center in zip(weights, nearest):
        found[center] += weight
    return list(found.items())


def _spread(points: Sequence[_Point], most: int) -> tuple[list[int], list[int]]:
    """Places of the chosen points, and of each point the nearest chosen one."""
    centers, nearest = [0], [0] * len(points)
    distances = [math.dist(it, points[0]) for it in points]
    while len(centers) < most:
        farthest = max(range(len(points)), key=lambda at: (distances[at], -at))
        if distances[farthest] == 0:
            break
        centers.append(farthest)
        for at, point in enumerate(points):
            distance = math.dist(point, points[farthest])
            if distance < distances[at]:
                distances[at], nearest[at] = distance, farthest
    return centers, nearest


def _point(it: Kept) -> _Point:
    """The same coordinates for all workloads of a definition."""
    axes = [math.log2(1 + it.workload.axes[name]) for name in sorted(it.workload.axes)]
    return (*axes, *(value for name in sorted(it.tensors) for value in _lengths(it, name)))


def _lengths(it: Kept, name: str) -> list[float]:
    """Shortest, mean and longest of what offsets delimit; nothing of other tensors."""
    if not name.endswith("indptr"):
        return []
    offsets = it.tensors[name].tolist()
    lengths = [end - start for start, end in pairwise(offsets)] or [0]
    statistics = (min(lengths), sum(lengths) / len(lengths), max(lengths))
    return [math.log2(1 + max(0, value)) for value in statistics]


def _heavier(it: Kept, weight: float) -> Kept:
    return _weighing(it, (it.workload.weight or 0) + weight)


def _weighing(it: Kept, weight: float) -> Kept:
    return replace(it, workload=it.workload.model_copy(update={"weight": weight}))


__all__ = ["MOST", "merged", "selected", "spread"]
