"""What stands for transformers, of which configuration classes are evaluated from source.

`transformers_modules` gives stand-ins for the boundary. Names of configuration classes lead to
their file through an index; modules that only run models or read files give quiet Unknowns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.standard_library import Logger, Shell
from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.sglang.config_library import AUTO, ConfigLibrary
from flashinfer_bench.models.sglang.pretrained_config import MODULE, as_validated_field, strict
from flashinfer_bench.models.sglang.transformers_models import FACTORY, ModelLibrary

_INERT = (
    *("dynamic_module_utils", "modeling_gguf_pytorch_utils", "modeling_outputs", "generation"),
    *("cache_utils", "processing_utils", "image_utils", "image_processing_utils", "masking_utils"),
    *("tokenization_utils", "tokenization_utils_base", "feature_extraction_utils", "video_utils"),
    *("modeling_attn_mask_utils", "modeling_flash_attention_utils", "integrations"),
    *("models.auto.tokenization_auto", "generation.utils", "integrations.hub_kernels"),
    *(
        "utils.generic",
        "utils.hub",
        "utils.import_utils",
        "utils.logging",
        "quantizers",
        "utils.deprecation",
        "hf_argparser",
    ),
)
"""Modules below `transformers` on which no configuration depends."""


class Overlay:
    """Stands for a module: what is stated, else what its source or `other` gives."""

    def __init__(
        self,
        library: ConfigLibrary,
        name: str,
        stated: Mapping[str, Callable[[], Any]],
        other: Callable[[str], Any] | None = None,
    ) -> None:
        self.library, self._name = library, name
        self._stated, self._other = stated, other

    def __getattr__(self, name: str) -> Any:
        if name in self._stated:
            found = self._stated[name]()
        elif name.startswith("__"):
            raise AttributeError(name)
        elif self._other is not None:
            found = self._other(name)
        else:
            module = self.library.source_module(self._name)
            if module is None:
                raise AttributeError(name)
            found = self.library.evaluator.attribute(module, name)
        self.__dict__[name] = found
        return found

    def __repr__(self) -> str:
        return f"<stand-in for {self._name}>"


def transformers_modules(package: Path | None) -> dict[str, Any]:
    """Module -> what stands for it: transformers', of the folder `package`, and huggingface_hub's.

    Of one evaluator, to which `bind` ties them.
    """
    library = ConfigLibrary(package)
    auto = {"CONFIG_MAPPING": lambda: library.mapping, "AutoConfig": library.auto_config}
    base = {"PreTrainedConfig": library.base, "PretrainedConfig": library.base}
    models = ModelLibrary(library)
    model = {"PreTrainedModel": models.base}
    version = {"__version__": lambda: _version(library.package)}
    hub = {"strict": strict, "as_validated_field": as_validated_field}
    made: dict[str, Any] = {
        "transformers": Overlay(
            library,
            "transformers",
            {**auto, **base, **model, **version},
            lambda name: _top_level(models, name),
        ),
        MODULE: Overlay(library, MODULE, base),
        AUTO: Overlay(library, AUTO, auto),
        "transformers.modeling_utils": Overlay(
            library, "transformers.modeling_utils", model, lambda name: _quiet(name)
        ),
        FACTORY: models.factory(),
        "transformers.utils": _utilities(),
        "huggingface_hub": Shell("huggingface_hub"),
        "huggingface_hub.dataclasses": Shell("huggingface_hub.dataclasses", **hub),
        **{f"transformers.{name}": Shell(f"transformers.{name}") for name in _INERT},
    }
    made["transformers.utils.generic"].__dict__["is_timm_config_dict"] = lambda values: False
    mixin = type("GenerationMixin", (), {"__doc__": "Generates nothing."})
    for name in ("transformers.generation", "transformers.generation.utils"):
        made[name].__dict__["GenerationMixin"] = mixin
    for name in ("transformers.integrations", "transformers.integrations.hub_kernels"):
        made[name].__dict__["use_kernelized_func"] = _leaves_classes
    made["transformers.utils.logging"] = made["transformers.utils"].logging
    for folder in _folders(library.package):
        name = f"transformers.models.{folder}"
        stated = auto if folder == "auto" else {}
        made[name] = Overlay(library, name, stated, _of_folder(models, folder))
    return made


def bind(evaluator: Evaluator) -> ConfigLibrary:
    """Ties an evaluator's stand-ins to it, before anything else is evaluated with it."""
    library: ConfigLibrary = evaluator.import_module("transformers").library
    library.evaluator = evaluator
    return library


def _folders(package: Path | None) -> list[str]:
    if package is None:
        return ["auto"]
    return sorted(it.name for it in (package / "models").iterdir() if it.is_dir())


def _of_folder(models: ModelLibrary, folder: str) -> Callable[[str], Any]:
    library, name = models.configs, f"transformers.models.{folder}"

    def look_up(attribute: str) -> Any:
        found = library.config_class(attribute, folder)
        if found is not None:
            return found
        if folder == "auto" and attribute.startswith("AutoModel"):
            return models.auto_class(attribute)
        inside = library.evaluator.find_module(f"{name}.{attribute}")
        return inside if inside is not None else _quiet(f"{name}.{attribute}")

    return look_up


def _top_level(models: ModelLibrary, name: str) -> Any:
    """AttributeError for a configuration that this version lacks, for which SGLang looks."""
    library = models.configs
    found = library.config_class(name)
    if found is not None:
        return found
    inside = library.evaluator.find_module(f"transformers.{name}")
    if inside is not None:
        return inside
    if name.startswith("AutoModel"):
        return models.auto_class(name)
    if name in models.names:
        return models.model_class(name)
    if name.endswith("Config"):
        if library.package is None:
            return type(name, (library.base(),), {"stands_for": name})
        if f'"{name}"' not in _start(library.package):
            raise AttributeError(f"transformers has no {name}")
    return _quiet(f"transformers.{name}")


def _start(package: Path) -> str:
    """What transformers' top level lists, as text."""
    return (package / "__init__.py").read_text(encoding="utf-8")


def _version(package: Path | None) -> str:
    text = _start(package) if package else ""
    found = re.search(r"""^__version__ = ["'](.+?)["']""", text, re.MULTILINE)
    return found[1] if found else "0"


def _leaves_classes(*functions: Any) -> Callable[[Any], Any]:
    """As the decorator that lets kernels replace functions of a class's methods."""
    return lambda cls: cls


def _quiet(name: str) -> Unknown:
    return Unknown(f"{name} is not evaluated", quiet=True)


def _utilities() -> Shell:
    class PushToHubMixin:
        """What is pushed nowhere."""

    logging = Shell("transformers.utils.logging", get_logger=lambda *names: Logger())
    return Shell(
        "transformers.utils",
        logging=logging,
        PushToHubMixin=PushToHubMixin,
        is_torch_available=lambda: True,
        copy_func=lambda function: function,
        CONFIG_NAME="config.json",
        cached_file=lambda *names, **options: None,
    )


__all__ = ["bind", "transformers_modules"]
