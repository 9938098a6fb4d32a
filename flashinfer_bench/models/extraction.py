"""From a model's name to its module tree: configuration, SGLang's source, serving, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashinfer_bench._version import __version__
from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.hub import HubConfig, read_config
from flashinfer_bench.models.quantization import Quantization, read_quantization
from flashinfer_bench.models.serving import ChosenServing, ServingProfile, choose_serving
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers
from flashinfer_bench.models.tree import ModuleNode


@dataclass(frozen=True)
class ExtractedModel:
    """A model's tree on one rank, and what it was made from."""

    hub: HubConfig
    sglang: SglangSource
    tree: ModelTree
    serving: ChosenServing
    quantization: Quantization | None
    notes: list[str] = field(default_factory=list)
    """What a reader should know: sources, assumptions, what does not fit."""

    @property
    def weight_bytes(self) -> float:
        """Of one rank, in the checkpoint's precision."""
        return weight_bytes(self.tree.root, self.quantization)


def extract_model(
    name: str,
    *,
    sglang_path: str | Path | None = None,
    transformers_path: str | Path | None = None,
    revision: str | None = None,
    offline: bool | None = None,
    architecture: str | None = None,
    **serving: Any,
) -> ExtractedModel:
    """The module tree of a repository id, short name or config.json, as SGLang would build it.

    `serving` are fields of ServingProfile that are stated: gpu, tp, ep, attention_backend,
    moe_runner, page_size, shared_expert_fusion. Raises NotFoundError, AccessError or DataError
    with one clear line.
    """
    hub = read_config(name, revision=revision, offline=offline)
    sglang = find_sglang(sglang_path)
    transformers = find_transformers(transformers_path, sglang=sglang)
    quantization = read_quantization(hub.config)
    stated = {key: value for key, value in serving.items() if value is not None}
    trees: dict[ServingProfile, ModelTree] = {}
    package = transformers.package if transformers else None

    def build(profile: ServingProfile) -> ModelTree:
        if profile not in trees:
            trees[profile] = build_tree(
                unquantized(hub.config),
                sglang,
                profile,
                transformers=package,
                architecture=architecture,
            )
        return trees[profile]

    def measure(profile: ServingProfile) -> tuple[float, bool]:
        root = build(profile).root
        has_experts = any(node.role == "experts" for _, node in root.walk())
        return weight_bytes(root, quantization), has_experts

    def weights(profile: ServingProfile) -> tuple[float, bool]:
        if profile.tp > 1 or "tp" in stated:
            return measure(profile)
        what = repr((profile, architecture, str(package), hub.config, __version__))
        found = kept_facts("weights", _files(sglang), lambda: measure(profile), given=what)
        return found[0], found[1]

    chosen = choose_serving(weights, hub.config, **stated)
    tree = build(chosen.profile)
    version = f"SGLang {sglang.version or 'of unknown version'} ({sglang.origin})"
    notes = [*hub.notes, version, chosen.reason, *chosen.warnings, *tree.notes]
    if transformers is None:
        notes.append("no transformers source: defaults of its config classes are not applied")
    elif transformers.note:
        notes.append(transformers.note)
    return ExtractedModel(hub, sglang, tree, chosen, quantization, notes)


def _files(sglang: SglangSource) -> list[Path]:
    """Of SGLang, those that sizes of weights depend on."""
    folders = (sglang.models, sglang.package / "srt" / "layers", sglang.package / "srt" / "configs")
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def unquantized(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without its quantisation, which changes dtypes but no shapes."""
    return {key: it for key, it in config.items() if key != "quantization_config"}


def weight_bytes(root: ModuleNode, quantization: Quantization | None) -> float:
    """Of all weights on one rank; quantised ones with their share of scales."""
    total = 0.0
    for path, node in root.walk():
        for weight in node.weights:
            bits = weight.itemsize * 8
            if quantization is not None and weight.is_known and len(weight.shape or ()) > 1:
                bits = quantization.bits_of(path, node.role, weight.itemsize)
            total += weight.elements * node.count * bits / 8
    return total


__all__ = ["ExtractedModel", "extract_model", "unquantized", "weight_bytes"]
