"""What stands for torch's dtypes, and the one that a model is served in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DType:
    """A torch dtype: its name, and bytes of an element."""

    def __init__(self, name: str, itemsize: float) -> None:
        self.name, self.itemsize = name, itemsize
        self.is_floating_point = "float" in name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


_SIZES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4},
    **{"int16": 2, "int8": 1, "uint8": 1, "bool": 1, "uint32": 4, "uint64": 8, "uint16": 2},
    **{"float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e8m0fnu": 1, "float8_e4m3fnuz": 1},
    **{"float4_e2m1fn_x2": 1, "complex64": 8, "complex128": 16},
}
DTYPES = {name: DType(name, size) for name, size in _SIZES.items()}
DTYPES.update(long=DTYPES["int64"], int=DTYPES["int32"], half=DTYPES["float16"])
DTYPES.update(float=DTYPES["float32"], double=DTYPES["float64"], short=DTYPES["int16"])


def model_dtype(*configs: Mapping[str, Any]) -> str:
    """As SGLang's `--dtype auto` takes what configurations state, the first that does: half
    precision where whole or none is stated."""
    stated = (it.get(key) for it in configs for key in ("dtype", "torch_dtype"))
    name = str(next((it for it in stated if it), None)).removeprefix("torch.")
    return name if name in DTYPES and name not in ("float32", "float") else "float16"


__all__ = ["DTYPES", "DType", "model_dtype"]
