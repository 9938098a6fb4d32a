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
    DEFAULT_BACKENDS,
    DEFAULT_RUNNERS,
    ENTRIES,
    HANDED_OVER,
    LINEAR_ATTENTION,
    OTHER_BACKEND,
    QUANTISED,
    RUNNERS,
    SAMPLER,
    STANDING,
    WRAPPER_METHODS,
    Standing,
)
from flashinfer_bench.models.sglang.kernels.values import SOMETHING, Method, Object
from flashinfer_bench.models.sglang.kernels.walker import Event, Walker
from flashinfer_bench.models.sglang.source import SglangSource
from flashinfer_bench.models.tree import ModuleNode, decay_rule, is_latent

Mode = Literal["decode", "prefill", "any"]
Entry = tuple[Method, Mode]
_MODULES = {"BatchDecode": "decode", "BatchPrefill": "prefill", "BatchMLA": "mla"}


@dataclass(frozen=True)
class KernelCall:
    """A kernel that a module calls, and where."""

    module: str
    """Dotted path in the tree; `sampler` for what follows the model."""
    kernel: str
    """By the imports of the file that calls it."""
    called_as: str
    """Name in the line of `place`: another one where an import or a variable renames it."""
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


def attention_backend(profile: ServingProfile, tree: ModelTree) -> str:
    """The one of a profile, else what SGLang takes on its GPU."""
    latent = has_latent_attention(tree)
    chosen = DEFAULT_BACKENDS[latent].get(profile.capability[0], OTHER_BACKEND[latent])
    return profile.attention_backend or chosen


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
        self.nodes = dict(tree.root.walk())
        backend = attention_backend(profile, tree)
        self.backend = self.objects.backend(backend, latent=has_latent_attention(tree))

    def of(self, node: ModuleNode, path: str) -> list[Entry]:
        """Of a module: the methods that run it, and while what is served."""
        if node.role == "embedding" and "with_bias" in node.facts:
            return []  # an output projection, which the logits' own layer multiplies by
        if node.role == "attention" and self.backend is not None:
            return self.served_by(self.backend)
        if node.role == "linear attention":
            parent = self.nodes.get(path.rpartition(".")[0], node)
            return self.served_by(self.linear_backend(decay_rule(node, parent)))
        it = self.objects.module(node, path)
        for name in ENTRIES.get(node.role or "", ("forward",)):
            method = it.method(name)
            if node.role not in ("linear", "embedding", "experts") and method is not None:
                return [(method, "any")]
        found = [self.standing_method(it) for it in self.standing(node, path)]
        if node.role == "experts":
            found += self.fused_experts()
        return [(it, "any") for it in found if it is not None]

    def served_by(self, backend: Object | None) -> list[Entry]:
        """Decode and prefill of an attention backend."""
        names: dict[str, Mode] = {"forward_decode": "decode", "forward_extend": "prefill"}
        methods = {name: backend.method(name) if backend else None for name in names}
        return [(it, names[name]) for name, it in methods.items() if it is not None]

    def linear_backend(self, rule: str) -> Object | None:
        made = (self.objects.of_class(".".join(it)) for it in LINEAR_ATTENTION[rule])
        return next((it for it in made if it is not None), None)

    def standing(self, node: ModuleNode, path: str) -> tuple[Standing, ...]:
        """Where the kernels of a role are, by the runner of experts and by quantisation."""
        usual = STANDING.get(node.role or "")
        chosen = (usual,) if usual else ()
        runner = self.runner()
        if node.role == "experts" and runner != "triton":
            core = "".join(it.title() for it in runner.split("_")) + "RunnerCore"
            chosen = ((f"{RUNNERS}.{runner}", core, "run"),)
        method = self.quantised(node, path)
        if method is None:
            return chosen
        # experts run in their method, in a runner that it makes, or in both
        return (method, *chosen) if node.role == "experts" else (method,)

    def quantised(self, node: ModuleNode, path: str) -> Standing | None:
        """The method of a quantised layer; None where it is not, or none is known."""
        quantization, role = self.quantization, node.role or ""
        if quantization is None or quantization.bits_of(path, role, 2.0) == 16:
            return None
        for method in (quantization.method, ""):
            rows = QUANTISED.get((method, quantization.family), {})
            if role in rows and self.objects.of_class(".".join(rows[role][:2])) is not None:
                return rows[role]
        return None

    def standing_method(self, standing: Standing) -> Method | None:
        made = self.objects.of_class(".".join(standing[:2]))
        return made.method(standing[2]) if made is not None else None

    def runner(self) -> str:
        """Of experts: the one of a profile, else what SGLang takes for such weights."""
        family = self.quantization.family if self.quantization else ""
        chosen = DEFAULT_RUNNERS.get(family, {}).get(self.profile.capability[0], "triton")
        return chosen if self.profile.moe_runner == "auto" else self.profile.moe_runner

    def fused_experts(self) -> list[Method | None]:
        """Functions that a version registers for a runner of experts."""
        runner = self.runner()
        if runner == "triton":
            return []
        return [Method(*it) for it in self.files.decorated(RUNNERS, "register_fused_func", runner)]

    def sampler(self) -> list[Entry]:
        method = self.standing_method(SAMPLER)
        return [(method, "any")] if method is not None else []

    def walk(
        self,
        method: Method,
        situation: Mapping[str, Any],
        keywords: Mapping[str, Any] | None = None,
        *,
        decided: bool = False,
    ) -> Walker:
        """One walk; its events are in order."""
        self.objects.situation = situation
        walker = Walker(self.files, self.objects, situation, decided=decided)
        known = {it.arg for it in (*method.node.args.args, *method.node.args.kwonlyargs)}
        given = {key: it for key, it in (keywords or {}).items() if key in known}
        walker.call(method, [], given)
        return walker


