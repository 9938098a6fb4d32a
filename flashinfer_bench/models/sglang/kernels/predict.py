"""Which APIs of FlashInfer one forward pass calls, how often and with which sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from flashinfer_bench.errors import DataError
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.kernels.calls import (
    Entries,
    attention_backend,
    flashinfer_api,
)
from flashinfer_bench.models.sglang.kernels.sizes import routed_experts, sizes_of
from flashinfer_bench.models.sglang.kernels.tables import HANDLERS, situation
from flashinfer_bench.models.sglang.kernels.values import SOMETHING, Method, Token
from flashinfer_bench.models.sglang.kernels.walker import Event, Walker
from flashinfer_bench.models.tree import ModuleNode, main_list

Call = tuple[str, tuple[tuple[str, int], ...]]
Sampling = Literal["top_k_top_p", "min_p", "greedy"]


def flashinfer_calls(
    tree: ModelTree,
    profile: ServingProfile,
    mode: Literal["decode", "prefill"],
    *,
    cached_prefix: bool = False,
    sampling: Sampling = "top_k_top_p",
) -> Counter[Call]:
    """Of one forward pass with its sampling; sizes that vary with the batch are left out.

    `cached_prefix` says whether prompts begin with tokens that are in the KV cache already.
    Raises DataError where the tree does not know the source it was made of.
    """
    if tree.source is None:
        raise DataError("this tree does not know SGLang's source; make it with build_tree")
    backend = attention_backend(profile, tree)
    served = situation(mode, cached_prefix=cached_prefix, sampling=sampling, backend=backend)
    served.update({"tp_size": profile.tp, "moe_ep_size": profile.ep})
    served["num_experts"] = routed_experts(tree) or SOMETHING
    entries = Entries(tree, tree.source, profile)
    return Prediction(tree, entries, served, mode, backend).run()


class Prediction:
    """One forward pass, counted from the root of the tree downwards."""

    def __init__(
        self, tree: ModelTree, entries: Entries, served: dict[str, Any], mode: str, backend: str
    ) -> None:
        self.tree, self.entries, self.served, self.mode = tree, entries, served, mode
        self.counted: Counter[Call] = Counter()
        self.main = main_list(tree.root)
        self.planned: set[Any] = set()
        self._walks: dict[Any, list[Event]] = {}
        self._latent_method(backend)
        self.plans = self._plan()

    def run(self) -> Counter[Call]:
        self.visit(self.tree.root, "", 1)
        for node in self.tree.outside:
            self.visit(node, node.name, node.count)
        for method, _ in self.entries.sampler():
            walker = self.entries.walk(method, self.served, decided=True)
            self.count(walker.events, None, 1)
        return self.counted

    def _latent_method(self, backend: str) -> None:
        """How multi-head latent attention is computed, by the handler of the backend."""
        for name in HANDLERS:
            file = self.entries.files.module(name)
            handler = file.functions.get(f"handle_attention_{backend}") if file else None
            if file is not None and handler is not None:
                self.entries.objects.situation = self.served
                walker = Walker(self.entries.files, self.entries.objects, self.served, decided=True)
                chosen = walker.call(Method(file, handler), [], {})
                if isinstance(chosen, Token):
                    self.served["dispatch_attn_forward_method"] = chosen
                    return

    def _plan(self) -> list[Event]:
        """Calls that prepare the attention of all layers; what is decided there holds below."""
        backend = self.entries.backend
        method = backend.method("init_forward_metadata") if backend is not None else None
        if method is None:
            return []
        walker = self.entries.walk(method, self.served, decided=True)
        for name in ("use_ragged", "extend_no_prefix"):
            if isinstance(walker.last.get(name), bool):
                self.served[name] = walker.last[name]
        return walker.events

    def events(self, node: ModuleNode, path: str, given: Any, *, decided: bool) -> list[Event]:
        key = (path, decided, given is None, self.served.get("first_layer"))
        if key not in self._walks:
            wanted = ("any", self.mode)
            found: list[Event] = []
            for method in (it for it, mode in self.entries.of(node, path) if mode in wanted):
                keywords = {"residual": given}
                state: Mapping[str, Any] = self.served if decided else {}
                found += self.entries.walk(method, state, keywords, decided=decided).events
            self._walks[key] = found
        return self._walks[key]

    def visit(self, node: ModuleNode, path: str, times: int, given: Any = SOMETHING) -> None:
        """A module that runs so often, with or without a residual."""
        if node.shared or times <= 0:
            return
        if any(it.items for it in node.children):
            self.visit_list(node, path, times)
            return
        events = self.events(node, path, given, decided=True)
        self.count(events, node, times)
        ran = [it for it in events if it.is_module]
        possible: set[str] = set()
        if node.children:
            both = self.events(node, path, given, decided=False)
            possible = {it.name for it in both if it.is_module}
        for child in node.children:
            inside = f"{path}.{child.name}" if path else child.name
            calls = [it for it in ran if it.name == inside]
            if calls:
                for it in calls:
                    self.visit(child, inside, times, it.residual)
            elif inside not in possible and not possible_norm(child):
                self.visit(child, inside, times)

    def visit_list(self, node: ModuleNode, path: str, times: int) -> None:
        """Items of a list, the first of the main list apart: no residual comes to it yet."""
        for child in node.children:
            inside = f"{path}.{child.name}" if path else child.name
            number = len(child.items or (0,))
            if node is self.main and 0 in (child.items or ()):
                self.served["first_layer"] = True
                self.visit(child, inside, times, None)
                del self.served["first_layer"]
                number -= 1
            self.visit(child, inside, times * number)

    def count(self, events: list[Event], node: ModuleNode | None, times: int) -> None:
        for it in events:
            api = None if it.is_module else flashinfer_api(it.name)
            if api is not None:
                self.counted[self.named(api, node)] += times
                if node is not None and node.role == "attention":
                    self.plan_for(api, node)

    def plan_for(self, api: str, node: ModuleNode) -> None:
        """Plans are made once for all layers, with the sizes of the first."""
        for it in self.plans:
            planned = flashinfer_api(it.name)
            if planned is not None and it not in self.planned:
                self.planned.add(it)
                self.counted[self.named(planned, node)] += 1

    def named(self, api: str, node: ModuleNode | None) -> Call:
        parts = api.split(".")
        name = ".".join(parts[-2:]) if parts[-2].endswith("Wrapper") else parts[-1]
        return name, sizes_of(name, node, self.tree)


def possible_norm(node: ModuleNode) -> bool:
    """Norms that nothing calls are handed to fused kernels."""
    return node.role == "norm"


__all__ = ["Call", "flashinfer_calls"]
