"""From a model's name to its module tree: configuration, SGLang's source, serving, evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import AccessError
from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.hub import HubConfig, read_config
from flashinfer_bench.models.quantization import Quantization, read_quantization
from flashinfer_bench.models.routes import Route, build_by_route
from flashinfer_bench.models.serving import ChosenServing, ServingProfile, choose_serving
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang
from flashinfer_bench.models.sglang.transformers_source import find_transformers
from flashinfer_bench.models.similarity import Likeness, closest_models
from flashinfer_bench.models.tree import ModuleNode

if TYPE_CHECKING:
    from flashinfer_bench.models.definitions.mapping import MappedLayer


@dataclass(frozen=True)
class ExtractedModel:
    """A model's tree on one rank, and what it was made from."""

    hub: HubConfig
    sglang: SglangSource | None
    """None where its source is not there; the tree is a pattern's then."""
    tree: ModelTree
    route: Route
    serving: ChosenServing
    quantization: Quantization | None
    notes: list[str] = field(default_factory=list)
    """What a reader should know: sources, assumptions, what does not fit."""
    closest: list[Likeness] = field(default_factory=list)
    """Known models that are most like one that SGLang has no class for."""

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
    sglang, absence = _sglang(sglang_path, offline=bool(offline))
    transformers = find_transformers(transformers_path, sglang=sglang, offline=bool(offline))
    stated = {key: value for key, value in serving.items() if value is not None}
    package = transformers.package if transformers else None
    trees = _Trees(hub.config, sglang, package, architecture, fixed="tp" in stated)
    chosen = choose_serving(trees.weights, **stated)
    tree, route = trees.build(chosen.profile)
    notes = [*hub.notes, *absence, f"{route.source}, {route.confidence}: {route.reason}"]
    notes += [chosen.reason, *chosen.warnings, *tree.notes]
    if transformers is None:
        notes.append("no transformers source: defaults of its config classes are not applied")
    elif transformers.note:
        notes.append(transformers.note)
    closest = [] if route.source == "sglang" else trees.closest(chosen.profile)
    return ExtractedModel(hub, sglang, tree, route, chosen, trees.quantization, notes, closest)


def _sglang(path: str | Path | None, *, offline: bool) -> tuple[SglangSource | None, list[str]]:
    """SGLang's source; where none can be had, None and why."""
    try:
        return find_sglang(path, offline=offline), []
    except AccessError as error:
        if path is not None:
            raise
        return None, [str(error)]


def map_model(model: ExtractedModel, existing: Collection[str] = ()) -> list[MappedLayer]:
    """Definitions of every layer; those in `existing` are marked so."""
    from flashinfer_bench.models.definitions.mapping import map_layers
    from flashinfer_bench.models.sglang.kernels import norm_kinds

    tree, profile = model.tree, model.serving.profile
    kinds = norm_kinds(tree, tree.source, profile) if tree.source else None
    return map_layers(tree.root, profile, model.quantization, existing=existing, norm_kinds=kinds)


class _Trees:
    """Trees of one model by how it is served, each built once."""

    def __init__(
        self,
        config: Mapping[str, Any],
        sglang: SglangSource | None,
        transformers: Path | None,
        architecture: str | None,
        *,
        fixed: bool,
    ) -> None:
        self.config, self.sglang, self.transformers = config, sglang, transformers
        self.architecture, self.fixed = architecture, fixed
        self.quantization = read_quantization(config)
        self._built: dict[ServingProfile, tuple[ModelTree, Route]] = {}

    def build(self, profile: ServingProfile) -> tuple[ModelTree, Route]:
        if profile not in self._built:
            self._built[profile] = build_by_route(
                unquantized(self.config),
                self.sglang,
                profile,
                transformers=self.transformers,
                architecture=self.architecture,
            )
        return self._built[profile]

    def weights(self, profile: ServingProfile) -> tuple[float, bool]:
        """Bytes of one rank, and whether there are experts; kept of the whole model, of which
        often nothing else is wanted."""
        if profile.tp > 1 or self.fixed or self.sglang is None:
            return self._measure(profile)
        what = repr((profile, self.architecture, self.transformers, self.config, __version__))
        files = _files(self.sglang)
        size, has_experts = kept_facts("weights", files, lambda: self._measure(profile), given=what)
        return size, has_experts

    def _measure(self, profile: ServingProfile) -> tuple[float, bool]:
        root = self.build(profile)[0].root
        has_experts = any(node.role == "experts" for _, node in root.walk())
        return weight_bytes(root, self.quantization), has_experts

    def closest(self, profile: ServingProfile) -> list[Likeness]:
        """By the tree of the whole model."""
        whole = replace(profile, tp=1, ep=1)
        return closest_models(self.build(whole)[0].root)


def _files(sglang: SglangSource) -> list[Path]:
    """Of SGLang, those that sizes of weights depend on."""
    folders = (sglang.models, sglang.package / "srt" / "layers", sglang.package / "srt" / "configs")
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def unquantized(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without its quantisation, which changes dtypes but no shapes.

    SGLang serves in bfloat16 what mxfp4 leaves whole.
    """
    quantization = read_quantization(config)
    whole = {"dtype": "bfloat16"} if quantization and quantization.method == "mxfp4" else {}
    return {**{key: it for key, it in config.items() if key != "quantization_config"}, **whole}


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


__all__ = ["ExtractedModel", "extract_model", "map_model", "unquantized", "weight_bytes"]
