"""Configuration classes of transformers, by name and by model type, evaluated when asked for."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flashinfer_bench.models.evaluator.evaluator import Evaluator
from flashinfer_bench.models.evaluator.functions import Function
from flashinfer_bench.models.evaluator.modules import Module
from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.sglang.pretrained_config import MODULE, evaluated_base, plain_base

_CLASS = re.compile(rb"^class (\w+Config)\b", re.MULTILINE)
AUTO = "transformers.models.auto.configuration_auto"


class ConfigLibrary:
    """Configuration classes of one transformers, evaluated by one evaluator."""

    def __init__(self, package: Path | None) -> None:
        self.package = package
        """Folder of transformers; None where there is none."""
        self.evaluator: Evaluator
        self.raw: dict[str, Any] = {}
        """The configuration that is being read."""
        self.mapping = ConfigMapping(self)
        self.installed = False
        """Whether SGLang's classes are registered."""
        self._base: type | None = None
        self._classes: dict[str, list[str]] | None = None
        self._modules: dict[str, Module | None] = {}

    def source_module(self, name: str) -> Module | None:
        """A module that is evaluated behind a stand-in; None without its source."""
        if name not in self._modules:
            source = self.evaluator.finder.find(name)
            self._modules[name] = Module(self.evaluator, name, source) if source else None
        return self._modules[name]

    def base(self) -> type:
        """The class that configurations derive from."""
        if self._base is None:
            module = self.source_module(MODULE)
            if module is None:
                self._base = plain_base(self._read)
            else:
                self._base = evaluated_base(module, self._read)
        return self._base

    def _read(self) -> dict[str, Any]:
        return copy.deepcopy(self.raw)

    def auto_config(self) -> Any:
        """transformers' AutoConfig, with our mapping behind it."""
        module = self.source_module(AUTO)
        if module is None:
            return _plain_auto_config(self)
        module.rebind("CONFIG_MAPPING", self.mapping)
        return _auto_config(module)

    @property
    def classes(self) -> dict[str, list[str]]:
        """Name of a configuration class -> modules that define one."""
        if self._classes is None:
            if self.package is None:
                self._classes = {}
            else:
                self._classes = read_names(self.package, "configuration", _class_names)
        return self._classes

    def config_class(self, name: str, folder: str | None = None) -> type | None:
        """A class by its name, of the folder below `models` where that has one."""
        modules = self.classes.get(name, [])
        inside = [it for it in modules if it.split(".")[2] == folder]
        if not modules or (folder is not None and not inside):
            return None
        found: type = self.evaluator.import_name((inside or modules)[0], name)
        return found


def _class_names(text: bytes) -> list[str]:
    return [name.decode() for name in _CLASS.findall(text)]


def read_names(
    package: Path, kind: str, names: Callable[[bytes], list[str]]
) -> dict[str, list[str]]:
    """Names in the files `models/*/{kind}_*.py` -> modules; from our cache where none changed."""
    files = sorted(package.glob(f"models/*/{kind}_*.py"))

    def read() -> dict[str, list[str]]:
        modules: dict[str, list[str]] = {}
        for file in files:
            module = ".".join(("transformers", *file.relative_to(package).with_suffix("").parts))
            for name in names(file.read_bytes()):
                modules.setdefault(name, []).append(module)
        return modules

    found: dict[str, list[str]] = kept_facts(f"transformers_{kind}", files, read)
    return found


class ConfigMapping:
    """Model type -> class, as transformers' CONFIG_MAPPING with what was registered."""

    def __init__(self, library: ConfigLibrary) -> None:
        self.library = library
        self.registered: dict[str, type] = {}
        self.more: list[Mapping[str, type]] = []
        """Registries that are asked before (`first`) and after transformers' own table."""
        self.first: Mapping[str, type] = {}
        self._names: Mapping[str, str] | None = None

    @property
    def names(self) -> Mapping[str, str]:
        """transformers' own table, of names of classes."""
        if self._names is None:
            module = self.library.source_module(AUTO)
            self._names = module.global_value("CONFIG_MAPPING_NAMES") if module else {}
        return self._names

    def __contains__(self, key: object) -> bool:
        tables = (self.registered, self.first, self.names, *self.more)
        return any(key in table for table in tables)

    def __getitem__(self, key: str) -> type:
        for table in (self.registered, self.first):
            if key in table:
                return table[key]
        if key in self.names:
            return self._own(key)
        for table in self.more:
            if key in table:
                return table[key]
        raise KeyError(key)

    def _own(self, key: str) -> type:
        module = self.library.source_module(AUTO)
        assert module is not None  # it gave the names
        folder = module.global_value("model_type_to_module_name")(key)
        name = self.names[key]
        found = self.library.config_class(name, folder) or self.library.config_class(name)
        if found is None:
            raise KeyError(key)
        return found

    @property
    def _extra_content(self) -> dict[str, type]:
        """Under transformers' name, where SGLang writes to it past `register`."""
        return self.registered

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> list[str]:
        return [
            *self.registered,
            *self.first,
            *self.names,
            *(key for it in self.more for key in it),
        ]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def register(self, key: str, value: type, exist_ok: bool = False) -> None:
        if key in self.names and not exist_ok:
            raise ValueError(f"'{key}' is already used by a Transformers config")
        self.registered[key] = value


def _auto_config(module: Module) -> type:
    """The evaluated class, without decorators, which only write documentation."""
    node = module.source.parse(module.source.binding["AutoConfig"][-1])
    body: dict[str, Any] = {}
    for method in getattr(node, "body", ()):
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("__"):
            function = Function.from_node(module.evaluator, method, module.scope, method.name)
            kinds = {it.id for it in method.decorator_list if isinstance(it, ast.Name)}
            kind = staticmethod if "staticmethod" in kinds else classmethod
            body[method.name] = kind(_calling(function))
    return type("AutoConfig", (), body)


def _calling(function: Function) -> Callable[..., Any]:
    return lambda *args, **keywords: function(*args, **keywords)


def _plain_auto_config(library: ConfigLibrary) -> type:
    """AutoConfig without transformers: classes that SGLang registers, else the plain one."""

    class AutoConfig:
        @classmethod
        def from_pretrained(cls, name: Any, **options: Any) -> Any:
            values = copy.deepcopy(library.raw)
            return cls.for_model(**values)

        @classmethod
        def for_model(cls, model_type: str | None = None, **values: Any) -> Any:
            if model_type is None:
                raise ValueError("no model_type in the configuration")
            return library.mapping[model_type].from_dict(  # type: ignore[attr-defined]
                {"model_type": model_type, **values}
            )

        @staticmethod
        def register(model_type: str, config: type, exist_ok: bool = False) -> None:
            library.mapping.register(model_type, config, exist_ok=exist_ok)

    return AutoConfig


__all__ = ["AUTO", "ConfigLibrary", "ConfigMapping", "read_names"]
