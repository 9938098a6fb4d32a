"""FlashInfer called with a definition's inputs: the bindings' map, turned around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from flashinfer_bench.ops.binding import Binding
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.registry import parse_name

WORKSPACE_BYTES = 128 << 20
GROUPS_WITHOUT_TENSOR_CORES = (1, 2, 3, 4, 6, 8)
"""Query heads for each key head that the decode kernel for CUDA cores takes."""

UNBOUND = {"gdn_prefill": "flashinfer.gdn_prefill.chunk_gated_delta_rule"}
"""APIs by operation, where a call's arguments do not hold the inputs but follow from them."""

Inputs = Mapping[str, Any]
Arguments = dict[str, Any]


def is_called(operation: Operation) -> bool:
    """Whether `call_flashinfer` takes the operation."""
    bound = isinstance(operation.binding, Binding)
    return operation.op_type in CALLERS and (bound or operation.kind in UNBOUND)


def call_flashinfer(
    operation: Operation, constants: Mapping[str, int], inputs: Inputs, backend: str = "fa2"
) -> dict[str, Any]:
    """Outputs by name, of the newest API that the operation is bound to.

    `backend` is that of attention: "auto" takes fa3 on a Hopper GPU, which compiles for minutes.
    """
    binding = operation.binding
    if isinstance(binding, Binding):
        api, (plan, run) = binding.apis[0], _arguments(binding, inputs)
    else:
        api, plan, run = UNBOUND[operation.kind], {}, {}
    if operation.kind.endswith("gptj_style"):
        run["is_neox"] = False
    stated = {**constants, "backend": backend}
    results = CALLERS[operation.op_type](api, stated, inputs, plan, run)
    results = results if isinstance(results, tuple) else (results,)
    outputs = operation.interface(constants).outputs
    return {
        name: result.to(getattr(torch, spec.dtype))
        for (name, spec), result in zip(outputs.items(), results, strict=True)
    }


def _arguments(binding: Binding, inputs: Inputs) -> tuple[Arguments, Arguments]:
    """Arguments of plan and of run."""
    steps: dict[str, Arguments] = {"plan": {}, "run": {}}
    for name, argument in binding.inputs.items():
        if name in inputs and argument.item is None:
            steps[argument.step][argument.name] = inputs[name]
        elif name in inputs:
            steps[argument.step].setdefault(argument.name, {})[argument.item] = inputs[name]
    for arguments in steps.values():
        for name, value in arguments.items():
            if isinstance(value, dict):
                arguments[name] = tuple(value[item] for item in sorted(value))
    return steps["plan"], steps["run"]


def _function(api: str) -> Any:
    import importlib

    module, _, name = api.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _wrapper(api: str, **options: Any) -> Any:
    workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device="cuda")
    return _function(api.removesuffix(".run"))(workspace, **options)


