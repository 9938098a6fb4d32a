"""What stands for the packages that SGLang's source imports."""

from __future__ import annotations

import copy
from typing import Any

from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.tensors import Net
from flashinfer_bench.models.sglang.torch_module import Torch
from flashinfer_bench.models.sglang.torch_module import modules as torch_modules


class _Field:
    """A default of a `msgspec.Struct` that is made anew for each one."""

    def __init__(self, default: Any = None, default_factory: Any = None, **options: Any) -> None:
        self.default, self.factory = default, default_factory

    def make(self) -> Any:
        return self.factory() if self.factory is not None else copy.deepcopy(self.default)


class Struct:
    """As `msgspec.Struct`: annotated names are fields."""

    _fields: tuple[str, ...] = ()
    __struct_fields__: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        own = tuple(vars(cls).get("__annotations__", ()))
        cls._fields = cls.__struct_fields__ = tuple(dict.fromkeys([*cls._fields, *own]))

    def __init__(self, *args: Any, **keywords: Any) -> None:
        given = {**dict(zip(self._fields, args)), **keywords}
        for name in self._fields:
            if name in given:
                value = given[name]
            else:
                default = getattr(type(self), name, None)
                value = default.make() if isinstance(default, _Field) else copy.deepcopy(default)
            object.__setattr__(self, name, value)
        start = getattr(self, "__post_init__", None)
        if start is not None:
            start()


def stand_ins(profile: ServingProfile, dtype: str) -> dict[str, Any]:
    """Module -> what stands for it, without what is read from source."""
    torch = Torch(dtype, profile.capability).module()
    return {
        **torch_modules(torch),
        "msgspec": Shell("msgspec", Struct=Struct, field=_Field),
        "sglang.kernels.fused_op": Shell("sglang.kernels.fused_op", BaseFusedOp=Net),
        "packaging": Shell("packaging"),
        "numpy": Shell("numpy", prod=_product, ndarray=Unknown("numpy arrays", quiet=True)),
    }


def _product(values: Any) -> Any:
    result = 1
    for value in values:
        result = result * value
    return result


__all__ = ["Struct", "stand_ins"]
