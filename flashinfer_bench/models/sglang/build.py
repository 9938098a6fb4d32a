"""From a configuration and SGLang's source to the module tree that SGLang would build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashinfer_bench.collector import paused_gc
from flashinfer_bench.errors import DataError, FlashInferBenchError, NotFoundError
from flashinfer_bench.models.evaluator.evaluator import Doubt, Evaluator
from flashinfer_bench.models.evaluator.modules import Finder
from flashinfer_bench.models.evaluator.values import Exhausted, Place, Refused, Undecided
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.boundary import SglangBoundary
from flashinfer_bench.models.sglang.config_classes import bind, build_config, transformers_modules
from flashinfer_bench.models.sglang.default_configs import OpenConfig, default_config, with_unknowns
from flashinfer_bench.models.sglang.dtypes import model_dtype
from flashinfer_bench.models.sglang.fallback import fallback_name
from flashinfer_bench.models.sglang.index import Architecture, read_architectures
from flashinfer_bench.models.sglang.nodes import ClassFacts, TreeBuilder
from flashinfer_bench.models.sglang.settings import Platform, Settings
from flashinfer_bench.models.sglang.source import SglangSource
from flashinfer_bench.models.sglang.stand_ins import stand_ins
from flashinfer_bench.models.sglang.tensors import Net
from flashinfer_bench.models.tree import ModuleNode

_UTILITIES = "sglang.srt.layers.moe.utils"
_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(NotImplementedError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What evaluated code may raise of its own, as it would in Python."""


@dataclass(frozen=True)
class ModelTree:
    """What SGLang would build of a configuration, and what is not sure about it."""

    architecture: Architecture
    profile: ServingProfile
    root: ModuleNode
    doubts: Sequence[Doubt] = ()
    """Branches that were chosen without knowing their condition."""
    notes: Sequence[str] = field(default_factory=list)
    outside: Sequence[ModuleNode] = ()
    """Layers that compute but are no modules of the model: its attention, where SGLang wraps a
    model of transformers."""
    classes: Mapping[Place, ClassFacts] = field(default_factory=dict)
    """Of the modules, by their class statements."""
    source: SglangSource | None = None

    @property
    def parameters(self) -> int:
        """On one rank, tied ones once."""
        return self.root.parameters


def build_tree(
    config: Mapping[str, Any],
    sglang: SglangSource,
    profile: ServingProfile | None = None,
    *,
    transformers: Path | None = None,
    architecture: str | None = None,
) -> ModelTree:
    """Evaluates the constructor of a model's class.

    `config` is the content of a config.json. An architecture that SGLang lacks is served by its
    class around transformers' own model, which the notes say. Raises NotFoundError (neither has
    such an architecture) and DataError (SGLang refuses the configuration or the partition).
    """
    profile = profile or ServingProfile()
    evaluation = Evaluation(
        sglang, profile, transformers, model_dtype(config, config.get("text_config") or {})
    )
    with paused_gc(), _refusals(" or ".join(_listed(config, architecture))):
        found, built = evaluation.choose(dict(config), architecture)
        if built is None:
            return evaluation.tree(found, lambda cls: evaluation.configuration(dict(config)))
        return evaluation.tree(found, lambda cls: built)


def build_default_tree(
    architecture: str,
    sglang: SglangSource,
    profile: ServingProfile | None = None,
    *,
    transformers: Path | None = None,
) -> ModelTree:
    """Of an architecture with the defaults of its config class; what these leave open is Unknown.

    Where SGLang refuses the defaults, all is left open. Raises as `build_tree` does.
    """
    profile = profile or ServingProfile()
    found = read_architectures(sglang).get(architecture)
    if found is None:
        raise NotFoundError(f"SGLang {sglang.version or ''} has no architecture {architecture}")
    evaluation = Evaluation(sglang, profile, transformers, "bfloat16")

    def defaults(cls: type) -> Any:
        stated = default_config(evaluation.evaluator, cls, architecture)
        return with_unknowns(evaluation.configuration(stated))

    try:
        with paused_gc(), _refusals(architecture):
            return evaluation.tree(found, defaults)
    except DataError as refusal:
        evaluation = Evaluation(sglang, profile, transformers, "bfloat16")
        evaluation.notes.append(f"defaults are refused, so all is left open: {refusal}")
    with paused_gc(), _refusals(architecture):
        return evaluation.tree(found, lambda cls: OpenConfig())


