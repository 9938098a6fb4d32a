"""Calls of a serving run as bindings take them: `run` with its `plan`, and what the layer knows.

Engines call wrappers through methods that set `causal` and the softmax scale on them and are not
logged. They come from a log of those methods where there is one (`forward_calls.jsonl`), else from
the model's layers. A prompt with a cached prefix is split into causal attention to itself and
attention to the prefix, whose results are merged: the second part is not causal.
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flashinfer_bench.models.tree import ModuleNode
from flashinfer_bench.ops.binding import Call
from flashinfer_bench.workloads.dump_reader import DumpedCall, DumpProblem
from flashinfer_bench.workloads.dumped_tensors import DumpedTensor

FORWARDS = "forward_calls.jsonl"
_OWN = "WithRaggedKVCache"
"""In the name of attention of prompts to themselves."""


@dataclass(frozen=True)
class ServedCall:
    """A call, and where it stands in the dump."""

    call: Call
    dumped: DumpedCall
    is_stated: bool = False
    """Whether what the layer knows was logged."""


@dataclass
class _Process:
    """What one process did so far."""

    plans: dict[int | None, dict[str, Any]] = field(default_factory=dict)
    layouts: dict[int | None, Any] = field(default_factory=dict)
    parts: list[ServedCall] = field(default_factory=list)
    """Runs that may be merged."""


def served_calls(
    root: Path, calls: Iterable[DumpedCall | DumpProblem], model: ModuleNode | None = None
) -> Iterator[ServedCall | DumpProblem]:
    """Calls but those of `__init__` and `plan`, in their order as far as parts are not held."""
    forwards, facts = _forwards(root / FORWARDS), layer_facts(model)
    processes: dict[int, _Process] = defaultdict(_Process)
    for it in calls:
        if isinstance(it, DumpProblem):
            yield it
            continue
        process = processes[it.process]
        if it.method == "__init__":
            process.plans.pop(it.instance, None)
            process.layouts[it.instance] = it.arguments.get("kv_layout")
        elif it.method == "plan":
            process.plans[it.instance] = _as_torch(it.arguments)
        else:
            queue = forwards[it.process, it.instance]
            yield from _ran(process, it, queue.popleft() if queue else None, facts)
    for process in processes.values():
        yield from _parts(process.parts)


def _ran(
    process: _Process, it: DumpedCall, stated: Mapping[str, Any] | None, facts: list[_Facts]
) -> Iterator[ServedCall]:
    plan = process.plans.get(it.instance, {}) if it.instance is not None else {}
    call = Call(it.api, _as_torch(it.arguments), plan)
    layer = dict(stated) if stated is not None else _layer(call, facts)
    if process.layouts.get(it.instance):
        layer["kv_layout"] = process.layouts[it.instance]
    served = ServedCall(replace(call, layer=layer), it, stated is not None)
    if it.arguments.get("return_lse") and it.instance is not None:
        process.parts.append(served)
        return
    yield from _parts(process.parts)
    process.parts.clear()
    yield served


def _parts(parts: list[ServedCall]) -> Iterator[ServedCall]:
    """Where prompts attend to themselves and, in calls of their own, to a prefix, those are not
    causal; the merge that follows may not be in the dump."""
    split = any(_OWN in it.call.api for it in parts) and any(
        _OWN not in it.call.api for it in parts
    )
    for it in parts:
        told = {"causal": _OWN in it.call.api} if split and not it.is_stated else {}
        yield replace(it, call=replace(it.call, layer={**it.call.layer, **told}))


_Facts = dict[str, Any]


def layer_facts(root: ModuleNode | None) -> list[_Facts]:
    """Of each kind of attention layer of a model."""
    found: list[_Facts] = []
    for _, node in root.walk() if root else ():
        if node.role == "attention" and node.facts not in found:
            found.append(dict(node.facts))
    return found


def _layer(call: Call, facts: list[_Facts]) -> dict[str, Any]:
    """What all layers of the call's sizes agree on; what the plan states stays the plan's."""
    q = call.run.get("q")
    if q is None or len(getattr(q, "shape", ())) != 3:
        return {}
    heads, width = int(q.shape[1]), int(q.shape[2])
    same = [it for it in facts if (it["tp_q_head_num"], it["qk_head_dim"]) == (heads, width)]
    found = {
        "causal": _agreed(it["attn_type"] == "decoder" for it in same),
        "sm_scale": _agreed(it["scaling"] for it in same),
        "window_left": _agreed(it["sliding_window_size"] for it in same),
        "logits_soft_cap": _agreed(it["logit_cap"] for it in same),
    }
    return {key: it for key, it in found.items() if it is not None and call.plan.get(key) is None}


def _agreed(values: Iterator[Any]) -> Any:
    """The only value; None where there is none, or several."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else None


def _as_torch(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tensor(it) for name, it in arguments.items()}


def _tensor(value: Any) -> Any:
    if isinstance(value, DumpedTensor):
        return value.as_torch()
    if isinstance(value, tuple):
        return tuple(map(_tensor, value))
    if isinstance(value, dict):
        return {key: _tensor(it) for key, it in value.items()}
    return value


def _forwards(path: Path) -> dict[tuple[int, int | None], deque[dict[str, Any]]]:
    """What was set on each wrapper before its runs, in order."""
    found: dict[tuple[int, int | None], deque[dict[str, Any]]] = defaultdict(deque)
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            call = json.loads(line)
            facts = {name: ast.literal_eval(it) for name, it in call["kwargs"].items()}
            found[call["pid"], call["self_id"]].append(facts)
        except (ValueError, KeyError, SyntaxError, AttributeError):
            continue  # cut short; the run falls back on the model's layers
    return found


__all__ = ["ServedCall", "layer_facts", "served_calls"]
