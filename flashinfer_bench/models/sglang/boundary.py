"""Where the evaluation of SGLang's source ends: stand-ins, inert machinery and leaf layers."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.functions import Parameters, read_parameters
from flashinfer_bench.models.evaluator.scope import Scope
from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.sglang.dtypes import DTYPES
from flashinfer_bench.models.sglang.leaves import LEAF_FUNCTIONS, LEAVES, Leaf, Made
from flashinfer_bench.models.sglang.settings import Group, Platform, Settings
from flashinfer_bench.models.sglang.tensors import Net, Parameter, Tensor

_INERT = (
    *("batch_overlap", "elastic_ep", "eplb", "hardware_backend", "lora", "managers", "mem_cache"),
    *("model_executor", "layers.communicator", "layers.attention.tbo"),
    *("layers.deep_gemm_wrapper", "layers.amx_utils", "layers.flashinfer_comm_fusion"),
    *("debug_utils", "compilation", "utils.custom_op", "model_loader"),
    *("layers.cp", "layers.dcp", "layers.aux_hidden_states", "layers.dual_gemm", "disaggregation"),
    *("layers.quantization.fp8_activation", "layers.moe.token_dispatcher", "observability"),
    *("layers.moe.kt_ep_wrapper", "single_batch_overlap", "two_batch_overlap", "connector"),
)
INERT = (*(f"sglang.srt.{name}" for name in _INERT), "sglang.jit_kernel")
"""Packages on whose own functions and classes no shape depends."""
NOT_INERT = ("sglang.srt.model_loader.utils",)
"""Of those, modules that decide something: which class serves an architecture."""
INERT_NAMES = (
    *("append_stages", "layer_stack", "check_declared_stages", "install_cutedsl_fusion"),
    *("_init_on_device_without_buffers", "init_on_device_without_buffers"),
)
"""Functions, in whichever module of SGLang, on which no shape depends."""
PARALLEL_SIZES = {
    "get_tensor_model_parallel_world_size": "tp_size",
    "get_attention_tp_size": "attn_tp_size",
    "get_moe_expert_parallel_world_size": "moe_ep_size",
    "get_moe_tensor_parallel_world_size": "moe_tp_size",
    "get_moe_data_parallel_world_size": "moe_dp_size",
    "get_pipeline_model_parallel_world_size": "pp_size",
    "get_attention_cp_size": "attn_cp_size",
    "get_attention_dp_size": "attn_dp_size",
    "get_attn_tensor_model_parallel_world_size": "attn_tp_size",
    "get_attn_context_model_parallel_world_size": "attn_cp_size",
    "get_dcp_world_size": "dcp_size",
    "get_context_parallel_world_size": "cp_size",
}
"""Functions of SGLang, in whichever module -> the size they return."""
ACCESSORS = (
    *("get_parallel", "get_device", "get_model", "get_exec", "get_schedule", "get_memory"),
    *("get_spec", "get_lora", "get_mm", "get_disagg", "get_serving", "get_observability"),
    *("get_server_args", "get_global_server_args"),
)
"""Functions of SGLang that give its run-time settings."""
CHOSEN = {
    "get_moe_runner_backend": ("MoeRunnerBackend", "moe_runner_backend"),
    "get_moe_a2a_backend": ("MoeA2ABackend", "moe_a2a_backend"),
}
"""Functions that give a server argument as an enumeration of the same module."""


class SglangBoundary:
    """What stands for torch, transformers, run-time machinery and leaf layers."""

    def __init__(
        self, stand_ins: Mapping[str, Any], settings: Settings, platform: Platform, dtype: str
    ) -> None:
        self._of_leaves = {"settings": settings, "default_dtype": DTYPES[dtype]}
        self.stand_ins, self.settings, self.platform = stand_ins, settings, platform
        self.evaluator: Evaluator
        self._leaves: dict[str, type] = {}
        self._built: dict[str, Any] = {}
        """Layers that functions gave, by function and arguments."""
        self._answers: dict[tuple[str, str], Any] = {}
        self._replaced = {
            **{name: lambda: settings for name in ACCESSORS},
            **{name: _returning(settings, size) for name, size in PARALLEL_SIZES.items()},
            "global_server_args_dict": settings,
            "get_platform": lambda: platform,
            "current_platform": platform,
            "is_dp_attention_enabled": lambda: False,
            "get_offloader": _Offloader,
            "log_info_on_rank0": _nothing,
            "print_warning_once": _nothing,
            **{name: Unknown(f"{name} is not evaluated", quiet=True) for name in INERT_NAMES},
            "wrap_method_with_debug_kernel_once": _nothing,
        }

    def module(self, name: str) -> Any:
        return self.stand_ins.get(name)

    def value(self, module: str, name: str) -> Any:
        key = (module, name)
        if key not in self._answers:
            self._answers[key] = self._value(module, name)
        return self._answers[key]

    def _value(self, module: str, name: str) -> Any:
        if not module.startswith("sglang."):
            return NotImplemented
        if name in self._replaced:
            return self._replaced[name]
        if name in CHOSEN and _definition(self.evaluator, module, name) is not None:
            kind, argument = CHOSEN[name]
            return lambda: self._choice(module, kind, argument)
        full = f"{module}.{name}"
        if full in LEAF_FUNCTIONS:
            return self._leaf_function(full)
        if name.endswith("_rank") and name.startswith("get_"):
            return lambda *args: 0
        if name.endswith("_group") and name.startswith("get_"):
            size = name.removeprefix("get_").removesuffix("_group")
            return lambda *args: Group(self.settings.get(f"{size}_size", 1))
        if self._is_inert(module, name):
            return Unknown(f"{full} is not evaluated", quiet=True)
        return NotImplemented

    def _is_inert(self, module: str, name: str) -> bool:
        """Whether machinery defines a name itself, and does not only pass it on."""
        if module in NOT_INERT or not any(_inside(module, it) for it in INERT):
            return False
        found = self.evaluator.find_module(module)
        numbers = found.source.binding.get(name, ())
        nodes = [found.source.parse(number) for number in numbers]
        return bool(nodes) and not any(isinstance(it, ast.ImportFrom) for it in nodes)

    def _choice(self, module: str, kind: str, argument: str) -> Any:
        members = self.evaluator.import_name(module, kind)
        return members(self.settings.get(argument))

    def make_class(
        self, name: str, node: ast.ClassDef, scope: Scope, bases: Sequence[type]
    ) -> type | None:
        leaf = LEAVES.get(name)
        if leaf is None:
            return None
        init = next(
            (it for it in node.body if isinstance(it, ast.FunctionDef) and it.name == "__init__"),
            None,
        )
        parents = tuple(it for it in bases if issubclass(it, LeafNet)) or (LeafNet,)
        body: dict[str, Any] = {"leaf": leaf, "__evaluated__": True, **self._of_leaves}
        body["__place__"] = scope.module.place(node)
        if init is not None:
            body["signature"] = read_parameters(self.evaluator, init.args, scope)
        return LeafType(node.name, parents, body)

    def _leaf_function(self, full: str) -> Any:
        """A function whose calls with equal arguments give the same layer."""
        module, _, name = full.rpartition(".")
        kind, leaf = LEAF_FUNCTIONS[full]
        if full not in self._leaves:
            node = _definition(self.evaluator, module, name)
            if node is None:
                return NotImplemented
            scope = Scope(self.evaluator.import_module(module), {})
            parameters = read_parameters(self.evaluator, node.args, scope)
            start = Parameters(
                ("self", *parameters.positional),
                parameters.keyword_only,
                parameters.rest,
                parameters.keywords,
                parameters.defaults,
            )
            body = {"leaf": leaf, "signature": start, **self._of_leaves}
            self._leaves[full] = LeafType(kind, (LeafNet,), body)

        def build(*args: Any, **keywords: Any) -> Any:
            key = f"{kind} {args!r} {sorted(keywords.items())!r}"
            if key not in self._built:
                self._built[key] = self._leaves[full](*args, **keywords)
            return self._built[key]

        return build


def _definition(evaluator: Evaluator, module: str, name: str) -> Any:
    found = evaluator.find_module(module)
    numbers = found.source.binding.get(name, ()) if found is not None else ()
    nodes = [found.source.parse(number) for number in numbers]
    return next((it for it in nodes if isinstance(it, ast.FunctionDef)), None)


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _returning(settings: Settings, name: str) -> Callable[..., Any]:
    return lambda *args, **keywords: getattr(settings, name)


def _nothing(*args: Any, **keywords: Any) -> None:
    return None


class _Offloader:
    """Leaves layers where they are."""

    def wrap_modules(self, modules: Any, *args: Any, **keywords: Any) -> list[Any]:
        return list(modules)

    def __getattr__(self, name: str) -> Any:
        return Unknown(f"offloader.{name}", quiet=True)


class LeafType(type):
    """Of leaf layers; what a class has beyond its weights is not known."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{cls.__name__}.{name}", quiet=True)


