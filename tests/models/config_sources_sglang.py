"""A small package in the shape of SGLang, as far as it reads configurations."""

from __future__ import annotations

SGLANG = {
    "srt/models/llama.py": "",
    "srt/configs/__init__.py": "from sglang.srt.configs.cat import CatConfig\n",
    "srt/configs/cat.py": """
from transformers import PretrainedConfig


class CatConfig(PretrainedConfig):
    model_type = "cat"

    def __init__(self, hidden_size=16, num_attention_heads=2, num_hidden_layers=4, interval=2,
                 **kwargs):
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.num_hidden_layers = num_hidden_layers
        self.interval = interval
        super().__init__(**kwargs)

    @property
    def kinds(self):
        return ["full" if (i + 1) % self.interval == 0 else "linear"
                for i in range(self.num_hidden_layers)]
""",
    "srt/configs/replaced.py": """
from transformers import CONFIG_MAPPING, BeeConfig as TheirBeeConfig


class BeeConfig(TheirBeeConfig):
    @property
    def wings(self):
        return self.num_attention_heads * 2


CONFIG_MAPPING._extra_content["bee"] = BeeConfig
""",
    "srt/configs/added.py": """
from transformers import AutoConfig, PretrainedConfig


class EmuConfig(PretrainedConfig):
    model_type = "emu"


def register():
    AutoConfig.register(EmuConfig.model_type, EmuConfig, exist_ok=True)


register()
""",
    "srt/utils/hf_transformers_patches.py": "",
    "srt/utils/hf_transformers/common.py": """
from transformers import AutoConfig, PretrainedConfig

from sglang.srt.configs import CatConfig

_CONFIG_REGISTRY = {cls.model_type: cls for cls in [CatConfig]}

try:
    from transformers import BeeConfig as _Bee

    class _WaspAlias(_Bee):
        model_type = "wasp"
        stings = True

    _CONFIG_REGISTRY["wasp"] = _WaspAlias
except ImportError:
    pass

try:
    from transformers import DodoConfig

    _CONFIG_REGISTRY["dodo"] = DodoConfig
except ImportError:
    pass

for name, cls in _CONFIG_REGISTRY.items():
    AutoConfig.register(name, cls)


def get_hf_text_config(config):
    found = getattr(config, "text_config", None)
    if isinstance(found, dict):
        config.text_config = found = PretrainedConfig(**found)
    return config if found is None else found
""",
    "srt/utils/hf_transformers/config.py": """
from .common import _CONFIG_REGISTRY, AutoConfig, get_hf_text_config


class HfModelConfigParser:
    def parse(self, model, trust_remote_code, revision=None, **kwargs):
        config = AutoConfig.from_pretrained(
            model, trust_remote_code=trust_remote_code, revision=revision, **kwargs
        )
        for key, value in vars(get_hf_text_config(config)).items():
            if not hasattr(config, key) and value is not None:
                setattr(config, key, value)
        if config.model_type in _CONFIG_REGISTRY:
            config = _CONFIG_REGISTRY[config.model_type].from_pretrained(model, revision=revision)
            config._name_or_path = model
        return config
""",
    "srt/configs/model_config.py": """
from sglang.srt.utils.hf_transformers.common import get_hf_text_config


class ModelConfig:
    def _derive_context_length(self, context_length):
        self.hf_config.context_len = 2048

    def _derive_model_shapes(self):
        if getattr(self.hf_text_config, "head_dim", None) is None:
            text = self.hf_text_config
            setattr(text, "head_dim", text.hidden_size // text.num_attention_heads)
""",
}

__all__ = ["SGLANG"]
