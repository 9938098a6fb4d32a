"""From a model's name to its module tree: configuration, SGLang's source, serving, evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flashinfer_bench._version import __version__
from flashinfer_bench.errors import AccessError, DataError
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
    from flashinfer_bench.models.evaluator.values import Place
    from flashinfer_bench.models.sglang.kernels import KernelCall
    from flashinfer_bench.models.sglang.snippets import Snippet

_OWN = Path(__file__).parent


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
    total_parameters: Callable[[], int | None] = lambda: None
    """Counts those of the whole model, None where SGLang does not build it on one rank."""

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
    use_sglang: bool = True,
    sglang_version: str | None = None,
    **serving: Any,
) -> ExtractedModel:
    """The module tree of a repository id, short name or config.json, as SGLang would build it.

    `serving` are fields of ServingProfile that are stated: gpu, tp, ep, attention_backend,
    moe_runner, page_size, shared_expert_fusion. Without `use_sglang` the tree is a pattern's.
    Raises NotFoundError, AccessError or DataError with one clear line.
    """
    hub = read_config(name, revision=revision, offline=offline)
    sglang, absence = (
        _sglang(sglang_path, sglang_version, offline=bool(offline))
        if use_sglang
        else (None, ["SGLang is left out, as asked"])
    )
    transformers = find_transformers(transformers_path, sglang=sglang, offline=bool(offline))
    stated = {key: value for key, value in serving.items() if value is not None}
    package = transformers.package if transformers else None
    trees = _Trees(hub.config, sglang, package, architecture, fixed="tp" in stated)
    chosen = choose_serving(trees.weights, **stated)
    tree, route = trees.build(chosen.profile)
    _check_sizes(tree)
    notes = [*hub.notes, *absence, f"{route.source}, {route.confidence}: {route.reason}"]
    notes += [chosen.reason, *chosen.warnings, *tree.notes]
    if transformers is None:
        notes.append("no transformers source: defaults of its config classes are not applied")
    elif transformers.note:
        notes.append(transformers.note)
    closest = [] if route.source == "sglang" else trees.closest(chosen.profile)
    return ExtractedModel(
        *(hub, sglang, tree, route, chosen, trees.quantization, notes, closest),
        trees.total_parameters,
    )


def _sglang(
    path: str | Path | None, version: str | None, *, offline: bool
) -> tuple[SglangSource | None, list[str]]:
    """SGLang's source; where none can be had, None and why."""
    try:
        return find_sglang(path, version=version, offline=offline), []
    except AccessError as error:
        if path is not None or version is not None:
            raise
        return None, [str(error)]


def map_model(model: ExtractedModel, existing: Collection[str] = ()) -> list[MappedLayer]:
    """Definitions of every layer; those in `existing` are marked so."""
    from flashinfer_bench.models.definitions.mapping import map_layers

    profile, kinds = model.serving.profile, None
    if model.tree.source is not None:
        kinds = {path: frozenset(it) for path, it in _kept_of(model, "norm_kinds").items()}
    return map_layers(
        model.tree.root, profile, model.quantization, existing=existing, norm_kinds=kinds
    )


def calls_of(model: ExtractedModel) -> list[KernelCall]:
    """Kernels that its modules reach in SGLang; none where the tree is not SGLang's."""
    from flashinfer_bench.models.evaluator.values import Place
    from flashinfer_bench.models.sglang.kernels import KernelCall

    if model.tree.source is None:
        return []
    found = []
    for record in _kept_of(model, "kernel_calls"):
        record["place"] = Place(*record["place"])
        record["called_from"] = record["called_from"] and Place(*record["called_from"])
        found.append(KernelCall(**record))
    return found


def snippets_of(model: ExtractedModel) -> list[Snippet]:
    """`forward` of each class of the model; none where the tree is not SGLang's."""
    from flashinfer_bench.models.evaluator.values import Place
    from flashinfer_bench.models.sglang.snippets import Snippet

    if model.tree.source is None:
        return []
    found = _kept_of(model, "snippets")
    return [Snippet(**{**it, "place": Place(*it["place"])}) for it in found]


def _kept_of(model: ExtractedModel, what: Literal["kernel_calls", "norm_kinds", "snippets"]) -> Any:
    """What is read of `forward` functions, which takes longer than the tree itself."""
    source, profile = model.tree.source, model.serving.profile
    assert source is not None
    tree = [(path, it.place, it.role, it.count) for path, it in model.tree.root.walk()]
    given = (model.hub.config, profile, tree, _state(source.package), _state(_OWN))

    def read() -> Any:
        from flashinfer_bench.models.sglang.kernels import kernel_calls, norm_kinds
        from flashinfer_bench.models.sglang.snippets import forward_snippets

        if what == "norm_kinds":
            kinds = norm_kinds(model.tree, source, profile)
            return {path: sorted(it) for path, it in kinds.items()}
        if what == "snippets":
            snippets = forward_snippets(model.tree, source)
            return [{**vars(it), "place": _pair(it.place)} for it in snippets]
        calls = kernel_calls(model.tree, source, profile, model.quantization)
        return [
            {**vars(it), "place": _pair(it.place), "called_from": _pair(it.called_from)}
            for it in calls
        ]

    return kept_facts(what, [], read, given=repr(given))


@lru_cache(maxsize=4)
def _state(folder: Path) -> str:
    """Changes when a Python file of a folder does."""
    files = ((it, it.stat()) for it in sorted(folder.rglob("*.py")))
    lines = [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _pair(place: Place | None) -> tuple[str, int] | None:
    return (place.file, place.line) if place else None


def _check_sizes(tree: ModelTree) -> None:
    """Sizes are numbers of elements, whatever the configuration says."""
    for path, node in tree.root.walk():
        for weight in node.weights:
            wrong = [it for it in weight.shape or () if _is_no_size(it)]
            if wrong:
                raise DataError(
                    f"{path}.{weight.name} would have a size of {wrong[0]}; expected whole "
                    "numbers: mend config.json"
                )


def _is_no_size(value: Any) -> bool:
    return isinstance(value, (bool, float, str)) or (isinstance(value, int) and value < 0)


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
        """Bytes of one rank, and whether there are experts."""
        if profile.tp > 1 or self.fixed or self.sglang is None:
            return self._measure(profile)[:2]
        return self._kept(profile)[:2]

    def total_parameters(self) -> int | None:
        whole = next((it for it in self._built if it.tp == 1), None)
        if whole is not None:
            return self._measure(whole)[2]
        try:
            gpu = next(iter(self._built)).gpu
            profile = ServingProfile(gpu=gpu)
            return self._kept(profile)[2] if self.sglang else self._measure(profile)[2]
        except DataError:
            return None

    def _kept(self, profile: ServingProfile) -> tuple[float, bool, int]:
        """Of the whole model, of which often nothing else is wanted."""
        assert self.sglang is not None
        what = repr((profile, self.architecture, self.transformers, self.config, __version__))
        files = _files(self.sglang)
        size, has_experts, parameters = kept_facts(
            "weights", files, lambda: self._measure(profile), given=what
        )
        return size, has_experts, parameters

    def _measure(self, profile: ServingProfile) -> tuple[float, bool, int]:
        tree = self.build(profile)[0]
        has_experts = any(node.role == "experts" for _, node in tree.root.walk())
        return weight_bytes(tree.root, self.quantization), has_experts, tree.parameters

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


__all__ = [
    "ExtractedModel",
    "calls_of",
    "extract_model",
    "map_model",
    "snippets_of",
    "unquantized",
    "weight_bytes",
]
