"""Workloads of a model's definitions from simulated serving.

Page tables and offsets are those of the simulated steps; other structure is drawn by the operation.
A definition's calls of a step are as many as the model has layers of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flashinfer_bench.data.definition import Definition
from flashinfer_bench.models.definitions.mapping import LayerDefinition, MappedLayer
from flashinfer_bench.ops.binding import Bound
from flashinfer_bench.ops.contract import Operation
from flashinfer_bench.ops.draw import Draw
from flashinfer_bench.ops.emit import emit
from flashinfer_bench.ops.registry import parse_name
from flashinfer_bench.workloads.sanitizer import Kept, workload_of
from flashinfer_bench.workloads.selection import MOST, merged, spread
from flashinfer_bench.workloads.simulation import Engine, Step

_PER_REQUEST = ("gqa_paged", "mla_paged", "gdn", "mamba_ssu", "sampling", "dsa_paged")
"""Op types whose batch is one of requests; of others it is one of tokens."""
_PLAIN = "without a residual"
_STRUCTURE = {"qo_indptr", "kv_indptr", "cu_seqlens", "positions", "seq_lens"}
"""Inputs that say more of a step than how much is computed."""
_MODES = {
    "decode": lambda it: it.mode == "decode",
    "prefill": lambda it: it.mode == "prefill",
    "prefill with a cached prefix": lambda it: it.mode == "prefill" and it.has_prefix,
    "prefill without a cached prefix": lambda it: it.mode == "prefill" and not it.has_prefix,
}
"""Condition of a layer's definition -> the steps in which it holds; others hold in all."""