def _norm(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    run = {name: value.clone() for name, value in run.items()}
    if "eps_exponent" in constants:
        run["eps"] = 10.0 ** -constants["eps_exponent"]
    output = _function(api)(**run)
    return run["input"] if output is None else output


def _gemm(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    if "A_scale" in inputs:
        return _function(api)(**{**run, "input_scale": _by_columns(inputs["A_scale"])})
    return _function(api)(a=inputs["A"], b=inputs["B"].T, backend="cublaslt")


def _by_columns(scale: torch.Tensor) -> torch.Tensor:
    """The same matrix, columns one after another and each of a multiple of 4 elements."""
    rows, columns = scale.shape
    buffer = scale.new_zeros(columns, -(-rows // 4) * 4)
    buffer[:, :rows] = scale.T
    return buffer.T[:rows]


def _rope(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    query, key = (run.pop(name).flatten(1).clone() for name in ("query", "key"))
    _function(api)(**run, query=query, key=key, head_size=constants["head_size"])
    return query.view_as(inputs["q"]), key.view_as(inputs["k"])


def _sampling(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    return _function(api)(**run)


def _variant(constants: Mapping[str, int]) -> Arguments:
    return {name: constants[name] for name in VARIANTS if name in constants}


VARIANTS = ("window_left", "logits_soft_cap")


def _paged(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    heads, kv_heads = constants["num_qo_heads"], constants["num_kv_heads"]
    sizes = {"num_qo_heads": heads, "num_kv_heads": kv_heads, "q_data_type": torch.bfloat16}
    sizes |= {"page_size": constants.get("page_size", 1), **_variant(constants)}
    decode = "decode" in api
    last = "last_page_len" if decode else "paged_kv_last_page_len"
    plan.setdefault(last, torch.ones_like(inputs["kv_indptr"][1:]))
    if decode:
        few = heads // kv_heads not in GROUPS_WITHOUT_TENSOR_CORES
        wrapper = _wrapper(api, backend=constants["backend"], use_tensor_cores=few)
        wrapper.plan(**plan, **sizes, head_dim=constants["head_dim"])
    else:
        wrapper = _wrapper(api, backend=constants["backend"])
        wrapper.plan(**plan, **sizes, head_dim_qk=constants["head_dim"], causal=True)
    return wrapper.run(**run, return_lse=True)


def _ragged(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    heads, kv_heads = inputs["q"].shape[1], inputs["k"].shape[1]
    wrapper = _wrapper(api, backend=constants["backend"])
    wrapper.plan(
        **plan,
        **_variant(constants),
        num_qo_heads=heads,
        num_kv_heads=kv_heads,
        head_dim_qk=inputs["q"].shape[2],
        head_dim_vo=inputs["v"].shape[2],
        causal=True,
        q_data_type=torch.bfloat16,
    )
    return wrapper.run(**run, return_lse=True)


def _latent(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    page_size = constants.get("page_size", 1)
    pages = inputs["kv_indptr"].diff()
    last = plan.pop("kv_last_page_len", torch.ones_like(pages))
    plan["kv_len_arr"] = torch.where(pages > 0, (pages - 1) * page_size + last, 0).int()
    rows = len(inputs["q_nope"])
    each = torch.arange(rows + 1, dtype=torch.int32, device="cuda")
    wrapper = _wrapper(api, backend=constants["backend"])
    wrapper.plan(
        qo_indptr=plan.pop("qo_indptr", each),
        **plan,
        num_heads=constants["num_qo_heads"],
        head_dim_ckv=constants["head_dim_ckv"],
        head_dim_kpe=constants["head_dim_kpe"],
        page_size=page_size,
        causal="qo_indptr" in inputs,
        q_data_type=torch.bfloat16,
        kv_data_type=torch.bfloat16,
    )
    return wrapper.run(**run, return_lse=True)


def _sparse(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    """The dense wrapper, with pages of one token: on Hopper there is no kernel for chosen slots."""
    valid = inputs["sparse_indices"] >= 0
    edges = torch.nn.functional.pad(valid.sum(-1).cumsum(0), (1, 0)).int()
    caches = {name: inputs[name].flatten(0, 1)[:, None] for name in ("ckv_cache", "kpe_cache")}
    dense = {
        **{name: inputs[name] for name in ("q_nope", "q_pe")},
        **caches,
        "kv_indptr": edges,
        "kv_indices": inputs["sparse_indices"][valid],
        "sm_scale": inputs["sm_scale"],
    }
    operation, _ = parse_name("mla_paged_decode_h16_ckv512_kpe64_ps1")
    outputs = call_flashinfer(operation, {**constants, "page_size": 1}, dense)
    return tuple(outputs.values())


def _selective(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    """Steps, rates and the like as views of one value for each head, which the kernel demands."""
    for name in ("A", "D", "dt", "dt_bias"):
        heads = 2 if name == "dt" else 1
        one = run[name].flatten(heads)[..., :1].contiguous()
        run[name] = one.view(*one.shape[:heads], *[1] * (run[name].dim() - heads))
        run[name] = run[name].expand(inputs[name].shape)
    run["state"] = run["state"].clone()
    return _function(api)(**run, dt_softplus=True), run["state"]


def _delta(api: str, constants: Any, inputs: Inputs, plan: Arguments, run: Arguments) -> Any:
    """Kernels in CuTe DSL, which need nvidia-cutlass-dsl; they change the states that they get."""
    if "cu_seqlens" in inputs:
        return _delta_of_prompts(api, inputs)
    name = "initial_state" if "initial_state" in inputs else "state"
    run[name] = _states(inputs, name, len(inputs["q"]))
    if name == "initial_state":
        run["disable_state_update"] = False
    return _function(api)(**run, use_qk_l2norm=False)


def _delta_of_prompts(api: str, inputs: Inputs) -> Any:
    """States of requests without tokens are not written: they stay as they are put there."""
    step = torch.nn.functional.softplus(inputs["a"].float() + inputs["dt_bias"])
    states = _states(inputs, "state", len(inputs["cu_seqlens"]) - 1)
    return _function(api)(
        **{name: inputs[name] for name in ("q", "k", "v", "cu_seqlens", "scale")},
        g=torch.exp(-torch.exp(inputs["A_log"]) * step),
        beta=torch.sigmoid(inputs["b"].float()),
        initial_state=inputs["state"],
        output_final_state=True,
        output_state=states,
        use_qk_l2norm_in_kernel=False,
    )


def _states(inputs: Inputs, name: str, count: int) -> torch.Tensor:
    """A copy, or zeros where there are none."""
    heads, size = inputs["v"].shape[-2:]
    given: torch.Tensor | None = inputs[name]
    if given is not None:
        return given.clone()
    return torch.zeros(count, heads, size, size, device=inputs["v"].device)


CALLERS: dict[str, Callable[..., Any]] = {
    "rmsnorm": _norm,
    "gemm": _gemm,
    "rope": _rope,
    "sampling": _sampling,
    "gqa_paged": _paged,
    "gqa_ragged": _ragged,
    "mla_paged": _latent,
    "mla_ragged": _ragged,
    "dsa_paged": _sparse,
    "mamba_ssu": _selective,
    "gdn": _delta,
}
