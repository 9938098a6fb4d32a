"""A Model: the tree of modules an LLM is made of; its leaves map to Definitions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flashinfer_bench.data.base import NonEmptyString, StoredModel


class Layout(StoredModel):
    """How the model is served where its sizes per rank hold."""

    gpu: NonEmptyString
    """E.g. `h200`."""
    tp: Annotated[int, Field(ge=1)]
    """Tensor-parallel ranks."""
    ep: Annotated[int, Field(ge=1)]
    """Expert-parallel ranks."""
    attention_backend: NonEmptyString | None = None
    """As SGLang's flag; null leaves it to SGLang."""
    page_size: Annotated[int, Field(ge=1)] | None = None
    """Tokens in a page of the KV cache; null leaves it to SGLang."""


class Origin(StoredModel):
    """What the tree was made from."""

    config: NonEmptyString
    """Where config.json came from: `file`, `cache`, `hub` or `table`."""
    revision: NonEmptyString | None = None
    """Commit of the repository, where known."""
    sglang: NonEmptyString | None = None
    """Version of SGLang whose source was read."""
    route: NonEmptyString
    """`sglang`, `transformers` or `pattern`."""
    confidence: NonEmptyString
    """`exact`, `likely` or `guess`."""


class Module(StoredModel):
    """One module of a model, all its repetitions together."""

    count: Annotated[int, Field(ge=1)]
    """How often the module occurs in the whole model."""
    parent: NonEmptyString | None = None
    """Key of the module it belongs to; null at the top."""
    type: Literal["block", "layer"]
    """`block` has modules inside, `layer` computes."""
    definitions: list[NonEmptyString] | None = None
    """Names of the Definitions it calls."""
    label: NonEmptyString | None = None
    """Shown instead of the last part of its key."""
    class_name: NonEmptyString | None = None
    """Class in SGLang."""
    place: NonEmptyString | None = None
    """File and line of the class, e.g. `sglang/srt/models/llama.py:60`."""
    parameters: Annotated[int, Field(ge=0)] | None = None
    """Of one occurrence with all inside, on one rank."""
    gap: NonEmptyString | None = None
    """Name of what it computes that no Definition describes yet."""


class Model(StoredModel):
    """The module tree of an LLM.

    `modules` is keyed by name. Where two modules under different parents share a name, their keys
    are qualified by the parent's: `mlp_dense.down_proj`, `mlp_moe.down_proj`.
    """

    id: NonEmptyString
    """Unique identifier, e.g. `kimi-k2`."""
    name: NonEmptyString
    """Display name."""
    description: str | None = None
    """What sets the model apart."""
    hf_repo_id: NonEmptyString | None = None
    """Repository on the Hugging Face Hub."""
    architecture: NonEmptyString | None = None
    """Class of the whole model."""
    parameters: Annotated[int, Field(ge=0)] | None = None
    """Of the whole model."""
    weight_bytes: Annotated[int, Field(ge=0)] | None = None
    """Of all weights on one rank, in the checkpoint's precision."""
    flops_per_token: Annotated[float, Field(ge=0)] | None = None
    """Of matrix products for one token on one rank, attention scores apart."""
    layout: Layout | None = None
    """How it is served where sizes per rank hold."""
    origin: Origin | None = None
    """What the tree was made from."""
    modules: dict[NonEmptyString, Module]
    """Key to module, parents before children by custom."""

    @model_validator(mode="after")
    def _is_a_tree(self) -> Model:
        for key, module in self.modules.items():
            if module.parent is not None and module.parent not in self.modules:
                raise ValueError(f"module {key!r}: its parent {module.parent!r} is not in modules")
            if key in self.path(key)[:-1]:
                raise ValueError(f"module {key!r} is its own ancestor")
        return self

    def path(self, key: str) -> list[str]:
        """Keys from the top of the tree down to `key`."""
        path = [key]
        while (parent := self.modules[path[0]].parent) is not None:
            path.insert(0, parent)
            if path.count(parent) > 1 or parent not in self.modules:
                break
        return path

    def children(self, key: str | None = None) -> list[str]:
        """Keys of the modules right under `key`; None gives the top of the tree."""
        return [child for child, module in self.modules.items() if module.parent == key]

    def label(self, key: str) -> str:
        """What to show for a module: its label, else its key without the parent's part."""
        module = self.modules[key]
        return module.label or key.removeprefix(f"{module.parent}.").rpartition(".")[2]

    def definitions(self) -> list[str]:
        """Names of all Definitions the model calls, each once, in tree order."""
        names = [name for module in self.modules.values() for name in module.definitions or ()]
        return list(dict.fromkeys(names))


__all__ = ["Layout", "Model", "Module", "Origin"]
