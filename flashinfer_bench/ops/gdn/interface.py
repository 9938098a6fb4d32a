"""Axes and tensors of the gated delta rule's operations."""

from __future__ import annotations

from dataclasses import replace

from flashinfer_bench.ops.contract import Constants, Interface, Tensor

DTYPE = "bfloat16"
_LAYOUT = "a matrix [value, key] for each head; {}"
_RULE = "scale S q, after S = decay S + u kᵀ with u = beta (v - decay S k), token by token"
_CONSTRAINTS = (
    "num_v_heads >= num_q_heads",
    "num_v_heads % num_q_heads == 0",
    "num_k_heads == num_q_heads",
)
_SCALE = Tensor(None, "float32", "of the output, usually 1 / sqrt(head_size)")


def _sizes(constants: Constants) -> dict[str, int]:
    heads = constants["num_q_heads"]
    return {
        "num_q_heads": heads,
        "num_k_heads": heads,
        "num_v_heads": constants["num_v_heads"],
        "head_size": constants["head_size"],
    }


def _tokens(*axes: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Queries, keys and values; what the gates are computed from."""
    heads = Tensor(("num_v_heads",), "float32")
    gate = Tensor((*axes, "num_v_heads"), DTYPE)
    as_given = "multiplied as they are: the caller has normalised them to length one"
    shared = "heads that follow one another share a head of q and k"
    qkv = {
        "q": Tensor((*axes, "num_q_heads", "head_size"), DTYPE, as_given),
        "k": Tensor((*axes, "num_k_heads", "head_size"), DTYPE, as_given),
        "v": Tensor((*axes, "num_v_heads", "head_size"), DTYPE, shared),
    }
    decay = replace(heads, description="decay = exp(-exp(A_log) * softplus(a + dt_bias))")
    share = replace(gate, description="beta = sigmoid(b)")
    return qkv, {"A_log": decay, "a": gate, "dt_bias": heads, "b": share}


def _state(axis: str, description: str, optional: bool = False) -> Tensor:
    shape = (axis, "num_v_heads", "head_size", "head_size")
    return Tensor(shape, "float32", description, optional)


def decode_interface(constants: Constants) -> Interface:
    qkv, gates = _tokens("batch_size", "seq_len")
    state = _state("batch_size", _LAYOUT.format("zeros where it is None"), optional=True)
    return Interface(
        axes={"batch_size": None, "seq_len": 1, **_sizes(constants)},
        inputs={**qkv, "state": state, **gates, "scale": _SCALE},
        outputs={
            "output": replace(qkv["v"], description=_RULE),
            "new_state": _state("batch_size", "after the token"),
        },
        constraints=_CONSTRAINTS,
    )


def mtp_interface(constants: Constants) -> Interface:
    qkv, gates = _tokens("batch_size", "seq_len")
    slots = "each request's slot of the pool; no two requests share one"
    between = ("pool_size", "seq_len", "num_v_heads", "head_size", "head_size")
    unused = "a kernel may write the states after each token here; they are no output"
    return Interface(
        axes={"batch_size": None, "seq_len": None, **_sizes(constants), "pool_size": None},
        inputs={
            **qkv,
            "initial_state": _state("pool_size", _LAYOUT.format("each slot holds one request's")),
            "initial_state_indices": Tensor(("batch_size",), "int32", slots),
            **gates,
            "scale": _SCALE,
            "intermediate_states_buffer": Tensor(between, "float32", unused, optional=True),
        },
        outputs={
            "output": replace(qkv["v"], description=_RULE),
            "final_state": _state(
                "pool_size", "slots of requests after their last token, others unchanged"
            ),
        },
        constraints=(*_CONSTRAINTS, "seq_len > 1", "pool_size >= batch_size"),
    )


def prefill_interface(constants: Constants) -> Interface:
    qkv, gates = _tokens("total_seq_len")
    state = _state("num_seqs", _LAYOUT.format("zeros where it is None"), optional=True)
    edges = "where each request's tokens begin, and the end of the last"
    return Interface(
        axes={
            "total_seq_len": None,
            "num_seqs": None,
            **_sizes(constants),
            "len_cu_seqlens": None,
        },
        inputs={
            **qkv,
            "state": state,
            **gates,
            "cu_seqlens": Tensor(("len_cu_seqlens",), "int64", edges),
            "scale": _SCALE,
        },
        outputs={
            "output": replace(qkv["v"], description=_RULE),
            "new_state": _state(
                "num_seqs", "after the last token; a request without tokens keeps its state"
            ),
        },
        constraints=(
            *_CONSTRAINTS,
            "len_cu_seqlens == num_seqs + 1",
            "total_seq_len == cu_seqlens[-1].item()",
        ),
    )


__all__ = ["decode_interface", "mtp_interface", "prefill_interface"]
