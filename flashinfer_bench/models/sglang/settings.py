"""What an SGLang server's arguments and parallel state say to constructors.

Every accessor of SGLang's run-time state gives one `Settings`: a name is looked up in the serving
profile, then among the defaults that the source at hand states for its server arguments.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flashinfer_bench.models.evaluator.values import Unknown
from flashinfer_bench.models.facts import kept_facts
from flashinfer_bench.models.serving import ServingProfile

_FILES = ("srt/server_args.py", "srt/arg_groups/fields/*.py")
_RANK = re.compile(r"(.*_)?rank$")
_GROUP = re.compile(r"(?P<name>.*)_group$")


class Group:
    """A process group, seen from its first rank."""

    rank = rank_in_group = local_rank = 0
    is_first_rank = True

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.is_last_rank = world_size == 1
        self.ranks = list(range(world_size))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{name} of a process group", quiet=True)


class Fact:
    """True or false, read as a value or called."""

    def __init__(self, truth: bool) -> None:
        self.truth = truth

    def __bool__(self) -> bool:
        return self.truth

    def __call__(self, *args: Any, **keywords: Any) -> bool:
        return self.truth


class Platform:
    """A CUDA device of the profile's compute capability."""

    def __init__(self, profile: ServingProfile) -> None:
        major, minor = profile.capability
        self._true = {"is_cuda", "is_cuda_alike", f"is_sm{major}{minor}", f"is_sm{major}x"}
        self._true |= {f"is_sm{major}{minor}_supported", f"is_sm{major}0_supported"}
        if major == 10:
            self._true |= {"is_blackwell", "is_blackwell_supported", "is_sm100_supported"}
        self.device_type = self.device_name = "cuda"
        self.device_sm = major * 10 + minor

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("is_", "has_", "use_")):
            return Fact(name in self._true)
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{name} of the platform", quiet=True)


class Settings:
    """Server arguments and parallel sizes by name, however they are nested."""

    def __init__(self, profile: ServingProfile, package: Path) -> None:
        defaults, namespaces = read_defaults(package)
        self.__dict__["_values"] = {**defaults, **_stated(profile)}
        self.__dict__["_namespaces"] = namespaces | {"parallel", "moe", "flags"}

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__["_values"]
        if name in values:
            return values[name]
        if name in self.__dict__["_namespaces"]:
            return self
        if _RANK.fullmatch(name):
            return 0
        group = _GROUP.fullmatch(name)
        if group:
            return Group(values.get(f"{group['name']}_size", 1))
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"server argument {name}", quiet=True)

    def __states__(self, name: str) -> bool:
        return name in self.__dict__["_values"]

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["_values"][name] = value

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        return self.__dict__["_values"].get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__["_values"]

    @contextmanager
    def override(self, *args: Any, **changes: Any) -> Iterator[Settings]:
        values = self.__dict__["_values"]
        before = dict(values)
        values.update(changes)
        try:
            yield self
        finally:
            values.clear()
            values.update(before)


def _stated(profile: ServingProfile) -> dict[str, Any]:
    sizes = {
        **{"tp_size": profile.tp, "world_size": profile.tp, "attn_tp_size": profile.tp},
        **{"moe_ep_size": profile.ep, "ep_size": profile.ep, "moe_tp_size": profile.moe_tp_size},
    }
    ones = ("pp", "dp", "attn_dp", "attn_cp", "dcp", "attn_dcp", "moe_dp", "cp", "moe_cp", "sp")
    return {
        **sizes,
        **{f"{name}_size": 1 for name in ones},
        **{"attention_backend": profile.attention_backend, "page_size": profile.page_size or 1},
        **{"moe_runner_backend": profile.moe_runner, "moe_a2a_backend": "none"},
        **{"device": "cuda", "enable_dp_attention": False, "dcp_enabled": False},
        **{"attn_dp_enabled": False, "speculative_algorithm": None},
        "disable_shared_experts_fusion": profile.shared_expert_fusion is False,
        "fused_shared_experts": 0,
    }


def read_defaults(package: Path) -> tuple[dict[str, Any], set[str]]:
    """Server arguments with literal defaults, and the names of their groups."""
    files = [file for pattern in _FILES for file in sorted(package.glob(pattern))]
    defaults, namespaces = kept_facts("server_arguments", files, lambda: _read_files(files))
    return defaults, set(namespaces)


def _read_files(files: Sequence[Path]) -> tuple[dict[str, Any], list[str]]:
    defaults: dict[str, Any] = {}
    namespaces: set[str] = set()
    for file in files:
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.ClassDef):
                _read_class(node, defaults, namespaces)
    return defaults, sorted(namespaces)


def _read_class(node: ast.ClassDef, defaults: dict[str, Any], namespaces: set[str]) -> None:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = [it.id for it in statement.targets if isinstance(it, ast.Name)]
            if names == ["_NS_PATH"]:
                namespaces.update(str(statement.value.value).split("."))
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = _default(statement.value)
            if value is not _NO_DEFAULT:
                defaults[statement.target.id] = value


_NO_DEFAULT = object()


def _default(node: ast.expr | None) -> Any:
    """A literal, also in `field(default=…)` and the like."""
    if node is None:
        return _NO_DEFAULT
    if isinstance(node, ast.Call):
        inside = [it.value for it in node.keywords if it.arg == "default"]
        return _default(inside[0]) if inside else _NO_DEFAULT
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return _NO_DEFAULT
    plain = value is None or isinstance(value, (bool, int, float, str, list))
    return value if plain else _NO_DEFAULT


__all__ = ["Fact", "Group", "Platform", "Settings", "read_defaults"]
