"""Arguments by name, from the text of a signature."""

from __future__ import annotations

from typing import Any

import pytest

from flashinfer_bench.workloads.signatures import read_signature

DECODE = (
    "(self, indptr: torch.Tensor, indices: torch.Tensor, num_qo_heads: int, page_size: int = 1, "
    "*deprecated_positional_args, **kwargs) -> None"
)


@pytest.mark.parametrize(
    ("text", "values", "named", "expected"),
    [
        ("(x, y=1)", [5], {}, {"x": 5, "y": 1}),
        ("(x, y=1)", [], {"y": 2, "x": 3}, {"x": 3, "y": 2}),
        ("(x: Optional[Tuple[int, str]] = None, *, z='a,b')", [], {}, {"x": None, "z": "a,b"}),
        ("(x, /, y)", [1, 2], {}, {"x": 1, "y": 2}),
        ("(a: Callable[[int], int] = <function f at 0x7f>, b=2) -> Any", [], {}, {"b": 2}),
        ("(a: Union[str, <enum 'Mode'>] = <Mode.A: 1>, b: dict = {'k': (1, 2)})", [], {},
         {"b": {"k": (1, 2)}}),
        ("()", [], {}, {}),
    ],
)  # fmt: skip
def test_binding(
    text: str, values: list[Any], named: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_signature(text).bind(values, named) == expected


def test_methods_and_what_goes_beyond_the_parameters() -> None:
    found = read_signature(DECODE).bind(["me", 1, 2, 32, 16, "NONE", -1], {"sm_scale": 0.5})
    assert found == {
        **{"indptr": 1, "indices": 2, "num_qo_heads": 32, "page_size": 16},
        **{"deprecated_positional_args": ("NONE", -1), "kwargs": {"sm_scale": 0.5}},
    }
