"""Reads folders that FlashInfer's logging at level 10 wrote, as calls for the bindings.

A sample may lack tensors; meta tensors of their shape, dtype and stride stand in for them.
"""

from __future__ import annotations

import ast
import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import torch

from flashinfer_bench.ops.binding import Call


def read_calls(folder: Path) -> list[Call]:
    """All completed calls but wrappers' `__init__` and `plan`, in the order they ran."""
    plans: dict[tuple[int, int], dict[str, Any]] = {}
    forwards = _read_forwards(folder / "forward_calls.jsonl")
    calls = []
    for record in _read_records(folder / "session.jsonl"):
        name = record["function_name"]
        wrapper = (record["process_id"], record.get("self_id", 0))
        if name.endswith(".plan"):
            plans[wrapper] = _arguments(record, folder)
        elif not name.endswith(".__init__"):
            layer = forwards[wrapper].popleft() if forwards[wrapper] else {}
            api = f"{record['module']}.{name}"
            calls.append(Call(api, _arguments(record, folder), plans.get(wrapper, {}), layer))
    return calls


def _read_records(path: Path) -> list[dict[str, Any]]:
    """The last record of each call, where it completed."""
    records = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        records[record["dump_dir"]] = record
    return [r for r in records.values() if r["execution_status"] == "completed"]


def _read_forwards(path: Path) -> dict[tuple[int, int], deque[dict[str, Any]]]:
    """What `forward()` set on each wrapper before its runs, in order; level 10 does not log it."""
    forwards: dict[tuple[int, int], deque[dict[str, Any]]] = defaultdict(deque)
    for line in path.read_text().splitlines() if path.exists() else ():
        call = json.loads(line)
        facts = {name: ast.literal_eval(value) for name, value in call["kwargs"].items()}
        forwards[call["pid"], call["self_id"]].append(facts)
    return forwards


def _arguments(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Arguments that were given, by parameter name; defaults are not in a dump."""
    tensors = _tensors(record, folder / Path(record["dump_dir"]).name)
    given = {**tensors, **{k: _value(v, tensors) for k, v in record["input_metadata"].items()}}
    parameters = _parameters(record["function_signature"])
    arguments = {}
    for key, value in given.items():
        if key.startswith("kwarg_") and "__" not in key:
            arguments[key.removeprefix("kwarg_")] = value
        elif "__" not in key:
            arguments[parameters[int(key.removeprefix("arg_"))]] = value
    arguments.pop("self", None)
    return arguments


def _parameters(signature: str) -> list[str]:
    function = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return [argument.arg for argument in function.args.args]


def _tensors(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    kept: dict[str, torch.Tensor] = {}
    if (folder / "inputs.pt").exists():
        kept = torch.load(folder / "inputs.pt")
    elif (folder / "inputs.safetensors").exists():
        kept = _load_safetensors(folder / "inputs.safetensors")
    details = record["tensor_details"]
    keys = record["tensor_info"]["input_tensor_keys"]
    return {key: kept[key] if key in kept else _stand_in(**details[key]) for key in keys}


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _stand_in(shape: list[int], dtype: str, stride: list[int], device: str) -> torch.Tensor:
    return torch.empty_strided(shape, stride, dtype=_dtype(dtype), device="meta")


def _value(value: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if value["type"] in ("tuple", "list"):
        return tuple(_value(item, tensors) for item in value["items"])
    if value["type"] == "torch.dtype":
        return _dtype(value["value"])
    return tensors[value["tensor_key"]] if "tensor_key" in value else value


def _dtype(name: str) -> Any:
    return getattr(torch, name.removeprefix("torch."))
