"""How a model is served: the choices that its tree depends on besides its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flashinfer_bench.errors import DataError, UsageError

SHARE_FOR_WEIGHTS = 0.93
"""Of a GPU's memory; the rest is for the KV cache and activations."""
MOST_RANKS = 8


@dataclass(frozen=True)
class GpuFacts:
    capability: tuple[int, int]
    """Compute capability."""
    memory_gb: float
    """As its maker states it, in 10**9 bytes."""


GPUS: dict[str, GpuFacts] = {
    "a100": GpuFacts((8, 0), 80),
    "h100": GpuFacts((9, 0), 80),
    "h200": GpuFacts((9, 0), 141),
    "b200": GpuFacts((10, 0), 180),
}


@dataclass(frozen=True)
class ServingProfile:
    """One way of serving, as SGLang's flags of the same names choose it."""

    gpu: str = "h200"
    tp: int = 1
    """Ranks over which heads and widths are split."""
    ep: int = 1
    """Ranks over which experts are split, of the `tp` ones."""
    attention_backend: str | None = None
    """None leaves it to SGLang."""
    moe_runner: str = "auto"
    page_size: int | None = None
    """Tokens a page; None leaves it to SGLang, which takes 1 for most backends."""
    shared_expert_fusion: bool | None = None
    """None leaves it to SGLang, which fuses where the architecture can."""

    def __post_init__(self) -> None:
        if self.gpu not in GPUS:
            raise UsageError(f"unknown GPU {self.gpu!r}; known are {', '.join(GPUS)}")
        if self.tp < 1 or self.ep < 1 or self.tp % self.ep:
            raise UsageError(f"ep {self.ep} does not divide tp {self.tp}; choose a divisor")
        if self.page_size is not None and self.page_size < 1:
            raise UsageError(f"page size {self.page_size}; expected 1 or more tokens")

    @property
    def capability(self) -> tuple[int, int]:
        """Of the GPU, e.g. (9, 0)."""
        return GPUS[self.gpu].capability

    @property
    def moe_tp_size(self) -> int:
        """Ranks over which the width of an expert is split."""
        return self.tp // self.ep


@dataclass(frozen=True)
class ChosenServing:
    """A profile, and why it was chosen."""

    profile: ServingProfile
    reason: str
    warnings: tuple[str, ...] = ()


def choose_serving(
    weights: Callable[[ServingProfile], tuple[float, bool]],
    *,
    tp: int | None = None,
    ep: int | None = None,
    **others: Any,
) -> ChosenServing:
    """The smallest power of two of ranks over which the model fits; ep = tp where it has experts.

    `weights` gives bytes of one rank's weights under a profile, and whether the model has experts;
    it raises DataError where SGLang refuses the partition. What is stated is kept.
    """
    if tp is not None:
        profile = ServingProfile(tp=tp, ep=tp if ep is None else ep, **others)
        size, has_experts = weights(profile)
        if ep is None and not has_experts:
            profile = replace(profile, ep=1)  # which changes nothing where there are none
        return _chosen(profile, size, [], stated=True)
    whole = ServingProfile(ep=1, **others)
    total, has_experts = weights(whole)
    refused: list[str] = []
    for ranks in _to_try(total / _room(whole), least=ep or 1):
        profile = replace(whole, tp=ranks, ep=ep or (ranks if has_experts else 1))
        try:
            size = total if profile == whole else weights(profile)[0]
        except DataError as error:
            refused.append(f"tp {ranks}: {error}")
            continue
        return _chosen(profile, size, refused, stated=False)
    raise DataError(refused[-1])


def _to_try(needed: float, least: int) -> Iterator[int]:
    """Powers of two from the smallest that may fit upwards, then those below it downwards."""
    powers = [ranks for ranks in (1, 2, 4, 8, 16) if least <= ranks <= max(MOST_RANKS, least)]
    enough = [ranks for ranks in powers if ranks >= needed] or powers[-1:]
    yield from enough
    yield from reversed([ranks for ranks in powers if ranks < enough[0]])


def _room(profile: ServingProfile) -> float:
    return GPUS[profile.gpu].memory_gb * 1e9 * SHARE_FOR_WEIGHTS


def _chosen(
    profile: ServingProfile, size: float, refused: list[str], *, stated: bool
) -> ChosenServing:
    share = f"{size / 1e9:.1f} GB of weights a rank"
    room = f"{SHARE_FOR_WEIGHTS:.0%} of a {profile.gpu}'s {GPUS[profile.gpu].memory_gb:g} GB"
    fits = size <= _room(profile)
    why = "as stated" if stated else "smallest that fits" if fits else "largest that divides"
    reason = f"tp {profile.tp}, ep {profile.ep} ({why}): {share}"
    warnings = tuple(refused)
    if not fits:
        warnings = (*warnings, f"{share} is more than {room}")
    return ChosenServing(profile, reason, warnings)


__all__ = ["GPUS", "ChosenServing", "GpuFacts", "ServingProfile", "choose_serving"]
