"""A small SGLang and a small transformers, made up, of which one lacks what the other has."""

from __future__ import annotations

from tests.models.config_sources import V5
from tests.models.config_sources_sglang import SGLANG

_PLAN = '    base_model_tp_plan = {"layers.*.up": "colwise", "layers.*.down": "rowwise"}\n'
_TEXT = "\n    def get_text_config(self):\n        return self.text_config\n"
_MODELS = """
from ...activations import ACT2FN
from ...integrations import use_kernel_forward_from_hub, use_kernelized_func
from ...modeling_layers import GradientCheckpointingLayer
from ...modeling_utils import PreTrainedModel
from ...utils import auto_docstring
from .configuration_bee import BeeConfig
import torch
from torch import nn


def turn(q, k):
    return q, k


@use_kernel_forward_from_hub("RMSNorm")
class BeeRMSNorm(nn.Module):
    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.variance_epsilon = eps


class BeeShiftedRMSNorm(nn.Module):
    def __init__(self, size, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps


@use_kernelized_func(turn)
class BeeLayer(GradientCheckpointingLayer):
    def __init__(self, config, index):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, 4 * config.hidden_size, bias=False)
        self.down = nn.Linear(4 * config.hidden_size, config.hidden_size, bias=False)
        self.act = ACT2FN["buzz"]
        self.norm = BeeShiftedRMSNorm(config.hidden_size)
        self.scale = nn.Parameter(torch.normal(0, 0.1, size=(3,)))


class BeePreTrainedModel(PreTrainedModel):
    config: BeeConfig
    base_model_prefix = "model"
    _supports_attention_backend = True


@auto_docstring
class BeeModel(BeePreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([BeeLayer(config, i) for i in range(config.num_layers)])
        self.norm = BeeRMSNorm(config.hidden_size)
        self.frequencies = nn.Buffer(torch.arange(0, 4, 2), persistent=False)
        self.post_init()


class BeeForCausalLM(BeePreTrainedModel):
    pass


__all__ = ["BeeModel", "BeeForCausalLM", "BeePreTrainedModel"]
"""
_ANTS = """
from torch import nn
import torch
from ...modeling_utils import PreTrainedModel
from ..auto import AutoModel
from .configuration_ant import AntConfig, AntTextConfig


class AntExperts(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.down = nn.Parameter(torch.empty(config.num_experts, config.hidden_size, 16))


class AntMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = AntExperts(config)


class AntTextModel(PreTrainedModel):
    config: AntTextConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([AntMLP(config) for _ in range(config.num_hidden_layers)])
        self.post_init()


class AntModel(PreTrainedModel):
    config: AntConfig
    _supports_attention_backend = True

    def __init__(self, config):
        super().__init__(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.patches = nn.Conv2d(3, 8, 2)
        self.post_init()


class AntForConditionalGeneration(PreTrainedModel):
    config: AntConfig
    _supports_attention_backend = True


class AntLegacyModel(PreTrainedModel):
    config: AntConfig


__all__ = [
    "AntModel", "AntTextModel", "AntForConditionalGeneration", "AntLegacyModel",
]
"""
TRANSFORMERS = {
    **V5,
    "activations.py": """
from torch import nn


class BuzzActivation(nn.Module):
    pass


class Making(dict):
    def __getitem__(self, key):
        return super().__getitem__(key)()


ACT2FN = Making({"buzz": BuzzActivation})
""",
    "modeling_layers.py": """
from torch import nn


class GradientCheckpointingLayer(nn.Module):
    gradient_checkpointing = False
""",
    "modeling_utils.py": """
class EmbeddingAccessMixin:
    _input_embed_layer = "embed_tokens"

    def _owner(self):
        return getattr(self, "language_model", self)

    def get_input_embeddings(self):
        return getattr(self._owner(), self._input_embed_layer)

    def set_input_embeddings(self, value):
        setattr(self._owner(), self._input_embed_layer, value)


class PreTrainedModel(EmbeddingAccessMixin):
    def __init__(self, config):
        raise RuntimeError("nothing is loaded")
""",
    "models/auto/modeling_auto.py": """
from collections import OrderedDict
from .auto_factory import _BaseAutoModelClass, _LazyAutoMapping, auto_class_update
from .configuration_auto import CONFIG_MAPPING_NAMES

MODEL_MAPPING_NAMES = OrderedDict(
    [("ant", "AntModel"), ("ant_text", "AntTextModel"), ("bee", ("BeeModel", "BeeOtherModel"))]
)
MODEL_MAPPING = _LazyAutoMapping(CONFIG_MAPPING_NAMES, MODEL_MAPPING_NAMES)


class AutoModel(_BaseAutoModelClass):
    _model_mapping = MODEL_MAPPING


AutoModel = auto_class_update(AutoModel)
""",
    "models/bee/configuration_bee.py": V5["models/bee/configuration_bee.py"] + _PLAN,
    "models/bee/modeling_bee.py": _MODELS,
    "models/ant/configuration_ant.py": V5["models/ant/configuration_ant.py"] + _TEXT,
    "models/ant/modeling_ant.py": _ANTS,
}

_LEAVES = {
    "linear": "ReplicatedLinear ColumnParallelLinear RowParallelLinear",
    "layernorm": "RMSNorm GemmaRMSNorm",
}
_START = {
    "linear": "input_size, output_size, bias=True",
    "layernorm": "hidden_size, eps=1e-6",
}


