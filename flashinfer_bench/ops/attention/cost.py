"""The least work of one call of an attention operation."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from flashinfer_bench.ops.attention.tensors import axis_lengths
from flashinfer_bench.ops.contract import Constants, Cost, Interface, Lengths, Tensor

_QUERIES = ("batch_size", "total_q")
_KEYS = ("total_kv", "num_pages", "page_size")
_BYTES = {"bfloat16": 2, "float32": 4, "int32": 4}


def attention_cost(
    interface: Interface, constants: Constants, lengths: Lengths, total_kv: int
) -> Cost:
    """The least work, assuming that all requests are of the same length.

    A query and a key that it sees cost one multiply-add for each element of the query and of its
    output; `total_kv` keys with their values are read once.
    """
    requests = lengths["len_indptr"] - 1
    total_q = lengths.get("total_q", requests)
    sizes = {**axis_lengths(interface, lengths), "batch_size": requests}
    one_token = {**sizes, **dict.fromkeys((*_QUERIES, *_KEYS), 1)}
    tensors = [spec for spec in interface.inputs.values() if spec.axes is not None]
    index = [spec for spec in tensors if spec.dtype == "int32"]
    queries = [spec for spec in tensors if spec not in index and _over(spec, _QUERIES)]
    keys = [spec for spec in tensors if spec not in index and _over(spec, _KEYS)]
    seen, pairs = _seen(constants, max(1, requests), total_q, total_kv)
    query_bytes = _bytes([*queries, *interface.outputs.values()], one_token)
    moved = total_q * query_bytes + seen * _bytes(keys, one_token) + _bytes(index, sizes)
    multiply_adds = sum(
        _elements(spec, one_token) for spec in (*queries, interface.outputs["output"])
    )
    return Cost(moved, 2 * pairs * multiply_adds)


def _seen(constants: Constants, requests: int, total_q: int, total_kv: int) -> tuple[int, int]:
    """Keys that any query sees, and pairs of a query and a key that it sees."""
    q, kv = total_q / requests, total_kv / requests
    rows = min(q, kv)  # that see a key
    pairs = requests * (rows * kv - rows * (rows - 1) / 2)
    if "window_left" in constants:
        window = constants["window_left"]
        total_kv = min(total_kv, total_q + requests * window)
        pairs = min(pairs, total_q * (window + 1))
    return total_kv, round(pairs)


def _over(spec: Tensor, axes: tuple[str, ...]) -> bool:
    return spec.axes is not None and spec.axes[0] in axes


def _bytes(tensors: Iterable[Tensor], sizes: Lengths) -> int:
    return sum(_BYTES[spec.dtype] * _elements(spec, sizes) for spec in tensors)


def _elements(spec: Tensor, sizes: Lengths) -> int:
    return prod(sizes[axis] for axis in spec.axes or ())


__all__ = ["attention_cost"]
