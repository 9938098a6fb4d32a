"""The base class of configurations: transformers' own where its source is there, else a plain one.

The class is evaluated from the source, so that its defaults, its rotary parameters and its order of
things are those of the version at hand (4.x: a constructor with keywords; 5.x: a dataclass whose
subclasses are dataclasses). Only the machinery is native: looking up and setting attributes, making
subclasses dataclasses, and reading files, of which there are none.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.modules import Module

MODULE = "transformers.configuration_utils"
_LAYERS = "transformers.integrations.heterogeneity"
_SPELLINGS = ("PreTrainedConfig", "PretrainedConfig")
"""Of the class: that of 5.x, and that of 4.x, which 5.x keeps as another name."""
_LOADING = frozenset(
    (
        *("cache_dir", "force_download", "resume_download", "proxies", "token", "use_auth_token"),
        *("local_files_only", "revision", "trust_remote_code", "subfolder", "_from_pipeline"),
        *("_from_auto", "_configuration_file", "code_revision", "_commit_hash"),
    )
)
"""Keywords of `from_pretrained` that say where a file is, not what is in it."""

Read = Callable[[], dict[str, Any]]


def evaluated_base(module: Module, read: Read) -> type:
    """transformers' class; `read` gives the raw configuration that `from_pretrained` loads.

    Raises ImportError where the module defines no such class.
    """
    for name in _SPELLINGS:
        if module.has(name):
            base: type = module.global_value(name)
            _make_native(base, read, module.evaluator)
            for spelling in _SPELLINGS:
                module.rebind(spelling, base)
            return base
    raise ImportError(f"no class {_SPELLINGS[0]} in {module.source.path}")


def _make_native(base: Any, read: Read, evaluator: Evaluator) -> None:
    base.__setattr__ = _set
    base.__getattribute__ = _get
    base.__repr__ = _represent
    base.__hash__ = object.__hash__
    base.get_config_dict = classmethod(lambda cls, name, **options: (read(), _kept(name, options)))
    if hasattr(base, "is_heterogeneous"):
        base._getattr_without_heterogeneous_validation = _get_globally
        base._ambiguous = evaluator.import_name(_LAYERS, "AmbiguousGlobalPerLayerAttributeError")
    if hasattr(base, "__dataclass_fields__"):
        base.__init_subclass__ = classmethod(_becomes_dataclass)
        base.validate_token_ids = _accepts
        validators = getattr(base, "__class_validators__", [])
        validators[:] = [it for it in validators if it.__name__ != "validate_token_ids"]


def _accepts(self: Any) -> None:
    """In place of `validate_token_ids`, which only warns, and reads every attribute for that."""


def _kept(name: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _LOADING}


def _set(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, type(self).attribute_map.get(name, name), value)


def _get(self: Any, name: str) -> Any:
    look = object.__getattribute__
    name = look(self, "attribute_map").get(name, name)
    spec = look(self, "__dict__").get("_heterogeneity_spec")
    differs = spec is not None and name in spec.per_layer_attributes
    if differs and not look(self, "allow_global_per_layer_attribute_access"):
        raise self._ambiguous(f"{name!r} differs between layers; ask a layer's configuration")
    return look(self, name)


_NOTHING = object()


def _get_globally(self: Any, name: str, default: Any = _NOTHING) -> Any:
    """The value that holds where no layer has its own; AttributeError without one and default."""
    look = object.__getattribute__
    try:
        return look(self, look(self, "attribute_map").get(name, name))
    except AttributeError:
        if default is _NOTHING:
            raise
        return default


def _represent(self: Any) -> str:
    return f"<{type(self).__name__} {sorted(self.__dict__)}>"


def _becomes_dataclass(cls: Any, /, **options: Any) -> None:
    """Of 5.x: subclasses are dataclasses, and take keywords that are no fields."""
    own_start = "__init__" in cls.__dict__
    dataclasses.dataclass(cls, repr=False, kw_only=True)
    cls.__hash__ = object.__hash__
    if not own_start:
        take_any_keyword(cls)


def take_any_keyword(cls: Any) -> None:
    """Gives a dataclass a constructor that hands other keywords to `__post_init__`."""

    def start(self: Any, **given: Any) -> None:
        fields = dataclasses.fields(cls)
        for field in fields:
            if field.name in given:
                value = given.pop(field.name)
            elif field.default is not dataclasses.MISSING:
                value = field.default
            elif field.default_factory is not dataclasses.MISSING:
                value = field.default_factory()
            else:
                raise TypeError(f"{cls.__name__}: missing required field {field.name!r}")
            setattr(self, field.name, value)
        self.__post_init__(**given)

    cls.__init__ = start


def strict(cls: Any = None, *, accept_kwargs: bool = False) -> Any:
    """As `huggingface_hub.dataclasses.strict`, but the types of fields are not checked."""
    if cls is None:
        return lambda inner: strict(inner, accept_kwargs=accept_kwargs)
    if accept_kwargs:
        take_any_keyword(cls)
    names = [it for it in dir(cls) if it.startswith("validate_")]
    found = [getattr(cls, name) for name in names]
    cls.__class_validators__ = [it for it in found if callable(it) and it is not _accepts]

    def validate(self: Any) -> None:
        for validator in cls.__class_validators__:
            validator(self)

    before = cls.__init__

    def start(self: Any, *args: Any, **keywords: Any) -> None:
        before(self, *args, **keywords)
        validate(self)

    cls.validate, cls.__init__ = validate, start
    return cls


def as_validated_field(check: Any) -> Any:
    """As that of `huggingface_hub.dataclasses`: makes fields, whose values are not checked."""

    def field(default: Any = dataclasses.MISSING, **options: Any) -> Any:
        names = ("default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
        return dataclasses.field(
            default=default, **{key: options[key] for key in names if key in options}
        )

    return field


def plain_base(read: Read) -> type:
    """The class without transformers' source; `read` as in `evaluated_base`."""
    load = classmethod(lambda cls, name, **options: (read(), _kept(name, options)))
    return type(_SPELLINGS[0], (PlainConfig,), {"get_config_dict": load})


