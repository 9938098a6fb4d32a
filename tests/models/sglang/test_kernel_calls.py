"""Kernels that modules reach, of made-up sources and of SGLang's own.

tests/data/flashinfer_calls/*.json count FlashInfer's calls in one forward pass of SGLang 0.5.13,
two layers, on an H200: of each dump's session.jsonl one line per (function_name, call_sequence,
process_id), without `__init__`, cut before each first `plan`, constant sizes read off the shapes in
tensor_details (a plan has none: null). `prefill_cached` is the second wave of prompts, whose
beginnings are in the cache.
"""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.kernels import KernelCall, flashinfer_calls, kernel_calls
from flashinfer_bench.models.sglang.kernels.files import Files
from flashinfer_bench.models.sglang.kernels.objects import Objects
from flashinfer_bench.models.sglang.kernels.tables import platform_truth, situation
from flashinfer_bench.models.sglang.kernels.values import SOMETHING
from flashinfer_bench.models.sglang.kernels.walker import Walker
from flashinfer_bench.models.sglang.source import SglangSource, find_sglang

DATA = Path(__file__).parents[2] / "data" / "flashinfer_calls"
FLASHINFER = ServingProfile(attention_backend="flashinfer", shared_expert_fusion=False)
NORM = """
import torch
_is_hip = is_hip()
_is_cuda = is_cuda()
if _is_cuda:
    from sgl_kernel import fused_add_rmsnorm, rmsnorm
elif _is_hip:
    from elsewhere import rmsnorm


class Norm:
    def forward_cuda(self, x, residual=None):
        if x.numel() == 0:
            return x
        if _is_hip:
            return torch.mm(x, x)
        if residual is not None:
            fused_add_rmsnorm(x, residual)
            return x, residual
        return rmsnorm(x)


class Derived(Norm):
    def forward(self, x, forward_batch):
        if forward_batch.forward_mode.is_decode():
            return helper(self.forward_cuda, x)
        else:
            from flashinfer.norm import layernorm as ln
            return ln(x)


def helper(run, x):
    return run(x)
"""


def walked(tmp_path: Path, cls: str, method: str, **given: Any) -> Walker:
    package = tmp_path / "sglang"
    package.mkdir(exist_ok=True)
    (package / "norm.py").write_text(NORM)
    files = Files(package)
    objects = Objects(files, ModelTree(None, FLASHINFER, None))  # type: ignore[arg-type]
    made = objects.of_class(f"sglang.norm.{cls}")
    assert made is not None
    state = given.pop("state", None)
    walker = Walker(files, objects, state or {}, decided=state is not None)
    found = made.method(method)
    assert found is not None
    walker.call(found, [], given)
    return walker


def test_both_branches_with_their_tests(tmp_path: Path) -> None:
    events = walked(tmp_path, "Norm", "forward_cuda").events
    assert [(it.name, " and ".join(map(str, it.conditions))) for it in events] == [
        ("sgl_kernel.fused_add_rmsnorm", "not (x.numel() == 0) and residual is not None"),
        ("sgl_kernel.rmsnorm", "not (x.numel() == 0) and not (residual is not None)"),
    ]
    assert str(events[1].place) == "sglang/norm.py:20"
    assert events[1].snippet == "return rmsnorm(x)"


@pytest.mark.parametrize(
    ("residual", "kernel"),
    [(None, "sgl_kernel.rmsnorm"), (SOMETHING, "sgl_kernel.fused_add_rmsnorm")],
)
def test_a_residual_decides(tmp_path: Path, residual: Any, kernel: str) -> None:
    served = situation("decode", cached_prefix=False, sampling="greedy", backend="flashinfer")
    walker = walked(tmp_path, "Norm", "forward_cuda", residual=residual, state=served)
    assert [it.name for it in walker.events] == [kernel]


@pytest.mark.parametrize(
    ("mode", "kernel"), [("decode", "sgl_kernel.rmsnorm"), ("prefill", "flashinfer.norm.layernorm")]
)
def test_inherited_methods_and_imports_inside(tmp_path: Path, mode: str, kernel: str) -> None:
    served = situation(mode, cached_prefix=False, sampling="greedy", backend="flashinfer")
    walker = walked(tmp_path, "Derived", "forward", state=served)
    assert [it.name for it in walker.events] == [kernel]


