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
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from flashinfer_bench.models.quantization import Quantization
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree, build_tree
from flashinfer_bench.models.sglang.kernels import (
    KernelCall,
    flashinfer_calls,
    kernel_calls,
    norm_kinds,
)
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


CHOSEN = """
from functools import partial
from sgl_kernel import fast, plain, small


def dispatch(size):
    if size == 32:
        return partial(run_small, size=size)
    backend = get_backend()
    if backend.is_auto():
        chosen = run_fast
    else:
        chosen = run_plain
    return chosen


def run_small(x, size):
    return small(x)


def run_fast(x):
    return fast(x)


def run_plain(x):
    return plain(x)


class FastKernel:
    def decode(self, x):
        return fast(x)


class PlainKernel:
    def decode(self, x):
        return plain(x)


class TheKernelDispatcher:
    def __init__(self, backend):
        slow = PlainKernel()
        if backend.is_plain():
            self.kernel = slow
        else:
            self.kernel = FastKernel()

    def decode(self, x):
        return self.kernel.decode(x)


class Method:
    def __init__(self, size, backend):
        self.product = dispatch(size)
        self.dispatcher = TheKernelDispatcher(backend)

    def apply(self, x):
        return self.product(x)

    def forward_decode(self, x):
        return self.dispatcher.decode(x)
"""


def walked(tmp_path: Path, cls: str, method: str, *, source: str = NORM, **given: Any) -> Walker:
    package = tmp_path / "sglang"
    package.mkdir(exist_ok=True)
    (package / "norm.py").write_text(source)
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
    ("method", "expected"),
    [
        (
            "apply",
            [
                ("sgl_kernel.small", "size == 32"),
                ("sgl_kernel.fast", "not (size == 32) and backend.is_auto()"),
                ("sgl_kernel.plain", "not (size == 32) and not (backend.is_auto())"),
            ],
        ),
        (
            "forward_decode",
            [
                ("sgl_kernel.plain", "backend.is_plain()"),
                ("sgl_kernel.fast", "not (backend.is_plain())"),
            ],
        ),
    ],
)
def test_what_a_constructor_chooses_is_followed(
    tmp_path: Path, method: str, expected: list[tuple[str, str]]
) -> None:
    events = walked(tmp_path, "Method", method, source=CHOSEN).events
    assert [(it.name, " and ".join(map(str, it.conditions))) for it in events] == expected


def test_the_name_at_the_call_is_told(tmp_path: Path) -> None:
    walker = walked(tmp_path, "Derived", "forward")
    assert {(it.name, it.called_as) for it in walker.events} == {
        ("sgl_kernel.fused_add_rmsnorm", "fused_add_rmsnorm"),
        ("sgl_kernel.rmsnorm", "rmsnorm"),
        ("flashinfer.norm.layernorm", "ln"),
    }


def test_functions_registered_under_a_name(tmp_path: Path) -> None:
    package = tmp_path / "sglang" / "runners"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(
        "@register('none', 'fast')\ndef run(x):\n    return x\n\n"
        "@register('none', 'slow')\ndef other(x):\n    return x\n"
    )
    files = Files(tmp_path / "sglang")
    found = files.decorated("sglang.runners", "register", "fast")
    assert [node.name for _, node in found] == ["run"]


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
    """Whether a call begins on that line whose text has the name that is told."""
    text = (source.package.parent / call.place.file).read_text()
    calls = (it for it in ast.walk(ast.parse(text)) if isinstance(it, ast.Call))
    there = [ast.unparse(it) for it in calls if it.lineno == call.place.line]
    return any(call.called_as in it for it in there)


def test_how_norms_are_reached() -> None:
    tree, source = real_tree(DSV3, FLASHINFER)
    kinds = norm_kinds(tree, source, FLASHINFER)
    first = "model.layers.0"
    assert {path.removeprefix(f"{first}."): it for path, it in kinds.items() if first in path} == {
        "input_layernorm": {"plain", "fused"},
        "post_attention_layernorm": {"fused"},
        "self_attn.q_a_layernorm": {"plain"},
        "self_attn.kv_a_layernorm": {"plain"},
    }
    assert "fused" in kinds["model.norm"]  # 0.5.13 has a branch without a residual too


def test_kernels_of_quantised_layers_and_of_runners() -> None:
    tree, source = real_tree(DSV3, FLASHINFER)
    fp8 = Quantization("fp8", 8, family="fp8_block_scale")
    calls = kernel_calls(tree, source, FLASHINFER, fp8)
    products = {it.flashinfer for it in calls if it.module.endswith("o_proj")}
    assert "flashinfer.gemm.gemm_fp8_nt_groupwise" in products
    profile = replace(FLASHINFER, moe_runner="flashinfer_trtllm")
    apis = {
        it.flashinfer
        for it in kernel_calls(tree, source, profile, fp8)
        if it.module.endswith("experts")
    }
    assert "flashinfer.fused_moe.trtllm_fp8_block_scale_moe" in apis