def _listed(config: Mapping[str, Any], stated: str | None) -> list[str]:
    return [stated] if stated else list(config.get("architectures") or ())


class Evaluation:
    """One evaluator with its stand-ins, for one model."""

    def __init__(
        self, sglang: SglangSource, profile: ServingProfile, transformers: Path | None, dtype: str
    ) -> None:
        packages = {"sglang": sglang.package}
        if transformers is not None:
            packages["transformers"] = transformers
        self.sglang, self.profile = sglang, profile
        self.settings = Settings(profile, sglang.package)
        standing = stand_ins(profile, dtype)
        standing.update(transformers_modules(transformers))
        boundary = SglangBoundary(standing, self.settings, Platform(profile), dtype)
        self.evaluator = boundary.evaluator = Evaluator(Finder(packages), boundary)
        bind(self.evaluator)
        self.notes: list[str] = []

    def choose(self, config: dict[str, Any], stated: str | None) -> tuple[Architecture, Any]:
        """The architecture, and the configuration where that had to be made to know it.

        SGLang's configuration classes name another architecture where one is an alias.
        """
        known, listed = read_architectures(self.sglang), _listed(config, stated)
        built = None
        if listed and not any(name in known for name in listed):
            built = self.configuration(config)
            listed = _listed(vars(built), stated)
        for name in listed:
            if name in known:
                return known[name], built
        version = self.sglang.version
        name = fallback_name(built, listed, self.evaluator, version, self.notes)
        return known[name], built

    def configuration(self, config: dict[str, Any]) -> Any:
        """What a constructor gets, of the content of a config.json."""
        return build_config(config, self.evaluator, self.notes)

    def tree(self, architecture: Architecture, make_config: Callable[[type], Any]) -> ModelTree:
        """Of the model of that class; `make_config` gives what its constructor gets."""
        model, builder = self.construct(architecture, make_config), TreeBuilder()
        root = builder.node("", model)
        doubts, outside = list(self.evaluator.doubts.values()), builder.outside(model)
        return ModelTree(
            *(architecture, self.profile, root, doubts, self.notes, outside),
            classes=builder.classes,
            source=self.sglang,
        )

    def construct(self, architecture: Architecture, make_config: Callable[[type], Any]) -> Net:
        """The model, as SGLang's loader constructs it."""
        module = "sglang." + architecture.file.removesuffix(".py").replace("/", ".")
        cls = self.evaluator.import_name(module, architecture.name)
        built = make_config(cls)
        self._fuse_shared_experts(cls, built)
        model = cls(config=built)
        if not isinstance(model, Net):
            raise TypeError(f"{architecture.name} is no module")
        return model

    def _fuse_shared_experts(self, cls: Any, config: Any) -> None:
        """Newer versions decide before construction, by functions of the class."""
        module = self.evaluator.find_module(_UTILITIES)
        if module is not None and module.has("resolve_shared_experts_config"):
            resolve = self.evaluator.attribute(module, "resolve_shared_experts_config")
            chosen = resolve(cls, config, None)
            self.settings.shared_experts = chosen
            self.settings.fused_shared_experts = chosen.num_fused_shared_experts


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Errors that evaluated code raises are SGLang's refusals."""
    try:
        yield
    except FlashInferBenchError:
        raise
    except _ERRORS as error:
        place = getattr(error, "evaluated_at", None)
        said = str(error) or type(error).__name__
        where = f" ({place})" if place else ""
        raise DataError(f"{name}: SGLang refuses this configuration: {said}{where}") from error
    except (Exhausted, Refused) as error:
        raise DataError(f"{name}: cannot be evaluated: {error}") from error
    except Undecided as error:
        raise DataError(f"{name}: cannot be evaluated: {error.unknown!r}") from error


__all__ = ["Evaluation", "ModelTree", "build_default_tree", "build_tree"]