class LeafNet(Net, metaclass=LeafType):
    """A leaf layer: its constructor binds arguments by the source's signature."""

    leaf: Leaf
    settings: Settings
    default_dtype: Any
    signature = Parameters(("self",), (), "args", "keywords", {})

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__()
        given = self.signature.bind(type(self).__name__, (self, *args), keywords)
        given.pop("self", None)
        made = self.leaf.make(SimpleNamespace(**given), self.settings)
        dtype = given.get("params_dtype") or given.get("dtype") or self.default_dtype
        object.__setattr__(self, "facts", dict(made.facts))
        for name, value in {**made.facts, **made.attributes}.items():
            object.__setattr__(self, name, value)
        for name, value in given.items():
            plain = isinstance(value, (int, float, str)) and name not in made.weights
            if plain and name not in self.__dict__:
                object.__setattr__(self, name, value)
        self._make_weights(made, dtype)

    def _make_weights(self, made: Made, dtype: Any) -> None:
        for name, shape in made.weights.items():
            own = made.dtypes.get(name)
            kind = DTYPES[own] if own else dtype
            self.register_parameter(name, shape and Parameter(Tensor(shape, kind)))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return Unknown(f"{type(self).__name__}.{name}", quiet=True)

    def __states__(self, name: str) -> bool:
        return name in self.__dict__ or any(name in self.registry(kind) for kind in Net._kinds)

    def tie_weights(self, other: Any) -> Any:
        self.weight = other.weight
        return self


__all__ = ["LeafNet", "SglangBoundary"]
