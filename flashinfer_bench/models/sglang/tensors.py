"""What stands for torch: tensors that are only shapes, and modules that register their children."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flashinfer_bench.models.evaluator.values import Unknown, is_unknown
from flashinfer_bench.models.sglang.dtypes import DTYPES, DType


class Tensor:
    """A shape and a dtype; what is computed from it is another tensor, of unknown shape."""

    def __init__(self, shape: Any = None, dtype: DType | None = None) -> None:
        self.__dict__["known"] = shape
        self.__dict__["dtype"] = dtype or DTYPES["bfloat16"]

    filled: Any = None
    """What all its elements are, where that is known."""

    def __eq__(self, other: object) -> Any:
        if self.filled is None or not isinstance(other, (int, float)):
            return self is other
        return filled(Tensor(self.known, DTYPES["bool"]), self.filled == other)

    __hash__ = object.__hash__

    @property
    def shape(self) -> Any:
        return self.known if self.known is not None else Unknown("shape of a computed tensor")

    @property
    def data(self) -> Tensor:
        return self

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> Any:
        return math.prod(self.known) if self.known is not None else self.shape

    def dim(self) -> Any:
        return len(self.known) if self.known is not None else self.shape

    ndim = property(dim)

    def _computed(self, *args: Any, **keywords: Any) -> Tensor:
        return Tensor(None, self.dtype)

    def _elementwise(self, other: Any = 1, *args: Any, **keywords: Any) -> Tensor:
        alike = not isinstance(other, Tensor) or other.known in ((), self.known)
        return Tensor(self.known if alike else None, self.dtype)

    def unsqueeze(self, dim: int) -> Tensor:
        if self.known is None:
            return self._computed()
        at = dim if dim >= 0 else len(self.known) + 1 + dim
        return Tensor((*self.known[:at], 1, *self.known[at:]), self.dtype)

    def view(self, *sizes: Any) -> Tensor:
        shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
        known = all(isinstance(it, int) and it >= 0 for it in shape)
        return Tensor(tuple(shape) if known else None, self.dtype)

    reshape = view

    def _same(self, *args: Any, **keywords: Any) -> Tensor:
        return self

    def to(self, *args: Any, **keywords: Any) -> Tensor:
        dtype = next((it for it in (*args, *keywords.values()) if isinstance(it, DType)), None)
        return type(self)(self.known, dtype or self.dtype)

    contiguous = cuda = cpu = clone = detach = pin_memory = requires_grad_ = _same
    fill_ = zero_ = copy_ = normal_ = uniform_ = _same

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"Tensor.{name}", quiet=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "data":
            self.__dict__["known"] = value.known if isinstance(value, Tensor) else None
        else:
            self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)

    def __states__(self, name: str) -> bool:
        return name in self.__dict__ or hasattr(type(self), name)

    def __getitem__(self, key: Any) -> Tensor:
        return self._computed()

    def __setitem__(self, key: Any, value: Any) -> None:
        return None

    def __len__(self) -> int:
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return iter([Tensor(self.known[1:], self.dtype) for _ in range(self.known[0])])

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _elementwise
    __rtruediv__ = __pow__ = __rpow__ = __neg__ = __floordiv__ = __mod__ = _elementwise
    __and__ = __or__ = __invert__ = __lt__ = __le__ = __gt__ = __ge__ = _elementwise
    __matmul__ = _computed


def filled(tensor: Tensor, value: Any) -> Tensor:
    """The same tensor, of which all elements are known to be alike."""
    tensor.__dict__["filled"] = value
    return tensor


class Parameter(Tensor):
    """A tensor that a module owns as a weight."""

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        known = data.known if isinstance(data, Tensor) else None
        if isinstance(data, tuple):
            known = data
        super().__init__(known, data.dtype if isinstance(data, Tensor) else None)
        filled(self, getattr(data, "filled", None))


class Net:
    """As `torch.nn.Module`: keeps children, parameters and buffers in the order they are given."""

    _kinds = ("_modules", "_parameters", "_buffers")

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.registry("_modules")

    def registry(self, kind: str) -> dict[str, Any]:
        """Children, parameters or buffers by name."""
        own = self.__dict__
        if kind not in own:
            for name in Net._kinds:
                own.setdefault(name, {})
        return own[kind]  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: Any) -> None:
        kind = "_modules" if isinstance(value, Net) else None
        kind = "_parameters" if isinstance(value, Parameter) else kind
        inside = next((it for it in Net._kinds if name in self.registry(it)), None)
        if kind is None and inside is not None and (value is None or isinstance(value, Tensor)):
            kind = inside
        if inside is not None and inside != kind:
            del self.registry(inside)[name]
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            self.registry(kind)[name] = value

    def __getattr__(self, name: str) -> Any:
        if name not in Net._kinds:
            for kind in Net._kinds:
                if name in self.registry(kind):
                    return self.registry(kind)[name]
            unknown = getattr(type(self), "__unknown_bases__", ())
            if unknown and not name.startswith("__"):
                return unknown[0]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.registry(name)

    def __delattr__(self, name: str) -> None:
        for kind in Net._kinds:
            if name in self.registry(kind):
                del self.registry(kind)[name]
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: str, value: Any) -> None:
        self.registry("_parameters")[name] = value

    def register_buffer(self, name: str, value: Any, persistent: bool = True) -> None:
        self.registry("_buffers")[name] = value

    def add_module(self, name: str, module: Any) -> None:
        self.registry("_modules")[name] = module

    register_module = add_module

    def get_submodule(self, target: str) -> Any:
        found: Any = self
        for part in target.split(".") if target else ():
            found = getattr(found, part)
        return found

    def children(self) -> Iterator[Net]:
        return iter([module for _, module in self.named_children()])

    def named_children(self) -> Iterator[tuple[str, Net]]:
        """Each module once, by its first name."""
        found = {id(it): name for name, it in reversed(self.registry("_modules").items())}
        listed = self.registry("_modules").items()
        return iter(
            [(name, it) for name, it in listed if isinstance(it, Net) and found[id(it)] == name]
        )

    def named_modules(self, memo: Any = None, prefix: str = "") -> Iterator[tuple[str, Net]]:
        seen: set[int] = set()
        stack: list[tuple[str, Net]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            inside = [(f"{name}.{it}" if name else it, m) for it, m in module.named_children()]
            stack.extend(reversed(inside))

    def modules(self) -> Iterator[Net]:
        return iter([module for _, module in self.named_modules()])

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        modules = list(self.named_modules()) if recurse else [("", self)]
        seen: set[int] = set()
        for place, module in modules:
            for name, value in module.registry("_parameters").items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{place}.{name}" if place else name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return iter([value for _, value in self.named_parameters(recurse=recurse)])

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        return iter(list(self.registry("_buffers").values()))

    def named_buffers(self, *args: Any, **keywords: Any) -> Iterator[Any]:
        return iter(list(self.registry("_buffers").items()))

    def apply(self, function: Any) -> Net:
        return self

    def _itself(self, *args: Any, **keywords: Any) -> Any:
        return self

    to = eval = train = cuda = cpu = half = bfloat16 = requires_grad_ = float = _itself

    def state_dict(self, *args: Any, **keywords: Any) -> dict[str, Any]:
        return dict(self.named_parameters())

    def _no_effect(self, *args: Any, **keywords: Any) -> None:
        return None

    register_forward_hook = register_forward_pre_hook = register_load_state_dict_post_hook = (
        _no_effect
    )
    load_state_dict = compile = register_state_dict_pre_hook = _no_effect
    _register_load_state_dict_pre_hook = register_load_state_dict_pre_hook = _no_effect

    @property
    def training(self) -> bool:
        return False

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return Tensor()

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self.registry("_modules")]


class NetList(Net):
    """As `torch.nn.ModuleList` and `Sequential`."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        listed = modules
        if len(modules) == 1 and not isinstance(modules[0], Net):
            listed = modules[0] or ()
        if isinstance(listed, Mapping):
            self.registry("_modules").update(listed)
        elif not is_unknown(listed):
            self.extend(listed)

    def append(self, module: Any) -> NetList:
        self.registry("_modules")[str(len(self))] = module
        return self

    def extend(self, modules: Iterable[Any]) -> NetList:
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> None:
        listed = list(self)
        listed.insert(index, module)
        self._replace(listed)

    def _replace(self, listed: Sequence[Any]) -> None:
        self.registry("_modules").clear()
        self.extend(listed)

    def __len__(self) -> int:
        return len(self.registry("_modules"))

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.registry("_modules").values()))

    def __getitem__(self, key: Any) -> Any:
        found = list(self)[key]
        return type(self)(found) if isinstance(key, slice) else found

    def __setitem__(self, key: int, module: Any) -> None:
        names = list(self.registry("_modules"))
        self.registry("_modules")[names[key]] = module

    def pop(self, key: int) -> Any:
        found = self[key]
        del self[key]
        return found

    def __delitem__(self, key: Any) -> None:
        listed = list(self)
        del listed[key]
        self._replace(listed)

    def __add__(self, other: Iterable[Any]) -> NetList:
        return type(self)([*self, *other])

    def __contains__(self, module: Any) -> bool:
        return any(it is module for it in self)


class NetDict(Net):
    """As `torch.nn.ModuleDict`."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Any) -> None:
        self.registry("_modules").update(dict(modules))

    def pop(self, key: str) -> Any:
        return self.registry("_modules").pop(key)

    def __delitem__(self, key: str) -> None:
        del self.registry("_modules")[key]

    def __getitem__(self, key: str) -> Any:
        return self.registry("_modules")[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self.registry("_modules")[key] = module

    def __contains__(self, key: object) -> bool:
        return key in self.registry("_modules")

    def __len__(self) -> int:
        return len(self.registry("_modules"))

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.registry("_modules")))

    def keys(self) -> Any:
        return self.registry("_modules").keys()

    def values(self) -> Any:
        return self.registry("_modules").values()

    def items(self) -> Any:
        return self.registry("_modules").items()


__all__ = ["DTYPES", "DType", "Net", "NetDict", "NetList", "Parameter", "Tensor", "filled"]
