"""Safetensors files read by their header: shapes, dtypes and single values, without torch.

A file is the header's length (8 bytes, little endian), a JSON header that gives each tensor its
dtype, shape and byte range, and the tensors' bytes in row-major order.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flashinfer_bench.data.constraints import Unavailable
from flashinfer_bench.errors import DataError

_HEADER_LIMIT = 100_000_000
_CHUNK = 1 << 16
_DTYPES: dict[str, tuple[str, int, str | None]] = {
    "F64": ("float64", 64, "d"),
    "F32": ("float32", 32, "f"),
    "F16": ("float16", 16, "e"),
    "BF16": ("bfloat16", 16, None),
    "F8_E4M3": ("float8_e4m3fn", 8, None),
    "F8_E5M2": ("float8_e5m2", 8, None),
    "F8_E8M0": ("float8_e8m0fnu", 8, None),
    "F4": ("float4_e2m1", 4, None),
    "I64": ("int64", 64, "q"),
    "I32": ("int32", 32, "i"),
    "I16": ("int16", 16, "h"),
    "I8": ("int8", 8, "b"),
    "U64": ("uint64", 64, "Q"),
    "U32": ("uint32", 32, "I"),
    "U16": ("uint16", 16, "H"),
    "U8": ("uint8", 8, "B"),
    "BOOL": ("bool", 8, "?"),
}
"""Safetensors dtype -> our dtype, bits per element, `struct` code (None: never decoded)."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file; its values stay there until one is asked for."""

    name: str
    file: Path
    offset: int
    """Position of its first byte in the file."""
    stored_dtype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Element type by our name."""
        return _DTYPES[self.stored_dtype][0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> StoredTensor:
        """The part at an integer index of the first dimension."""
        if not isinstance(index, int) or isinstance(index, bool):
            raise Unavailable(f"slices of {self.name} (only single elements are read from a file)")
        length = self.shape[0] if self.shape else 0
        if not -length <= index < length:
            raise IndexError(f"index {index} of {self.name}, whose length is {length}")
        bits = _DTYPES[self.stored_dtype][1] * math.prod(self.shape[1:])
        offset = self.offset + (index % length) * bits // 8
        return replace(self, name=f"{self.name}[{index}]", offset=offset, shape=self.shape[1:])

    def item(self) -> Any:
        """The value of a tensor that has one element."""
        if math.prod(self.shape) != 1:
            raise ValueError(f"{self.name} has {math.prod(self.shape)} elements, not one")
        return next(self._values())

    def max(self) -> Any:
        """The largest value."""
        return max(self._values())

    def min(self) -> Any:
        """The smallest value."""
        return min(self._values())

    def sum(self) -> Any:
        """The sum of all values."""
        return sum(self._values())

    def _values(self) -> Iterator[Any]:
        _, bits, code = _DTYPES[self.stored_dtype]
        if code is None:
            raise Unavailable(f"the values of {self.name} ({self.dtype} is not decoded)")
        left = math.prod(self.shape) * bits // 8
        with self.file.open("rb") as file:
            file.seek(self.offset)
            while left:
                chunk = file.read(min(left, _CHUNK))
                if len(chunk) < min(left, _CHUNK):
                    raise DataError(f"{self.file}: ends inside tensor {self.name!r}")
                left -= len(chunk)
                yield from (value for (value,) in struct.iter_unpack(f"<{code}", chunk))


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Tensors of a safetensors file by name.

    Raises FileNotFoundError, and DataError where the file breaks the format.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, _HEADER_LIMIT):
            raise DataError(_broken(path, f"its header is cut short ({size} bytes in all)"))
        header = _parse_header(path, file.read(length))
    return {
        name: _stored_tensor(path, name, entry, 8 + length, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _parse_header(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise DataError(_broken(path, f"its header is no JSON ({error})")) from None
    if not isinstance(header, dict):
        raise DataError(_broken(path, "its header is no JSON object"))
    return header


def _stored_tensor(path: Path, name: str, entry: Any, base: int, size: int) -> StoredTensor:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        bits = _DTYPES[dtype][1]
        fits = end - begin == math.prod(shape) * bits // 8 and begin >= 0 and base + end <= size
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(_broken(path, f"entry of tensor {name!r}: {error!r}")) from None
    if not fits:
        raise DataError(_broken(path, f"bytes of tensor {name!r} do not fit its shape or the file"))
    return StoredTensor(name, path, base + begin, dtype, shape)


def _broken(path: Path, what: str) -> str:
    return f"{path}: not a safetensors file: {what}; write it again"


__all__ = ["StoredTensor", "read_header"]