@dataclass(frozen=True)
class Batch:
    """A step as a definition meets it."""

    step: Step
    engine: Engine
    tokens: int
    """Rows of a matrix: tokens, or requests where only last tokens are computed."""
    definition: Definition

    @cached_property
    def key(self) -> tuple[float, ...]:
        """Coordinates among other batches, of what the definition has."""
        if not self.definition.inputs.keys() & _STRUCTURE and not self._per_request:
            return (math.log2(1 + self.tokens),)
        if not self.definition.inputs.keys() & _STRUCTURE:
            return (math.log2(1 + len(self.step.rows)),)
        lengths = [it.length for it in self.step.rows]
        queries = [it.queries for it in self.step.rows]
        values = (self.tokens, len(lengths), min(lengths), sum(lengths), max(lengths), max(queries))
        return tuple(math.log2(1 + it) for it in values)

    @property
    def structure(self) -> dict[str, list[int]]:
        """Offsets and page tables, by the names of inputs."""
        rows, page = self.step.rows, self.engine.page_size
        queries = _offsets(it.queries for it in rows)
        ragged = "total_kv" in self.definition.axes
        return {
            **{"qo_indptr": queries, "cu_seqlens": queries},
            "kv_indptr": queries if ragged else _offsets(len(it.pages) for it in rows),
            "kv_indices": [page for it in rows for page in it.pages],
            "kv_last_page_len": [(it.length - 1) % page + 1 for it in rows],
            "positions": [at for it in rows for at in range(it.length - it.queries, it.length)],
            "seq_lens": [it.length for it in rows],
        }

    @property
    def _per_request(self) -> bool:
        return self.definition.op_type in _PER_REQUEST

    def lengths(self) -> dict[str, int]:
        """Of variable axes, whichever a definition has."""
        rows = self.step.rows
        requests, tokens = len(rows), self.step.tokens
        batch = requests if self._per_request else self.tokens
        most = max(it.length for it in rows)
        return {
            **{"batch_size": batch, "M": self.tokens, "num_tokens": tokens, "total_q": tokens},
            **{"total_kv": tokens, "total_seq_len": tokens, "seq_len": tokens},
            **{"len_indptr": requests + 1, "len_cu_seqlens": requests + 1, "num_seqs": requests},
            "num_kv_indices": sum(len(it.pages) for it in rows),
            **{"num_pages": self.engine.pages, "max_num_pages": -(-most // self.engine.page_size)},
            **{"pool_size": self.engine.max_requests, "state_cache_size": self.engine.max_requests},
            "max_seq_len": max(4096, 1 << (most - 1).bit_length()),
        }


def simulated(
    layers: Sequence[MappedLayer],
    wanted: Iterable[str],
    steps: Sequence[Step],
    engine: Engine,
    most: int = MOST,
) -> tuple[dict[str, list[Kept]], dict[str, int]]:
    """Workloads of the definitions, at most so many of each, and how many calls each one had."""
    found: dict[str, list[Kept]] = {}
    calls: dict[str, int] = {}
    for name in wanted:
        batches = _batches(layers, name, steps, engine)
        calls[name] = sum(weight for _, weight in batches.values())
        rows = sorted(batches.values(), key=lambda it: (-it[1], it[0].key))
        points = [batch.key for batch, _ in rows]
        chosen = spread(points, [float(weight) for _, weight in rows], most) if rows else []
        facts = _facts(layers, name)
        kept = (_kept(name, rows[at][0], weight, facts) for at, weight in chosen)
        found[name] = list(merged(kept).get(name, {}).values())
    return {name: it for name, it in found.items() if it}, {k: v for k, v in calls.items() if v}


def _batches(
    layers: Sequence[MappedLayer], name: str, steps: Sequence[Step], engine: Engine
) -> dict[tuple[float, ...], tuple[Batch, int]]:
    """Batches that differ, each with its number of calls."""
    found: dict[tuple[float, ...], tuple[Batch, int]] = {}
    emitted = emit(*parse_name(name))
    plain = (it.path for it in layers for that in it.definitions if that.when == _PLAIN)
    first = next(plain, None)
    for layer in layers:
        for definition in layer.definitions:
            if definition.exact != name:
                continue
            count = _count(layer, definition, first)
            if not count:
                continue
            heads = _heads(layer, layers)
            for step in filter(_MODES.get(definition.when, lambda it: True), steps):
                batch = Batch(step, engine, heads * _rows(layer, definition, step), emitted)
                known, weight = found.get(batch.key, (batch, 0))
                found[batch.key] = (known, weight + count)
    return found


def _count(layer: MappedLayer, definition: LayerDefinition, first: str | None) -> int:
    """Calls in a step: only the very first layer has no residual yet."""
    if definition.when == _PLAIN:
        return int(layer.path == first)
    alone = definition.when == "with a residual" and layer.path == first
    return layer.node.count - int(alone)


def _rows(layer: MappedLayer, definition: LayerDefinition, step: Step) -> int:
    """Last tokens only behind the model, where one token of each request is drawn."""
    last_only = layer.node.role == "embedding" or definition.when == "sampling"
    return len(step.rows) if last_only else step.tokens


def _heads(layer: MappedLayer, layers: Sequence[MappedLayer]) -> int:
    """Rows of a token: norms of single heads see one for each head of their attention."""
    beside = layer.path.rpartition(".")[0]
    attention = [it.node.facts for it in layers if it.node.role == "attention"
                 and it.path.rpartition(".")[0] == beside]  # fmt: skip
    size = layer.node.facts.get("hidden_size") if layer.node.role == "norm" else None
    if not attention or size != attention[0]["qk_head_dim"]:
        return 1
    of_queries = layer.node.name.startswith("q")
    return int(attention[0]["tp_q_head_num" if of_queries else "tp_k_head_num"])


def _facts(layers: Sequence[MappedLayer], name: str) -> Mapping[str, Any]:
    """What layers of a definition know, such as the scale of attention."""
    named = [it for it in layers if any(other.exact == name for other in it.definitions)]
    others = [it.node.facts for it in layers if it.node.role in ("attention", "routing")]
    facts = [*others, *(it.node.facts for it in named[:1])]
    return {key: value for it in facts for key, value in it.items()}


def _kept(name: str, batch: Batch, weight: float, facts: Mapping[str, Any]) -> Kept:
    operation, constants = parse_name(name)
    inputs = _inputs(operation, batch.definition, constants, batch, facts)
    bound = Bound(dict(constants), inputs, frozenset())
    kept = workload_of(batch.definition, bound, f"simulated {batch.step.mode}", source="simulated")
    return replace(kept, workload=kept.workload.model_copy(update={"weight": weight}))


def _inputs(
    operation: Operation,
    definition: Definition,
    constants: Mapping[str, int],
    batch: Batch,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Structure of the step, numbers of the layer, and stand-ins for what is drawn later."""
    import torch

    lengths = batch.lengths()
    lengths["num_qo_heads"] = facts.get("tp_q_head_num") or 1
    lengths["num_kv_heads"] = facts.get("tp_k_head_num") or 1
    sizes = {axis: constants.get(axis, lengths.get(axis, 1)) for axis in definition.axes}
    sizes.update({k: v for k, v in operation.interface(constants).axes.items() if v is not None})
    scalars = {
        **{"sm_scale": facts.get("scaling"), "local_expert_offset": 0},
        "routed_scaling_factor": float(facts.get("routed_scaling_factor") or 1),
        "scale": (facts.get("head_k_dim") or 1) ** -0.5,
    }
    structure, drawn = batch.structure, dict[str, Any]()
    found: dict[str, Any] = {}
    for key, spec in definition.inputs.items():
        dtype = getattr(torch, spec.dtype.value)
        if spec.shape is None:
            value = scalars.get(key)
            found[key] = (
                value if value is not None else _drawn(operation, constants, sizes, drawn)[key]
            )
        elif key in structure:
            found[key] = torch.tensor(structure[key], dtype=dtype)
        elif dtype in (torch.int32, torch.int64):
            found[key] = _drawn(operation, constants, sizes, drawn)[key]
        else:
            shape = [sizes[axis] for axis in spec.shape]
            found[key] = torch.empty(shape, dtype=dtype, device="meta")
    return found


def _drawn(
    operation: Operation,
    constants: Mapping[str, int],
    sizes: Mapping[str, int],
    held: dict[str, Any],
) -> dict[str, Any]:
    """Valid values of the operation's own, made once."""
    if not held:
        held.update(operation.make_inputs(Draw(0), constants, sizes))
    return held


def _offsets(lengths: Iterable[int]) -> list[int]:
    total, found = 0, [0]
    for length in lengths:
        total += length
        found.append(total)
    return found


__all__ = ["Batch", "simulated"]
