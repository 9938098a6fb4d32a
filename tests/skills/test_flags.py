"""Flags of a skill, from its parameters."""

from __future__ import annotations

import argparse
from typing import Literal

import pytest
from pydantic import Field

from flashinfer_bench.errors import UsageError
from flashinfer_bench.skills.contract import Params
from flashinfer_bench.skills.flags import add_flags, checked, params_of, with_dashes
from flashinfer_bench.skills.registry import MODULES, load_skill


class Some(Params):
    """Made up."""

    model_name: str = Field(description="id, 100% of it")
    names: list[str] = Field([], description="some")
    push: bool = Field(False, description="switch")
    keep: bool = Field(True, description="switch that is on")
    size: int | None = Field(None, ge=1, description="number")
    form: Literal["a", "b"] = Field("a", description="choice")


def parsed(*argv: str) -> Some:
    parser = argparse.ArgumentParser()
    add_flags(parser, Some)
    found = params_of(parser.parse_args(with_dashes(argv)), Some)
    assert isinstance(found, Some)
    return found


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--model-name", "x"], {"model_name": "x", "push": False, "keep": True}),
        (["--model_name", "x"], {"model_name": "x"}),
        (["--model_name=x_y"], {"model_name": "x_y"}),
        (["--model-name", "x", "--push"], {"push": True}),
        (["--model-name", "x", "--push", "true"], {"push": True}),
        (["--model-name", "x", "--push=false"], {"push": False}),
        (["--model-name", "x", "--keep", "No"], {"keep": False}),
        (["--model-name", "x", "--names", "a_b", "c"], {"names": ["a_b", "c"]}),
        (["--model-name", "x", "--size", "8", "--form", "b"], {"size": 8, "form": "b"}),
    ],
)
def test_what_flags_state(argv: list[str], expected: dict[str, object]) -> None:
    found = parsed(*argv)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "--model-name is needed"),
        (["--model-name", "x", "--size", "0"], "--size"),
        (["--model-name", "x", "--size", "many"], "not 'many'"),
        (["--model-name", "x", "--form", "c"], "--form"),
    ],
)
def test_what_does_not_fit(argv: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        parsed(*argv)
    assert "\n" not in str(raised.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no parameter --modle-name"):
        checked({"model_name": "x", "modle_name": "y"}, Some)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_parameter_is_described(name: str) -> None:
    skill = load_skill(name)
    assert skill.name == name and (skill.params.__doc__ or "").strip()
    assert all(field.description for field in skill.params.model_fields.values())


@pytest.mark.parametrize("name", ["add_new_model", "flashinfer-bench:add-new-model"])
def test_other_spellings_of_a_skill(name: str) -> None:
    assert load_skill(name).name == "add-new-model"


def test_a_skill_that_is_none() -> None:
    with pytest.raises(UsageError, match="did you mean add-new-model"):
        load_skill("add-model")
