from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from records import model_data, without

from flashinfer_bench.data import Model, Module
from flashinfer_bench.data.base import unknown_keys

LAYER = {"count": 1, "type": "layer"}


def parse(**modules) -> Model:
    return Model.model_validate_json(json.dumps(model_data(modules=modules)))


def layer(parent: str | None = None, **more) -> dict:
    return {**LAYER, "parent": parent, **more}


@pytest.fixture
def tree() -> Model:
    return parse(
        layers=layer(),
        mlp_dense=layer("layers"),
        mlp_moe=layer("layers"),
        **{
            "mlp_dense.down_proj": layer("mlp_dense", definitions=["gemm_a", "gemm_b"]),
            "mlp_moe.down_proj": layer("mlp_moe", definitions=["gemm_b", "gemm_c"]),
            "experts.gate": layer("mlp_moe.down_proj"),
            "other.name": layer("mlp_moe", label="Router"),
        },
        norm=layer(definitions=[]),
    )


def test_fields_and_defaults():
    model = Model.model_validate(model_data())
    module = model.modules["layers"]
    assert (module.count, module.type, module.parent) == (2, "block", None)
    assert (module.definitions, module.label, model.description) == (None, None, None)


@pytest.mark.parametrize("key", ["id", "name", "modules"])
def test_required_fields(key):
    with pytest.raises(ValidationError, match=key):
        Model.model_validate(without(model_data(), key))


@pytest.mark.parametrize("key", ["count", "type"])
def test_required_fields_of_a_module(key):
    with pytest.raises(ValidationError, match=key):
        Module.model_validate(without(LAYER, key))


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"a": {**LAYER, "count": 0}}, "modules.a.count"),
        ({"a": {**LAYER, "count": 1.5}}, "modules.a.count"),
        ({"a": {**LAYER, "type": "leaf"}}, "modules.a.type"),
        ({"a": layer("")}, "modules.a.parent"),
        ({"a": layer(definitions=[""])}, "modules.a.definitions.0"),
        ({"a": layer(label="")}, "modules.a.label"),
        ({"": layer()}, "modules"),
        ({"a": layer("b")}, "module 'a': its parent 'b' is not in modules"),
        ({"a": layer("a")}, "module 'a' is its own ancestor"),
        ({"a": layer("b"), "b": layer("a")}, "is its own ancestor"),
        ({"c": layer("a"), "a": layer("b"), "b": layer("a")}, "module 'a' is its own ancestor"),
    ],
)
def test_refused(modules, message):
    with pytest.raises(ValidationError) as caught:
        parse(**modules)
    assert message in str(caught.value)


@pytest.mark.parametrize("changes", [{"id": ""}, {"name": ""}])
def test_refused_names(changes):
    with pytest.raises(ValidationError):
        Model.model_validate(model_data(**changes))


def test_children_may_come_first():
    assert parse(a=layer("b"), b=layer()).children() == ["b"]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("layers", ["layers"]),
        ("mlp_moe", ["layers", "mlp_moe"]),
        ("mlp_moe.down_proj", ["layers", "mlp_moe", "mlp_moe.down_proj"]),
    ],
)
def test_path(tree, key, path):
    assert tree.path(key) == path


@pytest.mark.parametrize(
    ("key", "children"),
    [
        (None, ["layers", "norm"]),
        ("layers", ["mlp_dense", "mlp_moe"]),
        ("mlp_moe", ["mlp_moe.down_proj", "other.name"]),
        ("norm", []),
    ],
)
def test_children(tree, key, children):
    assert tree.children(key) == children


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("layers", "layers"),
        ("mlp_dense.down_proj", "down_proj"),
        ("mlp_moe.down_proj", "down_proj"),
        ("experts.gate", "gate"),
        ("other.name", "Router"),
    ],
)
def test_labels(tree, key, label):
    assert tree.label(key) == label


def test_definitions_are_listed_once(tree):
    assert tree.definitions() == ["gemm_a", "gemm_b", "gemm_c"]


def test_unknown_keys_survive_at_every_level():
    data = model_data(hub="org/name")
    data["modules"]["mlp"]["color"] = "red"
    model = Model.model_validate_json(json.dumps(data))
    assert json.loads(model.model_dump_json(exclude_unset=True)) == data
    assert unknown_keys(model) == ["hub", "modules.mlp.color"]
