"""How many bits a checkpoint's weights take, from `quantization_config`.

An estimate for memory: scales and zero points are counted as their usual share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

_BITS = {
    **{"fp8": 8, "fbgemm_fp8": 8, "modelopt_fp8": 8, "w8a8_int8": 8, "w8a8_fp8": 8, "mxfp8": 8.25},
    **{"mxfp4": 4.25, "modelopt_fp4": 4.5, "nvfp4": 4.5, "awq": 4.25, "gptq": 4.25},
    **{"bitsandbytes": 4.5, "bitnet": 2},
}
"""Method -> bits of a weight with its share of scales."""
_NOT_CONVERTED = ("ignored_layers", "modules_to_not_convert", "ignore", "exclude_modules")
_EXPERTS_ONLY = ("mxfp4",)
_ALWAYS_WHOLE = re.compile(r"(^|\.)(lm_head|embed_tokens|gate|router)(\.|$)")
"""Modules that methods leave as they are, stated or not."""


@dataclass(frozen=True)
class Quantization:
    """Of a checkpoint's linear layers and experts."""

    method: str
    bits: float
    """Of a weight, with its share of scales."""
    kept: tuple[str, ...] = ()
    """Patterns of modules that are not quantised."""
    roles: tuple[str, ...] = ("linear", "experts")
    family: str = ""
    """What kernels compute with: fp8_block_scale, fp8_per_tensor, fp4, mxfp4, int4, int8."""

    def bits_of(self, path: str, role: str | None, itemsize: float) -> float:
        """Of a weight of the module at a path, which takes `itemsize` bytes unquantised."""
        if role not in self.roles or _ALWAYS_WHOLE.search(path) or self._keeps(path):
            return itemsize * 8
        return min(self.bits, itemsize * 8)

    def _keeps(self, path: str) -> bool:
        return any(
            re.match(it[3:], path) if it.startswith("re:") else fnmatch(path, it) or it in path
            for it in self.kept
        )


def read_quantization(config: Mapping[str, Any]) -> Quantization | None:
    """None where the checkpoint is not quantised."""
    stated = config.get("quantization_config") or config.get("compression_config")
    text = config.get("text_config")
    if not stated and isinstance(text, Mapping):
        stated = text.get("quantization_config")
    if not isinstance(stated, Mapping):
        return None
    method = str(stated.get("quant_method") or stated.get("quant_algo") or "").lower()
    algorithm = str(stated.get("quant_algo") or "").lower()
    bits = _stated_bits(stated) or _BITS.get(method)
    if method == "modelopt" or bits is None:
        bits = 4.5 if "4" in algorithm else 8
    kept = [it for name in _NOT_CONVERTED for it in stated.get(name) or ()]
    roles = ("experts",) if method in _EXPERTS_ONLY else ("linear", "experts")
    family = _family(stated, method, algorithm, bits)
    return Quantization(method or algorithm, bits, tuple(map(str, kept)), roles, family)


def _family(stated: Mapping[str, Any], method: str, algorithm: str, bits: float) -> str:
    weights = [it.get("weights") or {} for it in (stated.get("config_groups") or {}).values()]
    in_blocks = any(it.get("strategy") == "block" for it in weights)
    floats = any(it.get("type") == "float" for it in weights)
    if stated.get("weight_block_size") or in_blocks:
        return "fp8_block_scale"
    if method == "mxfp4":
        return "mxfp4"
    if bits < 5 and (floats or "fp4" in method + algorithm):
        return "fp4"
    if floats or "fp8" in method + algorithm:
        return "fp8_per_tensor"
    return "int4" if bits < 5 else "int8"


def _stated_bits(stated: Mapping[str, Any]) -> float | None:
    """As `bits` says, or the groups of compressed-tensors."""
    for name in ("bits", "w_bit"):
        if stated.get(name):
            return float(stated[name]) + 0.25
    for group in (stated.get("config_groups") or {}).values():
        weights = group.get("weights") or {}
        if weights.get("num_bits"):
            return float(weights["num_bits"]) + (0.25 if weights["num_bits"] < 8 else 0)
    return None


__all__ = ["Quantization", "read_quantization"]
