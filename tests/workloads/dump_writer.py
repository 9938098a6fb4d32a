"""Writes folders as FlashInfer's logging at level 10 does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

RMSNORM = "(input: torch.Tensor, weight: torch.Tensor, eps: float = 1e-06, out=None)"
PLAN = (
    "(self, indptr, indices, last_page_len, num_qo_heads, num_kv_heads, head_dim, page_size, "
    "*deprecated_positional_args, **kwargs)"
)
RUN = "(self, q, paged_kv_cache, *args, return_lse=False)"
DECODE = "BatchDecodeWithPagedKVCacheWrapper"


class DumpWriter:
    """One dump, of any number of processes."""

    def __init__(self, root: Path, *, session: bool = True, form: str = "safetensors") -> None:
        self.root, self.session, self.form = root, session, form
        self.number = 0
        root.mkdir(parents=True, exist_ok=True)

    def call(
        self,
        name: str,
        signature: str,
        values: Sequence[Any],
        *,
        module: str = "flashinfer.norm",
        process: int = 7,
        instance: int | None = None,
        completed: bool = True,
        **named: Any,
    ) -> Path:
        """A call with its folder; tensors and tuples of tensors are found among its arguments."""
        self.number += 1
        folder = self.root / f"20261123_000000_{self.number:03d}_pid{process}_{name}_call0001"
        folder.mkdir()
        given = {f"arg_{at}": it for at, it in enumerate(values)}
        given |= {f"kwarg_{key}": it for key, it in named.items()}
        tensors: dict[str, torch.Tensor] = {}
        metadata: dict[str, Any] = {}
        for key, it in given.items():
            if isinstance(it, torch.Tensor):
                tensors[key] = it
            elif isinstance(it, tuple):
                items = {f"{key}__{at}": part for at, part in enumerate(it)}
                tensors |= items
                rows = [{"type": "torch.Tensor", "tensor_key": part} for part in items]
                metadata[key] = {"type": "tuple", "length": len(it), "items": rows}
            else:
                metadata[key] = it
        self._save(folder, tensors)
        record = {
            **{"function_name": name, "module": module, "call_sequence": 1},
            **{"timestamp": "0", "process_id": process, "input_metadata": metadata},
            "tensor_info": {"input_tensor_keys": list(tensors)},
            "tensor_details": {
                key: {"shape": list(it.shape), "dtype": str(it.dtype), "device": "cpu"}
                for key, it in tensors.items()
            },
            **{"function_signature": signature, "dump_dir": f"elsewhere/{folder.name}"},
            **({"self_id": instance} if instance is not None else {}),
        }
        lines = [{**record, "execution_status": "inputs_saved"}]
        lines += [{**record, "execution_status": "completed"}] if completed else []
        text = "".join(json.dumps(it) + "\n" for it in lines)
        (folder / "metadata.jsonl").write_text(text)
        if self.session:
            with (self.root / "session.jsonl").open("a") as file:
                file.write(text)
        return folder

    def _save(self, folder: Path, tensors: dict[str, torch.Tensor]) -> None:
        if self.form == "torch":
            torch.save(tensors, folder / "inputs.pt")
        elif tensors:
            save_file(tensors, folder / "inputs.safetensors")

    def rmsnorm(self, tokens: int, **options: Any) -> Path:
        x, weight = torch.zeros(tokens, 512).bfloat16(), torch.zeros(512).bfloat16()
        return self.call("rmsnorm", RMSNORM, [x, weight, 1e-6], **options)

    def decode(self, lengths: Sequence[int], spare: int = 0, **options: Any) -> None:
        """Plan and run of a decode step; `spare` entries of the page table are not used."""
        options.setdefault("instance", 99)
        indptr = torch.tensor([0, *lengths]).cumsum(0).int()
        indices = torch.randperm(int(indptr[-1]) + spare).int()
        last = torch.ones(len(lengths)).int()
        common = {"module": "flashinfer.decode", **options}
        self.call(f"{DECODE}.plan", PLAN, ["self", indptr, indices, last, 4, 2, 16, 1], **common)
        q = torch.zeros(len(lengths), 4, 16).bfloat16()
        cache = torch.zeros(64, 1, 2, 16).bfloat16()
        self.call(f"{DECODE}.run", RUN, ["self", q, (cache, cache.clone())], **common)