def _leaves(module: str) -> str:
    classes = (
        f"class {name}:\n    def __init__(self, {_START[module]}):\n        pass\n"
        for name in _LEAVES[module].split()
    )
    return "\n\n".join(classes)


FALLBACK = {
    **SGLANG,
    "srt/configs/added.py": SGLANG["srt/configs/added.py"].replace(
        '    model_type = "emu"\n',
        """    model_type = "emu"

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.architectures = ["CatForCausalLM"]
""",
    ),
    "srt/configs/model_config.py": SGLANG["srt/configs/model_config.py"]
    + """

from enum import Enum


class ModelImpl(str, Enum):
    AUTO = "auto"
    TRANSFORMERS = "transformers"


def is_generation_model(model_architectures, is_embedding=False):
    return not is_embedding


def is_multimodal_model(model_architectures):
    return False
""",
    "srt/model_loader/utils.py": """
import transformers
from sglang.srt.configs.model_config import ModelImpl


def _has_experts(config):
    return getattr(config, "num_experts", 0) > 1


def resolve_transformers_arch(model_config, architectures):
    for arch in architectures:
        found = getattr(transformers, arch, None)
        if model_config.model_impl == ModelImpl.AUTO and not found.is_backend_compatible():
            raise ValueError(f"{arch} is not compatible")
    name = "MultiModal" if model_config.is_multimodal else ""
    name += "MoE" if _has_experts(model_config.hf_text_config) else ""
    assert model_config.is_generation
    return ["Transformers" + name + "ForCausalLM"]
""",
    "srt/layers/linear.py": _leaves("linear"),
    "srt/layers/layernorm.py": _leaves("layernorm"),
    "srt/layers/radix_attention.py": """
class RadixAttention:
    def __init__(self, num_heads, head_dim, scaling, num_kv_heads, layer_id, v_head_dim=-1):
        pass
""",
    "srt/layers/vocab_parallel_embedding.py": """
class VocabParallelEmbedding:
    def __init__(self, num_embeddings, embedding_dim, org_num_embeddings=None, padding_size=64):
        pass
""",
    "srt/models/native.py": """
from torch import nn


class CatForCausalLM(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.paws = nn.Linear(config.hidden_size, 4)


EntryClass = CatForCausalLM
""",
    "srt/models/transformers.py": """
import re
import torch
import transformers
from torch import nn
from transformers import AutoModel

from sglang.srt.configs.model_config import get_hf_text_config
from sglang.srt.distributed import get_tensor_model_parallel_world_size
from sglang.srt.layers.layernorm import GemmaRMSNorm, RMSNorm
from sglang.srt.layers.linear import ColumnParallelLinear, ReplicatedLinear, RowParallelLinear
from sglang.srt.layers.radix_attention import RadixAttention
from sglang.srt.layers.vocab_parallel_embedding import VocabParallelEmbedding

STYLES = {"colwise": ColumnParallelLinear, "rowwise": RowParallelLinear}


def wrapped_linear(linear, style):
    class Wrapped(STYLES.get(style, ReplicatedLinear)):
        pass

    return Wrapped(linear.in_features, linear.out_features, bias=linear.bias is not None)


def wrapped_norm(norm):
    trial = getattr(norm.__class__(1), "weight", None)
    kind = GemmaRMSNorm if trial is not None and torch.all(trial == 0) else RMSNorm
    made = kind(norm.weight.size(0))

    class WrappedNorm(made.__class__):
        pass

    made.__class__ = WrappedNorm
    return made


class Base(nn.Module):
    def __init__(self, config, quant_config=None):
        super().__init__()
        self.text = get_hf_text_config(config)
        self.ranks = get_tensor_model_parallel_world_size()
        self.model = AutoModel.from_config(config, torch_dtype=torch.get_default_dtype())
        self.plan = self.model.tp_plan
        if self.ranks > 1 and not self.plan:
            raise ValueError("does not support tensor parallel yet!")
        self.replace(self.model, "")
        self.attentions = {
            i: RadixAttention(self.text.num_attention_heads, 8, 1.0, 1, layer_id=i)
            for i in range(3)
        }
        old = self.model.get_input_embeddings()
        new = VocabParallelEmbedding(old.num_embeddings, old.embedding_dim)
        self.model.set_input_embeddings(new)

    def replace(self, module, prefix):
        for name, child in module.named_children():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(child, nn.Linear):
                style = next((it for p, it in self.plan.items() if re.match(p, path)), None)
                setattr(module, name, wrapped_linear(child, style))
            elif child.__class__.__name__.endswith("RMSNorm"):
                setattr(module, name, wrapped_norm(child))
            else:
                self.replace(child, path)


class Sparse:
    def replace(self, module, prefix):
        for name, child in list(module.named_children()):
            inside = list(child.parameters())
            if name == "experts" and inside and all(it.ndim == 3 for it in inside):
                module.experts = ColumnParallelLinear(7, 5)
        super().replace(module, prefix)


class TransformersForCausalLM(Base):
    pass


class TransformersMultiModalMoEForCausalLM(Sparse, Base):
    pass


EntryClass = [TransformersForCausalLM, TransformersMultiModalMoEForCausalLM]
""",
}

__all__ = ["FALLBACK", "TRANSFORMERS"]
