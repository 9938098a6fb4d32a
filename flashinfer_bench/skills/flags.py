"""Command-line flags of a skill, from its parameters."""

from __future__ import annotations

import argparse
import types
from collections.abc import Sequence
from inspect import get_annotations
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from flashinfer_bench.errors import UsageError
from flashinfer_bench.skills.contract import Params

_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def add_flags(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """A flag for each field: switches with or without a value, lists with one or more."""
    for name, field in fields_of(params).items():
        kind = _kind(field)
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        options["help"] = _help(field)
        if kind is bool:
            options.update(nargs="?", const=True, type=_switch, metavar="true|false")
        elif kind is list:
            options.update(nargs="+", metavar=name.upper())
        else:
            choices = _choices(field)
            options.update(metavar="|".join(choices) if choices else name.upper())
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def fields_of(params: type[Params]) -> dict[str, FieldInfo]:
    """A skill's own parameters, then those that it shares with others."""
    own = get_annotations(params)
    names = sorted(params.model_fields, key=lambda it: it not in own)
    return {name: params.model_fields[name] for name in names}


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Flags as they are declared: `--model_name=x` is `--model-name=x`."""
    found = []
    for word in argv:
        flag, equals, value = word.partition("=")
        known = flag.startswith("--") and len(flag) > 2
        found.append((flag.replace("_", "-") if known else flag) + equals + value)
    return found


def params_of(options: argparse.Namespace, params: type[Params]) -> Params:
    """The parameters that parsed flags state; UsageError where they do not fit."""
    stated = {name: it for name, it in vars(options).items() if name in params.model_fields}
    return checked(stated, params)


def checked(stated: dict[str, Any], params: type[Params]) -> Params:
    """Parameters from values by name; UsageError with one line where they do not fit."""
    try:
        return params.model_validate(stated)
    except ValidationError as error:
        raise UsageError("; ".join(_line(it) for it in error.errors())) from error


def _line(error: Any) -> str:
    name = str(error["loc"][0]).replace("_", "-") if error["loc"] else ""
    if error["type"] == "missing":
        return f"--{name} is needed"
    if error["type"] == "extra_forbidden":
        return f"no parameter --{name}"
    what = str(error["msg"]).removeprefix("Value error, ")
    given = f", not {error['input']!r}" if name and not isinstance(error["input"], dict) else ""
    return f"--{name}: {what}{given}" if name else what


def _help(field: FieldInfo) -> str:
    text = (field.description or "").replace("%", "%%")
    if field.is_required():
        return f"{text} (needed)"
    default = field.default
    return text if default in (None, False) else f"{text} (default: {default})"


def _switch(text: str) -> bool:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")


def _kind(field: FieldInfo) -> Any:
    """The type without None; `list` for any list."""
    kinds = [it for it in _members(field.annotation) if it is not types.NoneType]
    origin = get_origin(kinds[0])
    return origin if origin in (list, tuple) else kinds[0]


def _choices(field: FieldInfo) -> list[str]:
    kinds = [it for it in _members(field.annotation) if get_origin(it) is Literal]
    return [str(value) for it in kinds for value in get_args(it)]


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return list(get_args(annotation))
    return [annotation]


__all__ = ["add_flags", "checked", "fields_of", "params_of", "with_dashes"]
