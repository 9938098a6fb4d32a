"""Which class SGLang takes for architectures that it lacks: one that wraps transformers' own model.

SGLang's own functions choose among its wrapping classes and refuse what these cannot run. They are
evaluated; what they ask of `ModelConfig` is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from flashinfer_bench.errors import NotFoundError
from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.sglang.transformers_models import FACTORY, ModelLibrary

_LOADER = "sglang.srt.model_loader.utils"
_CONFIG = "sglang.srt.configs.model_config"


def fallback_name(
    config: Any, listed: Sequence[str], evaluator: Evaluator, version: str | None, notes: list[str]
) -> str:
    """Name of the class that SGLang falls back to for a configuration, and a note that it does.

    `listed` are the architectures, of which SGLang has none. Raises NotFoundError (transformers has
    no such model either) and what SGLang raises where it refuses (ValueError).
    """
    named = " or ".join(listed)
    models: ModelLibrary = evaluator.import_module(FACTORY).library
    missing = f"SGLang {version or ''} has no architecture {named}".replace("  ", " ")
    _check(models, config, listed, missing)
    names = _resolve(config, listed, evaluator)
    if type(config) not in models.auto_class("AutoModel")._model_mapping:
        raise NotFoundError(f"{missing}, and transformers has no {type(config).__name__} models")
    notes.append(f"{missing}; it would run transformers' implementation, wrapped as {names[0]}")
    return names[0]


def _check(models: ModelLibrary, config: Any, listed: Sequence[str], missing: str) -> None:
    """That transformers has the classes that are named."""
    if models.configs.package is None:
        raise NotFoundError(f"{missing}; transformers may, but its source is not there")
    if not listed:
        raise NotFoundError("the configuration states no architecture; expected `architectures`")
    lacking = [it for it in listed if not it.startswith("Transformers") and it not in models.names]
    for name in set(listed) & set(models.names):
        models.model_class(name)  # SGLang asks with a default, which would hide an error
    if lacking:
        remote = ", and a checkpoint's own code is not run" if _is_remote(config) else ""
        raise NotFoundError(f"{missing}, and transformers has no {' or '.join(lacking)}{remote}")


def _is_remote(config: Any) -> bool:
    return "AutoModel" in (getattr(config, "auto_map", None) or {})


def _resolve(config: Any, listed: Sequence[str], evaluator: Evaluator) -> list[str]:
    text = evaluator.import_name(_CONFIG, "get_hf_text_config")(config)
    is_generation = evaluator.import_name(_CONFIG, "is_generation_model")(listed, False)
    is_multimodal = evaluator.import_name(_CONFIG, "is_multimodal_model")(listed)
    model_config = SimpleNamespace(
        hf_config=config,
        hf_text_config=text,
        is_generation=is_generation,
        is_multimodal=is_multimodal or text is not config,
        model_impl=evaluator.import_name(_CONFIG, "ModelImpl").AUTO,
        model_path="config",
        revision=None,
    )
    resolve = evaluator.import_name(_LOADER, "resolve_transformers_arch")
    names: list[str] = resolve(model_config, list(listed))
    return names


__all__ = ["fallback_name"]