@pytest.mark.parametrize(
    ("test", "truth"),
    [
        ("_is_cuda", True),
        ("_is_hip or _is_npu", False),
        ("_is_cuda and flag", None),
        ("_use_aiter and flag", False),
        ("not _is_cpu", True),
        ("is_in_graph()", None),
        ("is_input", None),
    ],
)
def test_platforms(test: str, truth: bool | None) -> None:
    assert platform_truth(ast.parse(test, mode="eval").body) is truth


def real_tree(config: dict[str, Any], profile: ServingProfile) -> tuple[ModelTree, SglangSource]:
    sglang, transformers = os.environ.get("FIB_SGLANG"), os.environ.get("FIB_TRANSFORMERS")
    if not sglang or not transformers:
        pytest.skip("FIB_SGLANG and FIB_TRANSFORMERS name folders of unpacked wheels")
    source = find_sglang(sglang)
    return build_tree(config, source, profile, transformers=Path(transformers)), source


LLAMA = {
    **{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256},
    **{"hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8},
    **{"intermediate_size": 14336, "num_hidden_layers": 2, "head_dim": 128},
    **{"rms_norm_eps": 1e-5, "hidden_act": "silu", "torch_dtype": "bfloat16"},
    **{"max_position_embeddings": 131072, "rope_theta": 500000.0, "tie_word_embeddings": False},
}
DSV3 = {
    **{"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3"},
    **{"hidden_size": 7168, "num_attention_heads": 128, "num_key_value_heads": 128},
    **{"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64},
    **{"v_head_dim": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048},
    **{"n_routed_experts": 32, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8},
    **{"topk_group": 4, "first_k_dense_replace": 1, "moe_layer_freq": 1, "vocab_size": 129280},
    **{"topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True},
    **{"routed_scaling_factor": 2.5, "num_hidden_layers": 2, "rms_norm_eps": 1e-6},
    **{"hidden_act": "silu", "torch_dtype": "bfloat16", "max_position_embeddings": 163840},
    **{"rope_theta": 10000, "tie_word_embeddings": False},
}
CONFIGS = {"llama": LLAMA, "dsv3": DSV3}


@pytest.mark.parametrize("kind", ["decode", "prefill", "prefill_cached"])
@pytest.mark.parametrize("model", sorted(CONFIGS))
def test_predicted_calls_are_those_of_the_dumps(model: str, kind: str) -> None:
    tree, source = real_tree(CONFIGS[model], FLASHINFER)
    if source.version != "0.5.13":
        pytest.skip("the dumps are of SGLang 0.5.13")
    seen = json.loads((DATA / f"{model}.json").read_text())[kind]["calls"]
    expected = Counter({(name, _sizes(sizes)): number for name, sizes, number in seen})
    mode: Literal["decode", "prefill"] = "decode" if kind == "decode" else "prefill"
    cached = kind == "prefill_cached"
    found = flashinfer_calls(tree, FLASHINFER, mode, cached_prefix=cached, sampling="min_p")
    plain = Counter[Any]()
    for (name, sizes), number in found.items():
        plain[name, None if name.endswith(".plan") else sizes] += number
    assert plain == expected


def _sizes(rows: list[list[Any]] | None) -> tuple[tuple[str, int], ...] | None:
    return None if rows is None else tuple((name, size) for name, size in rows)


@pytest.mark.parametrize("model", sorted(CONFIGS))
def test_every_call_is_in_the_source_at_its_place(model: str) -> None:
    tree, source = real_tree(CONFIGS[model], FLASHINFER)
    calls = kernel_calls(tree, source, FLASHINFER)
    assert len(calls) > 20
    wrong = [it for it in calls if not _names(source, it)]
    assert not wrong
    leaves = {path for path, it in tree.root.walk() if it.role in ("norm", "attention", "linear")}
    assert leaves <= {it.module for it in calls}


def _names(source: SglangSource, call: KernelCall) -> bool:
    """Whether a call begins on that line whose text names the kernel, or an alias of it."""
    tree = ast.parse((source.package.parent / call.place.file).read_text())
    calls = [
        it for it in ast.walk(tree) if isinstance(it, ast.Call) and it.lineno == call.place.line
    ]
    last = call.kernel.rpartition(".")[2]
    texts = [ast.unparse(it) for it in calls]
    return any(last in it for it in texts) or _renamed(
        tree, [it.partition("(")[0] for it in texts], last
    )


def _renamed(tree: ast.AST, called: list[str], last: str) -> bool:
    imports = (it for it in ast.walk(tree) if isinstance(it, ast.ImportFrom))
    names = {alias.asname: alias.name for it in imports for alias in it.names}
    return any(names.get(name) == last for name in called)
