"""Small packages in the shape of transformers (4.x and 5.x), made up for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_V4_BASE = """
import copy
from . import __version__
from .utils import PushToHubMixin, is_torch_available, logging

logger = logging.get_logger(__name__)


class PretrainedConfig(PushToHubMixin):
    model_type = ""
    base_config_key = ""
    attribute_map = {}
    sub_configs = {}

    def __setattr__(self, key, value):
        if key in super().__getattribute__("attribute_map"):
            key = super().__getattribute__("attribute_map")[key]
        super().__setattr__(key, value)

    def __getattribute__(self, key):
        if key != "attribute_map" and key in super().__getattribute__("attribute_map"):
            key = super().__getattribute__("attribute_map")[key]
        return super().__getattribute__(key)

    def __init__(self, *, dtype=None, tie_word_embeddings=True, architectures=None,
                 pad_token_id=None, is_encoder_decoder=False, **kwargs):
        dtype = kwargs.pop("torch_dtype", dtype)
        if isinstance(dtype, str) and is_torch_available():
            import torch

            dtype = getattr(torch, dtype)
        self.dtype = dtype
        self.tie_word_embeddings = tie_word_embeddings
        self.architectures = architectures
        self.pad_token_id = pad_token_id
        self.is_encoder_decoder = is_encoder_decoder
        self._name_or_path = str(kwargs.pop("name_or_path", ""))
        for key, value in kwargs.items():
            setattr(self, key, value)
"""
_V5_BASE = """
import copy
from dataclasses import dataclass
from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict

from . import __version__
from .modeling_rope_utils import RotaryEmbeddingConfigMixin
from .utils import PushToHubMixin, logging


@strict(accept_kwargs=True)
@dataclass(repr=False)
class PreTrainedConfig(PushToHubMixin, RotaryEmbeddingConfigMixin):
    base_config_key: ClassVar[str] = ""
    sub_configs: ClassVar[dict] = {}
    attribute_map: ClassVar[dict] = {}
    model_type: ClassVar[str] = ""
    architectures: list[str] | None = None
    dtype: "str | None" = None
    is_encoder_decoder: bool = False

    def __post_init__(self, **kwargs):
        if (torch_dtype := kwargs.pop("torch_dtype", None)) is not None:
            import torch

            self.dtype = getattr(torch, torch_dtype)
        if hasattr(self, "rope_parameters"):
            kwargs = self.convert_rope_params_to_dict(**kwargs)
        self._name_or_path = str(kwargs.pop("name_or_path", ""))
        for key, value in kwargs.items():
            setattr(self, key, value)

    def __init_subclass__(cls, *args, **kwargs):
        dataclass(cls, repr=False, kw_only=True)

    def __getattribute__(self, key):
        return super().__getattribute__(key)

    @property
    def rope_scaling(self):
        return self.rope_parameters

    @rope_scaling.setter
    def rope_scaling(self, value):
        self.rope_parameters = value

    def validate_token_ids(self):
        raise RuntimeError("this only warns, and is not run")

    def validate_layer_type(self):
        layers = getattr(self, "layer_types", None)
        if layers is not None and len(layers) != self.num_hidden_layers:
            raise ValueError(f"`num_hidden_layers` must be equal to the number of {layers}")

PretrainedConfig = PreTrainedConfig
"""
_BOTH = """
    @classmethod
    def from_pretrained(cls, name, cache_dir=None, revision="main", **kwargs):
        kwargs["revision"] = revision
        config_dict, kwargs = cls.get_config_dict(name, **kwargs)
        return cls.from_dict(config_dict, **kwargs)

    @classmethod
    def get_config_dict(cls, name, **kwargs):
        raise RuntimeError("files are not read")

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        return cls(**{**config_dict, **kwargs})

    def update(self, values):
        for key, value in values.items():
            setattr(self, key, value)

    def to_dict(self):
        return {**copy.deepcopy(self.__dict__), "model_type": self.__class__.model_type}
"""
_ROPE = """
class RotaryEmbeddingConfigMixin:
    default_theta = 10_000.0

    def convert_rope_params_to_dict(self, **kwargs):
        self.rope_parameters = kwargs.pop("rope_scaling", None) or self.rope_parameters or {}
        theta = kwargs.pop("rope_theta", self.default_theta)
        kinds = getattr(self, "layer_types", None) or ()
        nested = [it for key, it in self.rope_parameters.items() if key in kinds]
        for parameters in nested or [self.rope_parameters]:
            parameters.setdefault("rope_theta", theta)
            parameters.setdefault("rope_type", parameters.get("type", "default"))
        return kwargs
"""
_AUTO = """
from collections import OrderedDict

from ...configuration_utils import PretrainedConfig
from .auto_mappings import CONFIG_MAPPING_NAMES

CONFIG_MAPPING_NAMES.update({"ant": "AntConfig"})
CONFIG_MAPPING_NAMES = OrderedDict(**{"old-bee": "BeeConfig"}, **CONFIG_MAPPING_NAMES)


def model_type_to_module_name(key):
    return {"old-bee": "bee", "ant_text": "ant"}.get(key, key)


def documented():
    def decorate(function):
        raise RuntimeError("documentation is not made")
    return decorate