class PlainConfig:
    """Base class without transformers' source: raw values, and the defaults that are read most."""

    model_type: ClassVar[str] = ""
    base_config_key: ClassVar[str] = ""
    sub_configs: ClassVar[dict[str, Any]] = {}
    attribute_map: ClassVar[dict[str, str]] = {}
    keys_to_ignore_at_inference: ClassVar[list[str]] = []
    _defaults: ClassVar[dict[str, Any]] = {
        **{"architectures": None, "dtype": None, "is_encoder_decoder": False, "return_dict": True},
        **{"output_hidden_states": False, "output_attentions": False, "pad_token_id": None},
        **{"bos_token_id": None, "eos_token_id": None, "tie_word_embeddings": False},
        **{"chunk_size_feed_forward": 0, "problem_type": None, "name_or_path": ""},
    }

    def __init_subclass__(cls, **options: Any) -> None:
        """Annotated names of a class without a constructor are fields, as in 5.x."""
        if "__init__" not in cls.__dict__ and hasattr(cls, "__post_init__"):
            names = [it for it in inspect.get_annotations(cls) if it in cls.__dict__]

            def start(self: Any, **given: Any) -> None:
                for name in names:
                    setattr(self, name, given.pop(name, copy.deepcopy(getattr(cls, name))))
                self.__post_init__(**given)

            type.__setattr__(cls, "__init__", start)

    def __init__(self, **given: Any) -> None:
        self.__post_init__(**given)

    def __post_init__(self, **given: Any) -> None:
        if given.get("torch_dtype") is not None:
            given.setdefault("dtype", given["torch_dtype"])
        given.pop("torch_dtype", None)
        for name, default in self._defaults.items():
            if name not in given and not hasattr(self, name):
                setattr(self, name, default)
        for name, value in given.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, self.attribute_map.get(name, name), value)

    def __getattribute__(self, name: str) -> Any:
        look = object.__getattribute__
        return look(self, look(self, "attribute_map").get(name, name))

    def __repr__(self) -> str:
        return _represent(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], **more: Any) -> Any:
        return cls(**{**values, **_kept("", more)})

    @classmethod
    def get_config_dict(cls, name: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, _kept(name, options)

    @classmethod
    def from_pretrained(cls, name: Any, **options: Any) -> Any:
        values, _ = cls.get_config_dict(name)
        return cls.from_dict(values.get(cls.base_config_key, values))

    def update(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        made = {
            name: value.to_dict() if isinstance(value, PlainConfig) else copy.deepcopy(value)
            for name, value in self.__dict__.items()
        }
        return {**made, "model_type": type(self).model_type}

    def get_text_config(self, *args: Any, **options: Any) -> Any:
        return getattr(self, "text_config", None) or self


__all__ = [
    "MODULE",
    "PlainConfig",
    "as_validated_field",
    "evaluated_base",
    "plain_base",
    "strict",
    "take_any_keyword",
]
