"""From a configuration to a module tree by the first way that works, and how far to trust it.

SGLang's own class comes first, then its class around transformers' own model, then patterns from
the configuration alone. What SGLang refuses of a model that it has stays refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flashinfer_bench.errors import DataError, NotFoundError
from flashinfer_bench.models.evaluator.values import Exhausted, Refused, Undecided
from flashinfer_bench.models.patterns import build_pattern_tree
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.index import read_architectures, unreadable_files
from flashinfer_bench.models.sglang.source import SglangSource

_FAILURES = (Exhausted, Refused, Undecided, AttributeError, LookupError, TypeError)
"""What stops an evaluation without SGLang having checked anything: our own limits, and what a
checkpoint's own configuration class would have supplied."""


@dataclass(frozen=True)
class Route:
    """Where a tree comes from."""

    source: Literal["sglang", "transformers", "pattern"]
    confidence: Literal["exact", "likely", "guess"]
    reason: str
    """One sentence: which file or which keys, and why no better source."""


def build_by_route(
    config: Mapping[str, Any],
    sglang: SglangSource | None,
    profile: ServingProfile | None = None,
    *,
    transformers: Path | None = None,
    architecture: str | None = None,
) -> tuple[ModelTree, Route]:
    """The tree of a config.json's content by the best source there is.

    `sglang` is None where its source is not there. Raises DataError: SGLang refuses a model that it
    has by a check of its own, a partition does not divide, or a pattern lacks a size, which is
    then named.
    """
    if not isinstance(config.get("architectures") or [], list):
        raise DataError("`architectures` of the configuration is no list; expected class names")
    if sglang is None:
        return _by_pattern(config, profile, architecture, "SGLang's source is not there")
    try:
        tree = build_tree(
            config, sglang, profile, transformers=transformers, architecture=architecture
        )
    except NotFoundError as missing:
        _check_readable(sglang, missing)
        return _by_pattern(config, profile, architecture, str(missing))
    except DataError as refusal:
        if _has(sglang, config, architecture) and not isinstance(refusal.__cause__, _FAILURES):
            raise
        _check_readable(sglang, refusal)
        return _by_pattern(config, profile, architecture, str(refusal))
    return tree, _judge(tree, sglang, _has(sglang, config, architecture))


def _check_readable(sglang: SglangSource, error: Exception) -> None:
    """A class that is missing may be in a file that is no Python."""
    broken = unreadable_files(sglang)
    if broken:
        told = f"SGLang's {', '.join(broken[:3])}; mend it or give another --sglang-path"
        raise DataError(f"{told} ({error})") from error


def _has(sglang: SglangSource, config: Mapping[str, Any], architecture: str | None) -> bool:
    """Whether SGLang has a class for what is stated."""
    known = read_architectures(sglang)
    listed = [architecture] if architecture else config.get("architectures") or ()
    return any(name in known for name in listed)


def _judge(tree: ModelTree, sglang: SglangSource, is_known: bool) -> Route:
    found = tree.architecture
    place, version = f"{found.file}:{found.line}", f"SGLang {sglang.version or ''}".strip()
    if not is_known and found.name.startswith("Transformers"):
        reason = f"{version} runs transformers' own model inside {found.name} ({place})"
        return Route("transformers", "likely", reason)
    reason = f"{version} has {found.name} ({place})"
    unknown = sum(len(node.unknown) for _, node in tree.root.walk())
    open_points = [
        f"{count} {what}"
        for count, what in ((len(tree.doubts), "undecided branches"), (unknown, "unknown sizes"))
        if count
    ]
    if open_points:
        return Route("sglang", "likely", f"{reason}, with {' and '.join(open_points)}")
    return Route("sglang", "exact", reason)


def _by_pattern(
    config: Mapping[str, Any],
    profile: ServingProfile | None,
    architecture: str | None,
    why: str,
) -> tuple[ModelTree, Route]:
    try:
        tree = build_pattern_tree(config, profile, architecture=architecture)
    except DataError as lacking:
        raise DataError(f"{why}; and no pattern fits: {lacking}") from lacking
    return tree, Route("pattern", "guess", f"{why}; {tree.notes[0]}")


__all__ = ["Route", "build_by_route"]
