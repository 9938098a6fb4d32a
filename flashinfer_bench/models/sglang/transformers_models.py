"""Model classes of transformers, for what SGLang builds out of them.

SGLang's fallback, and some of its vision towers, take a class of transformers by a configuration.
The tables from model types to classes and the classes are evaluated from source; only the base
class, which prepares loading, is a stand-in with what constructors and SGLang ask of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.evaluator.values import Unknown, is_unknown
from flashinfer_bench.models.sglang.config_library import AUTO, ConfigLibrary, read_names
from flashinfer_bench.models.sglang.tensors import Net

TABLES = "transformers.models.auto.modeling_auto"
FACTORY = "transformers.models.auto.auto_factory"
_BASE = "transformers.modeling_utils"
_EMBEDDINGS = "EmbeddingAccessMixin"
_EXPORTS = re.compile(rb"^__all__ = \[(.*?)\]", re.MULTILINE | re.DOTALL)
_NAME = re.compile(rb"""["'](\w+)["']""")
_PLANS = ("tp", "ep", "pp")


class ModelLibrary:
    """Model classes of one transformers, evaluated when they are asked for."""

    def __init__(self, configs: ConfigLibrary) -> None:
        self.configs = configs
        self._names: dict[str, list[str]] | None = None
        self._base: type | None = None

    @property
    def names(self) -> Mapping[str, list[str]]:
        """Name of what a modelling file exports -> modules that do."""
        if self._names is None:
            package = self.configs.package
            self._names = read_names(package, "modeling", _exported) if package else {}
        return self._names

    def model_class(self, name: str, folder: str | None = None) -> Any:
        """A class by its name, of the folder below `models` where that has one; None without."""
        modules = self.names.get(name, [])
        inside = [it for it in modules if it.split(".")[2] == folder]
        if modules:
            return self.configs.evaluator.import_name((inside or modules)[0], name)
        own = f"transformers.models.{folder}.modeling_{folder}"
        module = self.configs.evaluator.find_module(own) if folder else None
        return module.global_value(name) if type(module) is Module and module.has(name) else None

    def auto_class(self, name: str) -> Any:
        """AutoModel and its like; an Unknown without transformers' source, or where it lacks it."""
        module = self.configs.evaluator.find_module(TABLES)
        if type(module) is Module and module.has(name):
            return module.global_value(name)
        return Unknown(f"transformers.{name} is not evaluated", quiet=True)

    def factory(self) -> Shell:
        """What stands for the module that finds a class for a configuration."""
        return Shell(
            FACTORY,
            library=self,
            _BaseAutoModelClass=_auto_base(self),
            _LazyAutoMapping=lambda configs, models: ModelMapping(self, configs, models),
            auto_class_update=lambda cls, *args, **keywords: cls,
        )

    def base(self) -> type:
        """What stands for PreTrainedModel."""
        if self._base is None:
            self._base = _model_base(self.configs)
        return self._base


def _exported(text: bytes) -> list[str]:
    return [name.decode() for listed in _EXPORTS.findall(text) for name in _NAME.findall(listed)]


class ModelMapping:
    """Configuration's class -> model's class, as transformers maps their names."""

    def __init__(
        self, library: ModelLibrary, configs: Mapping[str, str], models: Mapping[str, Any]
    ) -> None:
        self._library, self._configs, self._models = library, configs, models

    def names(self, config: Any) -> tuple[str, ...]:
        """Of the model's class, several where `architectures` chooses."""
        found = self._entry(type(config))
        return () if found is None else found[1]

    def _entry(self, kind: type) -> tuple[str, tuple[str, ...]] | None:
        """By the class's name; of several model types the last, as transformers inverts it."""
        kinds = [key for key, name in self._configs.items() if name == kind.__name__]
        for key in (*kinds[-1:], *kinds):
            if key in self._models:
                names = self._models[key]
                return key, tuple(names) if isinstance(names, (list, tuple)) else (names,)
        return None

    def model_class(self, config: Any) -> Any:
        """None where transformers has none for the configuration."""
        entry = self._entry(type(config))
        if entry is None:
            return None
        module = self._library.configs.source_module(AUTO)
        assert module is not None  # it gave the names
        folder = module.global_value("model_type_to_module_name")(entry[0])
        stated = [it for it in getattr(config, "architectures", None) or () if it in entry[1]]
        return self._library.model_class((*stated, entry[1][0])[0], folder)

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, type) and self._entry(kind) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)


