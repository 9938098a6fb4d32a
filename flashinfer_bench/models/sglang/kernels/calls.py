"""The kernels that the `forward` of each module of a tree reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flashinfer_bench.models.evaluator.values import Place
from flashinfer_bench.models.quantization import Quantization
from flashinfer_bench.models.serving import ServingProfile
from flashinfer_bench.models.sglang.build import ModelTree
from flashinfer_bench.models.sglang.kernels.files import files_of
from flashinfer_bench.models.sglang.kernels.objects import Objects
from flashinfer_bench.models.sglang.kernels.tables import (
    ENTRIES,
    HANDED_OVER,
    QUANTISED,
    RUNNERS,
    SAMPLER,
    STANDING,
    WRAPPER_METHODS,
)
from flashinfer_bench.models.sglang.kernels.values import SOMETHING, Object
from flashinfer_bench.models.sglang.kernels.walker import Event, Walker
from flashinfer_bench.models.sglang.source import SglangSource
from flashinfer_bench.models.tree import ModuleNode

Mode = Literal["decode", "prefill", "any"]
Entry = tuple[Object, str, Mode]
_MODULES = {"BatchDecode": "decode", "BatchPrefill": "prefill", "BatchMLA": "mla"}
_BACKENDS = {8: "flashinfer", 9: "fa3", 10: "trtllm_mha"}


@dataclass(frozen=True)
class KernelCall:
    """A kernel that a module calls, and where."""

    module: str
    """Dotted path in the tree; `sampler` for what follows the model."""
    kernel: str
    """By the imports of the file that calls it."""
    flashinfer: str | None
    """The API of FlashInfer that it ends in."""
    mode: Mode
    condition: str
    """Tests that every way to it passes; empty: always."""
    place: Place
    snippet: str
    """At most three lines of source."""
    called_from: Place | None
    """Where the module around it calls this module."""


def flashinfer_api(kernel: str) -> str | None:
    """The API of FlashInfer that a kernel ends in."""
    if not kernel.startswith("flashinfer."):
        return HANDED_OVER.get(kernel)
    *_, name, method = kernel.split(".")
    if name.endswith("Wrapper"):
        where = [it for prefix, it in _MODULES.items() if name.startswith(prefix)]
        return ".".join(("flashinfer", *where[:1], name, WRAPPER_METHODS.get(method, method)))
    return kernel


def attention_backend(profile: ServingProfile) -> str:
    """The one of a profile, else what SGLang takes on its GPU."""
    return profile.attention_backend or _BACKENDS.get(profile.capability[0], "flashinfer")


class Entries:
    """Where the walks over one tree start."""

    def __init__(
        self,
        tree: ModelTree,
        source: SglangSource,
        profile: ServingProfile,
        quantization: Quantization | None = None,
    ) -> None:
        self.profile, self.quantization = profile, quantization
        self.tree, self.files = tree, files_of(source.package)
        self.objects = Objects(self.files, tree)
        latent = any("kv_lora_rank" in it.attributes for it in tree.classes.values())
        self.latent = latent and _has_latent_attention(tree.root)
        self.backend = self.objects.backend(attention_backend(profile), latent=self.latent)

    def of(self, node: ModuleNode, path: str) -> list[Entry]:
        """Of a module: the object and the methods."""
        if node.role == "embedding" and "with_bias" in node.facts:
            return []  # an output projection, which the logits' own layer multiplies by
        if node.role == "attention" and self.backend is not None:
            return [
                (self.backend, "forward_decode", "decode"),
                (self.backend, "forward_extend", "prefill"),
            ]
        it = self.objects.module(node, path)
        for name in ENTRIES.get(node.role or "", ("forward",)):
            if node.role not in ("linear", "embedding", "experts") and it.method(name) is not None:
                return [(it, name, "any")]
        standing = self.standing(node, path)
        made = self.objects.of_class(f"{standing[0]}.{standing[1]}") if standing else None
        return [(made, standing[2], "any")] if made is not None and standing else []

    def standing(self, node: ModuleNode, path: str) -> tuple[str, str, str] | None:
        """Where the kernels of a role are, by the runner of experts and by quantisation."""
        if node.role == "experts" and self.profile.moe_runner not in RUNNERS:
            return None
        chosen, quantization = STANDING.get(node.role or ""), self.quantization
        if quantization is None or quantization.bits_of(path, node.role, 2.0) == 16:
            return chosen
        if node.role == "experts" and quantization.family in QUANTISED:
            return chosen  # the same runner
        return QUANTISED.get(quantization.family, {}).get(node.role or "")

    def sampler(self) -> list[Entry]:
        made = self.objects.of_class(".".join(SAMPLER[:2]))
        return [(made, SAMPLER[2], "any")] if made is not None else []

    def walk(
        self,
        entry: Entry,
        situation: Mapping[str, Any],
        keywords: Mapping[str, Any] | None = None,
        *,
        decided: bool = False,
    ) -> Walker:
        """One walk; its events are in order."""
        self.objects.situation = situation
        walker = Walker(self.files, self.objects, situation, decided=decided)
        method = entry[0].method(entry[1])
        if method is not None:
            known = {it.arg for it in (*method.node.args.args, *method.node.args.kwonlyargs)}
            given = {key: it for key, it in (keywords or {}).items() if key in known}
            walker.call(method, [], given)
        return walker


def _has_latent_attention(root: ModuleNode) -> bool:
    leaves = [it for _, it in root.walk() if it.role == "attention"]
    return any(
        it.facts["tp_k_head_num"] == 1 and it.facts["head_dim"] != it.facts["v_head_dim"]
        for it in leaves
    )


def kernel_calls(
    tree: ModelTree,
    sglang: SglangSource,
    profile: ServingProfile,
    quantization: Quantization | None = None,
) -> list[KernelCall]:
    """Of all modules of a tree, under whichever tests, those for other platforms left out.

    Weights of a quantisation that is not fp8, and experts of a runner that is not Triton's, are
    not looked into.
    """
    entries = Entries(tree, sglang, profile, quantization)
    walks = {(path, node.place): (path, node) for path, node in tree.root.walk()}
    events: list[tuple[str, Mode, ModuleNode | None, Event]] = []
    known: dict[Any, list[tuple[Mode, Event]]] = {}
    for path, node in walks.values():
        if node.shared:
            continue
        for mode, event in _events(entries, node, path, known):
            events.append((path, mode, node, event))
    for entry in entries.sampler():
        events += [("sampler", "any", None, it) for it in entries.walk(entry, {}).events]
    callers = {event.name: event for _, _, _, event in reversed(events) if event.is_module}
    return list(_reported(events, callers))


def _events(
    entries: Entries, node: ModuleNode, path: str, known: dict[Any, list[tuple[Mode, Event]]]
) -> list[tuple[Mode, Event]]:
    """Of one module; leaves of one class are walked once."""
    standing = entries.standing(node, path)
    key = (node.place, node.role, standing) if not node.children else path
    if key not in known:
        known[key] = [
            (entry[2], event)
            for entry in entries.of(node, path)
            for event in entries.walk(entry, {}, {"residual": SOMETHING}).events
        ]
    return known[key]


def _reported(
    events: list[tuple[str, Mode, ModuleNode | None, Event]], callers: Mapping[str, Event]
) -> Iterator[KernelCall]:
    ways: dict[tuple[str, str, Mode, Place], list[Event]] = {}
    for path, mode, node, event in events:
        if not event.is_module and _fits(node, event, callers, path, events):
            ways.setdefault((path, event.name, mode, event.place), []).append(event)
    for (path, name, mode, place), found in ways.items():
        caller = callers.get(path)
        yield KernelCall(
            *(path, name, flashinfer_api(name), mode, " and ".join(_shared_tests(found))),
            *(place, found[0].snippet, caller.place if caller else None),
        )


def _shared_tests(events: list[Event]) -> list[str]:
    """Those of every way to a call, each once."""
    tests = [dict.fromkeys(str(it) for it in event.conditions) for event in events]
    return [test for test in tests[0] if all(test in others for others in tests)]


def _fits(
    node: ModuleNode | None, event: Event, callers: Mapping[str, Event], path: str, events: Any
) -> bool:
    """Whether a norm that is never given a residual, or always, could come here."""
    if node is None or node.role != "norm" or path not in callers:
        return True
    given = {it.residual is not None for _, _, _, it in events if it.is_module and it.name == path}
    tests = {it.taken for it in event.conditions if it.text == "residual is not None"}
    return not tests or bool(tests & given)


__all__ = ["Entries", "KernelCall", "attention_backend", "flashinfer_api", "kernel_calls"]
