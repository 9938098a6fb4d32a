"""The configuration that a model's constructor gets, made from a config.json as SGLang makes it.

SGLang's reader, its `ModelConfig` as far as it changes the configuration, and the classes of both
SGLang and transformers are evaluated from source. What the reader would load from files is the raw
dictionary.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.evaluator.values import is_unknown
from flashinfer_bench.models.sglang.config_library import ConfigLibrary
from flashinfer_bench.models.sglang.config_registry import install_registries, registry_module
from flashinfer_bench.models.sglang.transformers_modules import bind, transformers_modules

PATH = "config"
"""Stands for the model's folder in SGLang's functions."""
UNNAMED = "generic"
"""Model type of a configuration that names none."""
_READER = ("sglang.srt.utils.hf_transformers.config", "HfModelConfigParser")
_PATCHES = "sglang.srt.utils.hf_transformers_patches"
_PATCHED = ("_patch_rope_parameters_validation", "_patch_layer_types_validation")
"""Changes to transformers' base class that SGLang makes when it is imported."""
_MODEL_CONFIG = "sglang.srt.configs.model_config"
_STEPS = (("_derive_context_length", (None,)), ("_derive_model_shapes", ()))
"""Methods of ModelConfig that write to the configuration, and their arguments."""
_MISFITS = (AttributeError, AssertionError, KeyError, TypeError, ValueError)
"""Errors of code that is given a configuration of another class than it expects."""
ALIASES = {"deepseek_v32": "deepseek_v3"}
"""Model types whose class SGLang takes from another one, where its table does not say so: 0.5.9
writes a temporary file with the other type."""


def build_config(raw: Mapping[str, Any], evaluator: Evaluator, notes: list[str]) -> Any:
    """What SGLang passes to the model's class; `raw` is left as it is, and `notes` gets remarks.

    The evaluator's boundary must hold `transformers_modules`. Where there is a class for the model
    type, errors of the evaluated source travel (ValueError and the like): SGLang would refuse the
    configuration too. Where there is none, the raw values get the defaults of all models.
    """
    library = bind(evaluator)
    library.raw = copy.deepcopy(dict(raw))
    if not library.installed:
        install_registries(library)
        _apply_patches(library)
        library.installed = True
    if _make_known(library, notes):
        config = _read(library, notes)
        _as_model_config(library, config)
        return config
    return _build_generic(library, notes)


def _build_generic(library: ConfigLibrary, notes: list[str]) -> Any:
    """Of raw values; SGLang's functions are written for its classes, and may not get along."""
    try:
        config = _read(library, notes)
    except _MISFITS as error:
        notes.append(f"SGLang's reader does not take the raw values: {_said(error)}")
        config = library.base().from_dict(copy.deepcopy(library.raw))  # type: ignore[attr-defined]
    try:
        _as_model_config(library, config)
    except _MISFITS as error:
        notes.append(f"ModelConfig does not take the raw values: {_said(error)}")
    return config


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _apply_patches(library: ConfigLibrary) -> None:
    module = library.evaluator.find_module(_PATCHES)
    if isinstance(module, Module) and library.package is not None:
        for name in _PATCHED:
            if module.has(name):
                module.global_value(name)()


def _make_known(library: ConfigLibrary, notes: list[str]) -> bool:
    """Whether the type's class is there, with its base; makes a class for a type that has none."""
    mapping, kind = library.mapping, library.raw.get("model_type")
    mapping.registered.clear()
    if library.package is None:
        notes.append("transformers' source is not there: its defaults and names may be missing")
    if kind is None:
        return False
    other = ALIASES.get(kind)
    if kind not in mapping and other is not None and other in mapping:
        mapping.registered[kind] = type(kind, (mapping[other],), {"model_type": kind})
    if kind in mapping:
        return library.package is not None
    notes.append(
        f"model type {kind}: no class in SGLang or transformers, so raw values with defaults"
    )
    _make_generic(library, kind)
    return False


def _make_generic(library: ConfigLibrary, kind: str) -> None:
    body = {"model_type": kind, "__module__": __name__}
    library.mapping.registered[kind] = type("GenericConfig", (library.base(),), body)


def _read(library: ConfigLibrary, notes: list[str]) -> Any:
    try:
        return _parse(library)
    except ValueError:
        if "model_type" in library.raw:
            raise
    notes.append("no model_type in the configuration: raw values with the defaults of all models")
    library.raw["model_type"] = UNNAMED
    if UNNAMED not in library.mapping:
        _make_generic(library, UNNAMED)
    return _parse(library)


def _parse(library: ConfigLibrary) -> Any:
    """With SGLang's reader of Hugging Face's format."""
    evaluator = library.evaluator
    module, name = _READER
    if isinstance(evaluator.find_module(module), Module):
        reader = evaluator.import_name(module, name)()
        return reader.parse(PATH, trust_remote_code=False)
    read = _function(registry_module(library), "get_config")
    return read(PATH, trust_remote_code=False)


def _function(module: Module | None, name: str) -> Function:
    """Without its decorators, which cache."""
    if module is None:
        raise LookupError("this SGLang has no reader of configurations that is known")
    node = module.source.parse(module.source.binding[name][-1])
    return Function.from_node(module.evaluator, node, module.scope, name)


def _as_model_config(library: ConfigLibrary, config: Any) -> None:
    """What ModelConfig writes to the configuration before the model is made."""
    evaluator = library.evaluator
    kind = evaluator.import_name(_MODEL_CONFIG, "ModelConfig")
    if is_unknown(kind) or not getattr(config, "architectures", None):
        return
    holder = object.__new__(kind)
    text = evaluator.import_name(_MODEL_CONFIG, "get_hf_text_config")(config)
    for name, value in (("hf_config", config), ("hf_text_config", text), ("is_draft_model", False)):
        setattr(holder, name, value)
    for name, args in _STEPS:
        method = getattr(holder, name, None)
        if method is not None:
            method(*args)
    _ungroup(evaluator, config)
    config.encoder_only = config.language_only = False
    config.language_model_only = getattr(config, "language_model_only", False)


def _ungroup(evaluator: Evaluator, config: Any) -> None:
    """Architectures without groups of experts inherit groups from their class's template."""
    module = evaluator.find_module(_MODEL_CONFIG)
    if isinstance(module, Module) and module.has("is_deepseek_v4"):
        groups = getattr(config, "n_group", None)
        if groups is not None and module.global_value("is_deepseek_v4")(config) is True:
            config.topk_group = groups


__all__ = ["ALIASES", "bind", "build_config", "transformers_modules"]
