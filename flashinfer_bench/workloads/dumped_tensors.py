"""Tensors of a dumped call, read one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "bool")
"""Structure: page tables, offsets, lengths, masks."""


@dataclass(frozen=True)
class DumpedTensor:
    """A tensor in a file of the dump, or one whose values were not kept."""

    shape: tuple[int, ...]
    dtype: str
    """As torch names it, e.g. `bfloat16`."""
    folder: Path
    key: str

    @property
    def is_structure(self) -> bool:
        return self.dtype in _WHOLE

    def as_torch(self) -> torch.Tensor:
        """Structure with its values where they were kept; others as meta tensors of that shape."""
        import torch

        found = _load(self.folder, self.key) if self.is_structure else None
        if found is not None:
            return found
        return torch.empty(self.shape, dtype=getattr(torch, self.dtype), device="meta")

    def values(self) -> torch.Tensor | None:
        """None where they were not kept."""
        return _load(self.folder, self.key)


class Tensors:
    """Input tensors of one call."""

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        self.folder, self._details = folder, record.get("tensor_details") or {}
        self.keys: list[str] = list((record.get("tensor_info") or {}).get("input_tensor_keys", ()))

    @cached_property
    def known(self) -> dict[str, DumpedTensor]:
        return {
            key: DumpedTensor(
                tuple(it["shape"]), str(it["dtype"]).removeprefix("torch."), self.folder, key
            )
            for key, it in self._details.items()
        }

    def named(self, key: str) -> DumpedTensor:
        return self.known[key]


def _load(folder: Path, key: str) -> torch.Tensor | None:
    """One tensor; only its part of the file is read. None where it is not there or broken."""
    import torch

    try:
        if (folder / "inputs.safetensors").is_file():
            from safetensors import safe_open

            with safe_open(folder / "inputs.safetensors", "pt") as file:
                found: torch.Tensor = file.get_tensor(key)
                return found
        if (folder / "inputs.pt").is_file():
            kept = torch.load(folder / "inputs.pt", mmap=True, weights_only=True)
            return kept[key].clone() if key in kept else None
    except Exception:  # a file that was cut short: each library raises errors of its own
        return None
    return None


__all__ = ["DumpedTensor", "Tensors"]