def has_latent_attention(tree: ModelTree) -> bool:
    """Whether it is computed on a compressed key and value."""
    if not any("kv_lora_rank" in it.attributes for it in tree.classes.values()):
        return False
    return any(is_latent(it) for _, it in tree.root.walk() if it.role == "attention")


def kernel_calls(
    tree: ModelTree,
    sglang: SglangSource,
    profile: ServingProfile,
    quantization: Quantization | None = None,
) -> list[KernelCall]:
    """Of all modules of a tree, under whichever tests, those for other platforms left out.

    Of quantised experts both their method and a runner's kernels are listed, as the method may
    run either.
    """
    entries = Entries(tree, sglang, profile, quantization)
    walks = {(path, node.place): (path, node) for path, node in tree.root.walk()}
    events: list[tuple[str, Mode, ModuleNode | None, Event]] = []
    known: dict[Any, list[tuple[Mode, Event]]] = {}
    for path, node in walks.values():
        if node.shared and node.role != "rope":  # one table for many layers, which each run it
            continue
        for mode, event in _events(entries, node, path, known):
            events.append((path, mode, node, event))
    for method, _ in entries.sampler():
        events += [("sampler", "any", None, it) for it in entries.walk(method, {}).events]
    callers = {event.name: event for _, _, _, event in reversed(events) if event.is_module}
    return list(_reported(events, callers))


def norm_kinds(
    tree: ModelTree, sglang: SglangSource, profile: ServingProfile
) -> dict[str, frozenset[str]]:
    """Path of a norm -> how its callers reach it: `fused` with a residual, `plain` without."""
    entries, found = Entries(tree, sglang, profile), dict[str, set[str]]()
    norms = {path for path, node in tree.root.walk() if node.role == "norm"}
    for path, node in tree.root.walk():
        if node.children and node.role is None:
            for _, event in _events(entries, node, path, {}):
                if event.is_module and event.name in norms:
                    kind = "plain" if event.residual is None else "fused"
                    found.setdefault(event.name, set()).add(kind)
    return {path: frozenset(kinds) for path, kinds in found.items()}


def _events(
    entries: Entries, node: ModuleNode, path: str, known: dict[Any, list[tuple[Mode, Event]]]
) -> list[tuple[Mode, Event]]:
    """Of one module; leaves of one class are walked once."""
    standing = entries.standing(node, path)
    alike = not node.children and node.role != "linear attention"
    key = (node.place, node.role, standing) if alike else path
    if key not in known:
        known[key] = [
            (mode, event)
            for method, mode in entries.of(node, path)
            for event in entries.walk(method, {}, {"residual": SOMETHING}).events
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
            *(path, name, found[0].called_as, flashinfer_api(name), mode),
            " and ".join(_shared_tests(found)),
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


__all__ = [
    "Entries",
    "KernelCall",
    "attention_backend",
    "flashinfer_api",
    "kernel_calls",
    "norm_kinds",
]
