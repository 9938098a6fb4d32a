"""What stands for torch behaves as torch does, as far as constructors can tell."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

from flashinfer_bench.models.sglang.dtypes import DTYPES
from flashinfer_bench.models.sglang.tensors import Parameter, Tensor
from flashinfer_bench.models.sglang.torch_module import Torch

OURS = Torch("float32", (9, 0)).module()
LAYERS = [
    *(("Linear", (8, 6), {}), ("Linear", (8, 6), {"bias": False}), ("Linear", (1, 1, False), {})),
    *(("Embedding", (10, 4), {}), ("Embedding", (10, 4, 0), {})),
    *(("LayerNorm", (8,), {}), ("LayerNorm", ([4, 8],), {}), ("LayerNorm", (8,), {"bias": False})),
    *(("LayerNorm", (8, 1e-6, False), {}), ("RMSNorm", (8,), {}), ("RMSNorm", ((2, 3),), {})),
    *(("GroupNorm", (2, 8), {}), ("GroupNorm", (2, 8), {"affine": False}), ("PReLU", (), {})),
    *(("BatchNorm1d", (6,), {}), ("BatchNorm2d", (6,), {}), ("BatchNorm3d", (6,), {})),
    *(("BatchNorm1d", (6,), {"affine": False}), ("PReLU", (5,), {})),
    *(("Conv1d", (4, 6, 3), {}), ("Conv1d", (4, 6), {"kernel_size": 3, "groups": 2})),
    *(("Conv2d", (4, 6, (3, 5)), {"bias": False}), ("Conv2d", (4, 8, 3, 2, 1, 1, 4), {})),
    *(("Conv3d", (1, 2, (1, 2, 3)), {}), ("ConvTranspose1d", (4, 6, 3), {})),
    *(("ConvTranspose2d", (4, 6, 3), {"groups": 2}), ("ConvTranspose3d", (4, 6, (1, 2, 2)), {})),
    *(
        ("ConvTranspose2d", (4, 6, 3, 2, 1, 0, 2), {}),
        ("Identity", (3,), {}),
        ("Dropout", (0.1,), {}),
    ),
    *(("GELU", (), {}), ("SiLU", (), {}), ("Softmax", (), {"dim": 1})),
]


@pytest.mark.parametrize(("name", "args", "keywords"), LAYERS)
def test_layers_have_the_weights_of_torch(name: str, args: Any, keywords: Any) -> None:
    torch = pytest.importorskip("torch")
    made = getattr(OURS.nn, name)(*args, **keywords)
    with torch.device("meta"):
        expected = getattr(torch.nn, name)(*args, **keywords)
    shapes = {key: tuple(it.shape) for key, it in expected.named_parameters()}
    assert {key: it.shape for key, it in made.named_parameters()} == shapes
    if "dtype" not in keywords:
        assert {it.dtype.name for it in made.parameters()} <= {"float32"}


def containers(torch: Any) -> list[Any]:
    """The same steps with torch and with what stands for it; what can be seen afterwards."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n
            self.proj = nn.Linear(n, n)
            self.scale = nn.Parameter(torch.empty(n))
            self.register_buffer("table", torch.zeros(n))
            self.act = None

    seen: list[Any] = []

    def note(module: Any) -> None:
        seen.append([name for name, _ in module.named_children()])
        seen.append([(name, tuple(it.shape)) for name, it in module.named_parameters()])
        seen.append([name for name, _ in module.named_modules()])

    a = Block(3)
    note(a)
    a.act = nn.GELU()
    a.proj = nn.Linear(3, 5)
    note(a)
    a.proj = None
    a.scale = None
    note(a)
    del a.act
    a.later = Block(2)
    a.later.proj.bias = None
    note(a)
    seen.append([hasattr(a, it) for it in ("act", "later", "scale", "table", "n", "other")])
    layers = nn.ModuleList([Block(1), Block(2)])
    layers.append(nn.Identity())
    layers.extend([nn.Linear(2, 2)])
    layers.insert(1, nn.Linear(4, 4))
    layers[0] = nn.Linear(7, 7)
    layers[-1] = nn.Linear(9, 9)
    note(layers)
    del layers[1]
    layers += [nn.Linear(1, 1)]
    note(layers)
    note(layers[1:])
    seen.append([len(layers), layers[-1] in layers, len(layers[:2]), len(nn.ModuleList())])
    note(nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2)))
    note(nn.Sequential(OrderedDict(first=nn.Linear(2, 3), last=nn.Linear(3, 1))))
    table = nn.ModuleDict({"a": nn.Linear(1, 2)})
    table["b"] = nn.Linear(2, 1)
    table.update({"c": nn.Identity()})
    note(table)
    seen.append([list(table), "b" in table, len(table), list(table.keys()), len(table.values())])
    popped = table.pop("a")
    seen.append([list(table.keys()), tuple(popped.weight.shape)])
    tied = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    tied[1].weight = tied[0].weight
    note(tied)
    shared = nn.Linear(2, 2)
    note(nn.ModuleList([shared, shared]))
    a.add_module("extra", nn.Linear(1, 1))
    a.register_parameter("gone", None)
    seen.append([a.get_submodule("later.proj") is a.later.proj, a.gone])
    note(a)
    note(nn.ParameterList([nn.Parameter(torch.empty(2)), nn.Parameter(torch.empty(3))]))
    return seen


def test_containers_do_as_torch() -> None:
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        expected = containers(torch)
    for found, wanted in zip(containers(OURS), expected, strict=True):
        assert found == wanted


def test_tensors_keep_what_is_known_of_a_shape() -> None:
    made = OURS.empty(2, 3, dtype=OURS.float16)
    assert (made.shape, made.dtype.name, made.numel(), made.dim(), made.size(1)) == (
        *((2, 3), "float16", 6, 2, 3),
    )
    assert OURS.zeros((4,)).shape == (4,)
    assert (made + 1).shape == (made * made).shape == made.to(OURS.int8).shape == (2, 3)
    assert made.to(OURS.int8).dtype is DTYPES["int8"]
    assert made.unsqueeze(0).shape == (1, 2, 3)
    assert made.view(6).shape == (6,)
    assert OURS.arange(0, 10, 2).shape == (5,)
    assert OURS.tensor([[1, 2], [3, 4]]).shape == (2, 2)
    assert Tensor().known is None and (made @ made).known is None
    assert Parameter(made).dtype is made.dtype


def test_names_that_nobody_states_are_unknown() -> None:
    assert OURS.nn.functional.made_up.quiet
    assert SimpleNamespace(nn=OURS.nn).nn.Module is OURS.nn.Module