def _auto_base(library: ModelLibrary) -> type:
    class AutoModelBase:
        """What AutoModel and its like have in common."""

        _model_mapping: Any = None

        @classmethod
        def from_config(cls, config: Any, **options: Any) -> Any:
            """A model; an Unknown where transformers has none, as of a checkpoint's own code."""
            kind = None if is_unknown(config) else cls._model_mapping.model_class(config)
            if kind is None:
                return Unknown(f"transformers has no model for a {type(config).__name__}")
            return kind._from_config(_text_part(library, kind, config), **options)

        @classmethod
        def register(cls, *args: Any, **options: Any) -> None:
            """SGLang registers its own classes for transformers' benefit only."""

    return AutoModelBase


def _text_part(library: ModelLibrary, kind: Any, config: Any) -> Any:
    """The inner configuration where the class is that of a text model alone."""
    inner = (getattr(config, "sub_configs", None) or {}).get("text_config")
    if inner is None or _config_class(library, kind) is not inner:
        return config
    return config.get_text_config()


def _config_class(library: ModelLibrary, kind: type) -> Any:
    """Of a model's class: stated, or annotated as `config`."""
    evaluator = library.configs.evaluator
    for cls in kind.__mro__:
        if cls.__dict__.get("config_class") is not None:
            return cls.__dict__["config_class"]
        module = evaluator.find_module(cls.__module__) if "__evaluated__" in vars(cls) else None
        if type(module) is not Module or cls.__name__ not in module.source.binding:
            continue
        node = module.source.parse(module.source.binding[cls.__name__][-1])
        for it in getattr(node, "body", ()):
            if isinstance(it, ast.AnnAssign) and getattr(it.target, "id", "") == "config":
                return evaluator.value(it.annotation, module.scope)
    return None


def _model_base(configs: ConfigLibrary) -> type:
    """A module of torch that keeps its configuration, with transformers' access to embeddings."""
    module = configs.source_module(_BASE)
    bases: tuple[type, ...] = (_Pretrained,)
    if module is not None and module.has(_EMBEDDINGS):
        bases = (module.global_value(_EMBEDDINGS), *bases)
    return type("PreTrainedModel", bases, {})


class _Pretrained(Net):
    config_class: Any = None
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_attention_backend = False
    _supports_sdpa = False

    def __init__(self, config: Any = None, *args: Any, **keywords: Any) -> None:
        super().__init__()
        self.config = config
        self.name_or_path = getattr(config, "name_or_path", "")
        if config is not None and getattr(config, "_attn_implementation", "") is None:
            config._attn_implementation = "sdpa" if self._supports_sdpa else "eager"

    @classmethod
    def _from_config(cls, config: Any, **options: Any) -> Any:
        for name in ("dtype", "torch_dtype", "trust_remote_code", "attn_implementation"):
            options.pop(name, None)
        return cls(config, **options)

    @classmethod
    def is_backend_compatible(cls) -> bool:
        return cls._supports_attention_backend

    @property
    def base_model(self) -> Any:
        return getattr(self, self.base_model_prefix, self) if self.base_model_prefix else self

    @property
    def dtype(self) -> Any:
        return next((it.dtype for it in self.parameters()), None)

    @property
    def device(self) -> Any:
        return Unknown("a device", quiet=True)

    def post_init(self) -> None:
        """Gathers the plans of parallelism, its own and those of modules inside."""
        for kind in _PLANS:
            name = f"_{kind}_plan"
            plan = dict(_plan(getattr(type(self), name, None)))
            if self.base_model is self:
                plan.update(_plan(getattr(self.config, f"base_model{name}", None)))
            for child, module in self.named_children():
                inside = _plan(getattr(module, name, None))
                plan.update({f"{child}.{key}": style for key, style in inside.items()})
            object.__setattr__(self, name, plan)

    @property
    def tp_plan(self) -> Any:
        return getattr(self, "_tp_plan", None) or {}

    @property
    def pp_plan(self) -> Any:
        return getattr(self, "_pp_plan", None) or {}


def _plan(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


__all__ = ["FACTORY", "TABLES", "ModelLibrary", "ModelMapping"]