class AutoConfig:
    @classmethod
    def for_model(cls, model_type, *args, **kwargs):
        return CONFIG_MAPPING[model_type](*args, **kwargs)

    @classmethod
    @documented()
    def from_pretrained(cls, name, **kwargs):
        kwargs["name_or_path"] = name
        kwargs.pop("trust_remote_code", None)
        config_dict, unused = PretrainedConfig.get_config_dict(name, **kwargs)
        if "model_type" not in config_dict:
            raise ValueError("Unrecognized model")
        return CONFIG_MAPPING[config_dict["model_type"]].from_dict(config_dict, **unused)

    @staticmethod
    def register(model_type, config, exist_ok=False):
        CONFIG_MAPPING.register(model_type, config, exist_ok=exist_ok)
"""
_ANT_V4 = """
from ...configuration_utils import PretrainedConfig


class AntTextConfig(PretrainedConfig):
    model_type = "ant_text"
    attribute_map = {"num_experts": "num_local_experts"}

    def __init__(self, hidden_size=64, num_attention_heads=4, num_local_experts=8,
                 num_hidden_layers=2, layer_types=None, **kwargs):
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.num_local_experts = num_local_experts
        self.num_hidden_layers = num_hidden_layers
        self.layer_types = layer_types or [
            "full" if (i + 1) % 2 == 0 else "sliding" for i in range(num_hidden_layers)
        ]
        super().__init__(**kwargs)


class AntConfig(PretrainedConfig):
    model_type = "ant"
    sub_configs = {"text_config": AntTextConfig}

    def __init__(self, text_config=None, image_token_id=7, **kwargs):
        if isinstance(text_config, dict):
            text_config = AntTextConfig(**text_config)
        self.text_config = text_config or AntTextConfig()
        self.image_token_id = image_token_id
        super().__init__(**kwargs)
"""
_BEE_V4 = """
from ...configuration_utils import PretrainedConfig


class BeeConfig(PretrainedConfig):
    model_type = "bee"

    def __init__(self, hidden_size=32, num_attention_heads=2, rope_theta=10000.0, **kwargs):
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.rope_theta = rope_theta
        super().__init__(**kwargs)
"""
_ANT_V5 = """
from huggingface_hub.dataclasses import strict

from ...configuration_utils import PreTrainedConfig
from ...utils import auto_docstring


@auto_docstring(checkpoint="none")
@strict
class AntTextConfig(PreTrainedConfig):
    model_type = "ant_text"
    attribute_map = {"num_experts": "num_local_experts"}

    hidden_size: int = 64
    num_attention_heads: int = 4
    num_local_experts: int = 8
    num_hidden_layers: int = 2
    layer_types: list[str] | None = None
    rope_parameters: dict | None = None

    def __post_init__(self, **kwargs):
        if self.layer_types is None:
            self.layer_types = [
                "full" if (i + 1) % 2 == 0 else "sliding" for i in range(self.num_hidden_layers)
            ]
        super().__post_init__(**kwargs)


@auto_docstring(checkpoint="none")
@strict
class AntConfig(PreTrainedConfig):
    model_type = "ant"
    sub_configs = {"text_config": AntTextConfig}

    text_config: dict | PreTrainedConfig | None = None
    image_token_id: int = 7

    def __post_init__(self, **kwargs):
        if isinstance(self.text_config, dict):
            self.text_config = self.sub_configs["text_config"](**self.text_config)
        elif self.text_config is None:
            self.text_config = self.sub_configs["text_config"]()
        super().__post_init__(**kwargs)
"""
_BEE_V5 = """
from huggingface_hub.dataclasses import strict

from ...configuration_utils import PreTrainedConfig


@strict
class BeeConfig(PreTrainedConfig):
    model_type = "bee"

    hidden_size: int = 32
    num_attention_heads: int = 2
    rope_parameters: dict | None = None
"""
_PACKAGE = "import sys\nsys.modules[__name__] = None  # transformers makes these lazy\n"


def _transformers(version: str, base: str, ant: str, bee: str) -> dict[str, str]:
    return {
        "__init__.py": f'__version__ = "{version}"\n_names = ["GenerationConfig"]\n',
        "configuration_utils.py": base,
        "modeling_rope_utils.py": _ROPE,
        "models/__init__.py": "",
        "models/auto/__init__.py": _PACKAGE,
        "models/auto/auto_mappings.py": (
            'CONFIG_MAPPING_NAMES = {"ant_text": "AntTextConfig", "bee": "BeeConfig"}\n'
        ),
        "models/auto/configuration_auto.py": _AUTO,
        "models/ant/__init__.py": _PACKAGE,
        "models/ant/configuration_ant.py": ant,
        "models/bee/__init__.py": _PACKAGE,
        "models/bee/configuration_bee.py": bee,
    }


V4 = _transformers("4.0.0", _V4_BASE + _BOTH, _ANT_V4, _BEE_V4)
V5 = _transformers(
    "5.0.0",
    _V5_BASE.replace("\nPretrainedConfig =", f"{_BOTH}\nPretrainedConfig ="),
    _ANT_V5,
    _BEE_V5,
)


def write_package(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """Returns the package's folder."""
    for file, text in {"__init__.py": "", **files}.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / name


__all__ = ["V4", "V5", "write_package"]
