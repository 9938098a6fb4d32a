"""From a made-up SGLang to a module tree, counted by hand."""

# ruff: noqa: E501 (tables and source)
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.modules import Finder
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.boundary import SglangBoundary
from flashinfer_bench.models.sglang.leaves import Impossible
from flashinfer_bench.models.sglang.nodes import TreeBuilder
from flashinfer_bench.models.sglang.settings import Platform, Settings
from flashinfer_bench.models.sglang.stand_ins import stand_ins
from flashinfer_bench.models.sglang.torch_module import Torch
from flashinfer_bench.models.tree import ModuleNode, layer_runs, main_list

FILES = {
    "__init__.py": "raise RuntimeError('nothing of SGLang is imported')\n",
    "srt/server_args.py": "class ServerArgs:\n    made_up: int = 3\n",
    "srt/distributed/__init__.py": "def get_tensor_model_parallel_world_size(): ...\n",
    "srt/utils/__init__.py": (
        "from torch import nn\n\ndef make_layers(n, make):\n"
        "    return nn.ModuleList([make(idx=i) for i in range(n)])\n"
    ),
    "srt/layers/linear.py": (
        "from torch import nn\n\nclass LinearBase(nn.Module): ...\n\n"
        "class ColumnParallelLinear(LinearBase):\n"
        "    def __init__(self, input_size, output_size, bias=True, quant_config=None, prefix=''):\n"
        "        raise RuntimeError\n\n"
        "class RowParallelLinear(LinearBase):\n"
        "    def __init__(self, input_size, output_size, bias=True, prefix=''):\n"
        "        raise RuntimeError\n\n"
        "class QKVParallelLinear(ColumnParallelLinear):\n"
        "    def __init__(self, hidden_size, head_size, total_num_heads,\n"
        "                 total_num_kv_heads=None, bias=True, prefix=''):\n"
        "        raise RuntimeError\n"
    ),
    "srt/layers/layernorm.py": (
        "from torch import nn\n\nclass RMSNorm(nn.Module):\n"
        "    def __init__(self, hidden_size, eps=1e-6): raise RuntimeError\n"
    ),
    "srt/layers/radix_attention.py": (
        "from torch import nn\n\nclass RadixAttention(nn.Module):\n"
        "    def __init__(self, num_heads, head_dim, scaling, num_kv_heads, layer_id,\n"
        "                 v_head_dim=-1, sliding_window_size=-1): raise RuntimeError\n"
    ),
    "srt/layers/vocab_parallel_embedding.py": (
        "from torch import nn\n\nclass VocabParallelEmbedding(nn.Module):\n"
        "    def __init__(self, num_embeddings, embedding_dim, org_num_embeddings=None,\n"
        "                 padding_size=64): raise RuntimeError\n\n"
        "class ParallelLMHead(VocabParallelEmbedding):\n"
        "    def __init__(self, num_embeddings, embedding_dim, bias=False,\n"
        "                 org_num_embeddings=None, padding_size=64): raise RuntimeError\n"
    ),
    "srt/models/tiny.py": """
from torch import nn
from sglang.srt.distributed import get_tensor_model_parallel_world_size
from sglang.srt.layers.layernorm import RMSNorm
from sglang.srt.layers.linear import ColumnParallelLinear, QKVParallelLinear, RowParallelLinear
from sglang.srt.layers.radix_attention import RadixAttention
from sglang.srt.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding
from sglang.srt.utils import make_layers


class TinyAttention(nn.Module):
    def __init__(self, config, layer_id):
        super().__init__()
        tp = get_tensor_model_parallel_world_size()
        heads, d = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        self.qkv_proj = QKVParallelLinear(
            config.hidden_size, d, heads, config.num_key_value_heads, bias=False)
        self.o_proj = RowParallelLinear(heads * d, config.hidden_size, bias=False)
        window = config.window if layer_id % 2 == 0 else -1
        self.attn = RadixAttention(heads // tp, d, d**-0.5, max(1, config.num_key_value_heads // tp),
                                   layer_id, sliding_window_size=window)


class TinyLayer(nn.Module):
    def __init__(self, config, idx):
        super().__init__()
        self.self_attn = TinyAttention(config, idx)
        wide = config.intermediate_size * (2 if idx < config.first else 1)
        self.up = ColumnParallelLinear(config.hidden_size, wide, bias=False)
        self.down = RowParallelLinear(wide, config.hidden_size, bias=False)
        self.norm = RMSNorm(config.hidden_size)


class TinyForCausalLM(nn.Module):
    def __init__(self, config, quant_config=None):
        super().__init__()
        self.embed = VocabParallelEmbedding(config.vocab_size, config.hidden_size)
        self.layers = make_layers(config.num_hidden_layers, lambda idx: TinyLayer(config, idx))
        if config.tie_word_embeddings:
            self.lm_head = self.embed
        else:
            self.lm_head = ParallelLMHead(config.vocab_size, config.hidden_size)

    def forward(self, x): raise RuntimeError


EntryClass = TinyForCausalLM
""",
}
CONFIG: dict[str, Any] = {
    **{"architectures": ["TinyForCausalLM"], "model_type": "made_up", "vocab_size": 100},
    **{"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "first": 1},
    **{"intermediate_size": 24, "num_hidden_layers": 6, "window": 7, "tie_word_embeddings": False},
}
ATTENTION = 16 * (16 + 2 * 8) + 16 * 16
EMBEDDING = 128 * 16


@dataclass
class Built:
    root: ModuleNode
    doubts: Any


def build(folder: Path, profile: ServingProfile | None = None, **changes: Any) -> Built:
    """The tree of the made-up model, of a configuration that is just its attributes."""
    for name, text in FILES.items():
        path = folder / "sglang" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    profile, package = profile or ServingProfile(), folder / "sglang"
    boundary = SglangBoundary(
        stand_ins(profile, "bfloat16"), Settings(profile, package), Platform(profile), "bfloat16"
    )
    found = boundary.evaluator = Evaluator(Finder({"sglang": package}), boundary)
    model = found.import_name("sglang.srt.models.tiny", "TinyForCausalLM")
    root = TreeBuilder().node("", model(SimpleNamespace(**{**CONFIG, **changes})))
    return Built(root, found.doubts)


def named(tree: Built, path: str) -> ModuleNode:
    (found,) = [node for name, node in tree.root.walk() if name == path]
    return found


def test_layers_that_are_alike_are_one(tmp_path: Path) -> None:
    tree = build(tmp_path)
    layers = named(tree, "layers")
    assert [it.items for it in layers.children] == [(0,), (1, 3, 5), (2, 4)]
    assert [it.count for it in layers.children] == [1, 3, 2]
    assert [run.count for run in layer_runs(tree.root)] == [1, 1, 1, 1, 1, 1]
    assert main_list(tree.root) == layers
    inner = [node.count for name, node in tree.root.walk() if name.endswith("qkv_proj")]
    assert inner == [1, 3, 2]
    assert not tree.doubts


def test_runs_of_layers(tmp_path: Path) -> None:
    tree = build(tmp_path, window=-1, first=2)
    assert [run.count for run in layer_runs(tree.root)] == [2, 4]
    assert {run.class_name for run in layer_runs(tree.root)} == {"TinyLayer"}


def test_sums_by_hand(tmp_path: Path) -> None:
    tree = build(tmp_path)
    narrow, wide = ATTENTION + 2 * 16 * 24, ATTENTION + 2 * 16 * 48
    matrices = wide + 5 * narrow
    assert tree.root.parameters == matrices + 6 * 16 + 2 * EMBEDDING
    assert tree.root.bytes == 2 * tree.root.parameters
    assert tree.root.flops_per_token == 2 * (matrices + EMBEDDING)
    assert tree.root.flops_per_token_and_key == 6 * 2 * 4 * (4 + 4)
    first, second, _ = named(tree, "layers").children
    assert (first.parameters, second.parameters) == (wide + 16, narrow + 16)
    assert second.flops_per_token == 2 * narrow


def test_ranks_share_the_work(tmp_path: Path) -> None:
    tree = build(tmp_path, ServingProfile(tp=4), window=-1, first=0)
    (layer,) = named(tree, "layers").children
    shapes = {name: it.weights[0].shape for name, it in layer.walk() if it.weights}
    assert shapes == {
        **{"self_attn.qkv_proj": (12, 16), "self_attn.o_proj": (16, 4)},
        **{"up": (6, 16), "down": (16, 6), "norm": (16,)},
    }
    assert named(tree, "embed").weights[0].shape == (32, 16)
    attention = next(node for _, node in layer.walk() if node.role == "attention")
    assert (attention.facts["tp_q_head_num"], attention.facts["tp_k_head_num"]) == (1, 1)


def test_tied_modules_count_once(tmp_path: Path) -> None:
    tied, apart = build(tmp_path, tie_word_embeddings=True), build(tmp_path)
    assert apart.root.parameters - tied.root.parameters == EMBEDDING
    assert [it.shared for it in tied.root.children] == [False, False, True]
    assert tied.root.bytes == 2 * tied.root.parameters
    assert tied.root.flops_per_token == apart.root.flops_per_token


def test_places_and_kinds(tmp_path: Path) -> None:
    tree = build(tmp_path)
    line = FILES["srt/models/tiny.py"].split("\n").index("class TinyLayer(nn.Module):") + 1
    layer = named(tree, "layers").children[0]
    assert str(layer.place) == f"sglang/srt/models/tiny.py:{line}"
    assert (layer.kind, named(tree, "embed").kind, named(tree, "embed").role) == (
        *("block", "layer", "embedding"),
    )
    assert named(tree, "layers").class_name == "ModuleList"


@pytest.mark.parametrize("changes", [{"num_attention_heads": 3}, {"intermediate_size": 25}])
def test_what_cannot_be_divided_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Impossible, match="not divisible by"):
        build(tmp_path, ServingProfile(tp=2), **changes)


def test_shared_items_of_a_list_count_once() -> None:
    nn = Torch("bfloat16", (9, 0)).module().nn
    shared = nn.Linear(2, 3)
    root = TreeBuilder().node("", nn.ModuleList([shared, shared, nn.Linear(2, 3)]))
    assert root.parameters == 2 * (2 * 3 + 3)
    assert root.bytes == 2 * root.parameters
