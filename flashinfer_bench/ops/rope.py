"""Rotary position embedding from a table of cosines and sines, in both pairings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flashinfer_bench.ops.binding import Argument, Binding, Call, Refused
from flashinfer_bench.ops.checks import Numeric
from flashinfer_bench.ops.contract import (
    Constants,
    Cost,
    Example,
    Interface,
    Lengths,
    Operation,
    Tensor,
)
from flashinfer_bench.ops.naming import Naming

if TYPE_CHECKING:
    import torch

    from flashinfer_bench.ops.draw import Draw

DTYPE = "bfloat16"
_THETA = 1e4
_TABLE = "for each position the cosines of its rotary_dim / 2 angles, then the sines"


def rope_with_cos_sin_cache_neox_style(  # type: ignore[no-untyped-def]
    q, k, cos_sin_cache, positions, dtype=None
):
    import torch

    cos, sin = cos_sin_cache[positions].to(dtype or torch.float32).unsqueeze(1).chunk(2, dim=-1)
    return _rotate_halves(q, cos, sin), _rotate_halves(k, cos, sin)  # type: ignore[no-untyped-call]


def _rotate_halves(x, cos, sin):  # type: ignore[no-untyped-def]
    import torch

    x = x.to(cos.dtype)
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), dim=-1)


def rope_with_cos_sin_cache_gptj_style(  # type: ignore[no-untyped-def]
    q, k, cos_sin_cache, positions, dtype=None
):
    import torch

    cos, sin = cos_sin_cache[positions].to(dtype or torch.float32).unsqueeze(1).chunk(2, dim=-1)
    return _rotate_pairs(q, cos, sin), _rotate_pairs(k, cos, sin)  # type: ignore[no-untyped-call]


def _rotate_pairs(x, cos, sin):  # type: ignore[no-untyped-def]
    import torch

    x = x.to(cos.dtype)
    rotary_dim = 2 * cos.shape[-1]
    even, odd, rest = x[..., :rotary_dim:2], x[..., 1:rotary_dim:2], x[..., rotary_dim:]
    pairs = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
    return torch.cat((pairs.flatten(-2), rest), dim=-1)


def _interface(constants: Constants) -> Interface:
    q = Tensor(("num_tokens", "num_qo_heads", "head_size"), DTYPE)
    k = Tensor(("num_tokens", "num_kv_heads", "head_size"), DTYPE)
    return Interface(
        axes={
            "num_tokens": None,
            "num_qo_heads": None,
            "num_kv_heads": None,
            "head_size": constants["head_size"],
            "rotary_dim": constants["rotary_dim"],
            "max_seq_len": None,
        },
        inputs={
            "q": q,
            "k": k,
            "cos_sin_cache": Tensor(("max_seq_len", "rotary_dim"), "float32", _TABLE),
            "positions": Tensor(("num_tokens",), "int64", "each token's row of cos_sin_cache"),
        },
        outputs={"q_out": q, "k_out": k},
    )


def _make_inputs(draw: Draw, constants: Constants, lengths: Lengths) -> dict[str, Any]:
    """Positions in any order: repeated ones, and always the first and the last of the table."""
    import torch

    tokens, table = lengths["num_tokens"], lengths["max_seq_len"]
    states = {
        name: draw.normal((tokens, lengths[heads], constants["head_size"]), torch.bfloat16)
        for name, heads in (("q", "num_qo_heads"), ("k", "num_kv_heads"))
    }
    positions = draw.integers(0, table - 1, tokens)
    positions[tokens // 2 :] = positions[: tokens - tokens // 2].clone()
    for position in (0, table - 1)[: tokens - 1]:
        positions[draw.integer(0, tokens - 1)] = position
    cache = cos_sin_cache(table, constants["rotary_dim"]).clone()
    return {
        **states,
        "cos_sin_cache": cache.to(draw.device),
        "positions": positions.to(draw.device),
    }


@lru_cache(maxsize=2)
def cos_sin_cache(max_seq_len: int, rotary_dim: int) -> torch.Tensor:
    """[max_seq_len, rotary_dim] float32: cosines, then sines, of theta = 10,000.

    Angles are exact products of frequencies of 32 bits after the point, and values are rounded to
    16 bits after the point, so that last bits of `pow` and `cos` do not show.
    """
    import torch

    pairs = rotary_dim // 2
    grid = 2.0**32
    frequencies = [round(grid * _THETA ** (-i / pairs)) / grid for i in range(pairs)]
    angles = torch.arange(max_seq_len, dtype=torch.float64)[:, None] * torch.tensor(
        frequencies, dtype=torch.float64
    )
    table = torch.cat((angles.cos(), angles.sin()), dim=-1)
    return ((table * 2**16).round() / 2**16).float()


def _draw_lengths(draw: Draw, constants: Constants) -> dict[str, int]:
    groups, kv_heads = draw.choice((1, 2, 4, 6, 8)), draw.choice((1, 2, 4, 8))
    return {
        "num_tokens": draw.choice((1, 2, 3, 7, 16, 33, 64)),
        "num_qo_heads": groups * kv_heads,
        "num_kv_heads": kv_heads,
        "max_seq_len": draw.choice((1, 100, 512, 4096)),
    }


def _cost(constants: Constants, lengths: Lengths) -> Cost:
    tokens = lengths["num_tokens"]
    heads = lengths["num_qo_heads"] + lengths["num_kv_heads"]
    rows = min(tokens, lengths["max_seq_len"])
    states = 2 * 2 * tokens * heads * constants["head_size"]
    table = 4 * rows * constants["rotary_dim"]
    return Cost(states + table + 8 * tokens, 3 * tokens * heads * constants["rotary_dim"])


def _by_head(states: Any, call: Call) -> Any:
    """Query or key, flat in the call, with an axis of heads."""
    if len(states.shape) == 3:
        return states
    tokens, elements = states.shape
    return states.reshape(tokens, elements // call.run["head_size"], call.run["head_size"])


def _binding(is_neox: bool) -> Binding:
    inputs = {
        "q": Argument("run", "query", view=_by_head),
        "k": Argument("run", "key", view=_by_head),
        "cos_sin_cache": Argument("run", "cos_sin_cache"),
        "positions": Argument("run", "positions"),
    }
    apis = (
        "flashinfer.rope.apply_rope_with_cos_sin_cache_inplace",
        "flashinfer.rope.apply_rope_with_cos_sin_cache",
    )
    note = "the inplace form overwrites query and key with the outputs; the other returns them"
    return Binding(apis, inputs, _recognise(is_neox), note=note)


def _recognise(is_neox: bool) -> Callable[[Call], Mapping[str, int]]:
    def recognise(call: Call) -> Mapping[str, int]:
        if bool(call.get("run", "is_neox", True)) is not is_neox:
            raise Refused(f"{call.api}: is_neox is {not is_neox}; {is_neox} expected")
        size, table = call.get("run", "head_size"), call.get("run", "cos_sin_cache")
        if size is None or table is None:
            raise Refused(f"{call.api}: head_size and cos_sin_cache expected")
        _require_dtype(call, "cos_sin_cache", "float32")
        for name in ("query", "key"):
            _require_dtype(call, name, DTYPE)
            shape = call.run[name].shape
            flat = len(shape) == 2 and shape[1] % size == 0
            if not flat and not (len(shape) == 3 and shape[2] == size):
                raise Refused(
                    f"{call.api}: {name} has shape {list(shape)}; [tokens, heads * {size}] expected"
                )
        return {"head_size": int(size), "rotary_dim": int(table.shape[1])}

    return recognise


def _require_dtype(call: Call, name: str, dtype: str) -> None:
    if call.get("run", name) is None:
        raise Refused(f"{call.api}: run was given no {name!r}")
    found = str(call.run[name].dtype)
    if found.rpartition(".")[2] != dtype:
        raise Refused(f"{call.api}: {name} is {found}; {dtype} expected")


NEOX = _binding(is_neox=True)
GPTJ = _binding(is_neox=False)


def _operation(
    style: str,
    pairing: str,
    reference: Callable[..., Any],
    binding: Binding,
    sizes: str,
    lengths: Mapping[str, int],
    of: str,
) -> Operation:
    kind = f"rope_with_cos_sin_cache_{style}_style"
    return Operation(
        op_type="rope",
        kind=kind,
        summary=f"Queries and keys rotated by position, {pairing}; cosines and sines from a table.",
        naming=Naming(f"{kind}_d{{head_size}}_rd{{rotary_dim}}"),
        interface=_interface,
        reference=reference,
        make_inputs=_make_inputs,
        draw_lengths=_draw_lengths,
        check=Numeric(),
        cost=_cost,
        binding=binding,
        example=Example(f"{kind}_{sizes}", lengths, of),
        requires=("rotary_dim % 2 == 0", "rotary_dim <= head_size"),
    )


OPERATIONS = (
    _operation(
        "neox",
        "first half with second half",
        rope_with_cos_sin_cache_neox_style,
        NEOX,
        "d128_rd128",
        {"num_tokens": 4096, "num_qo_heads": 32, "num_kv_heads": 8, "max_seq_len": 8192},
        "Llama 3.1 8B, 4,096 tokens",
    ),
    _operation(
        "gptj",
        "even with odd dimensions",
        rope_with_cos_sin_cache_gptj_style,
        GPTJ,
        "d64_rd64",
        {"num_tokens": 4096, "num_qo_heads": 16, "num_kv_heads": 1, "max_seq_len": 8192},
        "DeepSeek V3 at tensor parallel 8, 4,096 tokens",
    ),
)
