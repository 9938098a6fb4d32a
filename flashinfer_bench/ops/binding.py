"""How an operation is called in FlashInfer: which call it is, and which argument is which input.

One map serves live tracing, dumps from level-10 logging, the integration adapters and the baseline
solutions. Arguments are anything with `.shape` and `.dtype`; nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flashinfer_bench.errors import DataError

Step = Literal["plan", "run"]


class Refused(DataError):
    """A call is not this operation; the message says what differs."""


@dataclass(frozen=True)
class Call:
    """One call, its arguments bound to parameter names with defaults applied."""

    api: str
    """Qualified name of what ran, e.g. `flashinfer.norm.rmsnorm`."""
    run: Mapping[str, Any]
    plan: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the wrapper's last `plan`; empty where there is none."""
    layer: Mapping[str, Any] = field(default_factory=dict)
    """What the call does not say and the layer knows, e.g. `causal`, `sm_scale`."""

    def get(self, step: Step, name: str, default: Any = None) -> Any:
        """An argument; `default` where it was not given."""
        value = getattr(self, step).get(name)
        return default if value is None else value


@dataclass(frozen=True)
class Argument:
    """Where the value of an input stands in a call."""

    step: Step
    name: str
    item: int | None = None
    """Position in a tuple argument, such as (k_cache, v_cache)."""
    view: Callable[[Any, Call], Any] | None = None
    """Turns the argument into the input where it is laid out otherwise."""
    accepts: Callable[[Any], bool] | None = None
    """Whether an argument is the input, where it may also be something else."""
    otherwise: Callable[[Call], Any] | None = None
    """Computes the value where the call leaves it out or gives something that is not accepted; such
    a value is marked `derived`."""

    def value(self, call: Call) -> tuple[Any, bool]:
        """The input, None where the call cannot give it, and whether it is derived."""
        value = call.get(self.step, self.name)
        if value is not None and self.item is not None:
            value = value[self.item]
        if value is None or (self.accepts is not None and not self.accepts(value)):
            return (self.otherwise(call) if self.otherwise is not None else None), True
        return (value if self.view is None else self.view(value, call)), False


@dataclass(frozen=True)
class Bound:
    """A call as a definition and its inputs."""

    constants: dict[str, int]
    inputs: dict[str, Any]
    derived: frozenset[str]
    """Inputs that the call did not hold and that were computed."""


@dataclass(frozen=True)
class Binding:
    """The FlashInfer call that is this operation."""

    apis: tuple[str, ...]
    """Qualified names, newest first; the first goes into the definition's tags."""
    inputs: Mapping[str, Argument]
    recognise: Callable[[Call], Mapping[str, int]]
    """The constants of a call; raises Refused where the call is something else."""
    plan: str | None = None
    """Method of the wrapper that is called before, where there is one."""
    note: str | None = None
    """What a caller has to know."""

    def bind(self, call: Call) -> Bound:
        """Constants and inputs of a call; raises Refused."""
        constants = dict(self.recognise(call))
        inputs: dict[str, Any] = {}
        derived = set()
        for name, argument in self.inputs.items():
            value, computed = argument.value(call)
            if value is None:
                raise Refused(f"{call.api}: {argument.step} was given no {argument.name!r}")
            inputs[name] = value
            if computed:
                derived.add(name)
        return Bound(constants, inputs, frozenset(derived))


@dataclass(frozen=True)
class Unbound:
    """FlashInfer has no call for this operation."""

    reason: str


__all__ = ["Argument", "Binding", "Bound", "Call", "Refused", "Step", "Unbound"]
