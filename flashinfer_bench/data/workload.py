"""A Workload: one concrete input of a Definition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from flashinfer_bench.data.base import NonEmptyString, NonNegativeInt, StoredModel, TaggedModel


class _InputModel(TaggedModel):
    """What every kind of input may say besides its content; the public tool ignores these keys."""

    static: bool = False
    """Whether the value is the same in every call of a serving run, as weights are."""
    cache: Literal["cold", "warm"] | None = None
    """Whether a serving run finds the tensor in the GPU's L2 cache when the kernel starts."""


class RandomInput(_InputModel):
    """Values drawn by a generator; shape and dtype come from the Definition."""

    type: Literal["random"] = "random"
    """The constant `random`."""
    generator: NonEmptyString | None = None
    """Named generator of valid values; null means the operation's own default."""


class ScalarInput(_InputModel):
    """A Python number."""

    type: Literal["scalar"] = "scalar"
    """The constant `scalar`."""
    value: int | float | bool
    """The number; infinities and NaN are written as strings."""


class SafetensorsInput(_InputModel):
    """A tensor stored in a safetensors file."""

    type: Literal["safetensors"] = "safetensors"
    """The constant `safetensors`."""
    path: NonEmptyString
    """File, relative to the dataset's root; a leading `./` is allowed."""
    tensor_key: NonEmptyString
    """Name of the tensor in the file."""


def _input_kind(spec: Any) -> str | None:
    if isinstance(spec, dict):
        kind = spec.get("type", "random")
        return kind if isinstance(kind, str) else repr(kind)
    return getattr(spec, "type", None)


InputSpec = Annotated[
    Annotated[RandomInput, Tag("random")]
    | Annotated[ScalarInput, Tag("scalar")]
    | Annotated[SafetensorsInput, Tag("safetensors")],
    Discriminator(_input_kind),
]


class Workload(StoredModel):
    """One concrete input of a Definition: axis lengths and where each input comes from."""

    axes: dict[str, NonNegativeInt]
    """Length of every variable axis."""
    inputs: dict[str, InputSpec]
    """Input name to where its value comes from."""
    uuid: NonEmptyString
    """Identity of the workload."""
    seed: NonNegativeInt | None = None
    """Seed of the random inputs (ignored by the public tool)."""
    weight: float | None = None
    """How many calls of the recorded run this one stands for (ignored by the public tool)."""


__all__ = ["InputSpec", "RandomInput", "SafetensorsInput", "ScalarInput", "Workload"]
