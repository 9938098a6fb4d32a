"""Names by pattern."""

from __future__ import annotations

import pytest

from flashinfer_bench.ops.naming import Naming

NAMING = Naming("attn_h{heads}_d{dim}[_w{window}][_cap{cap}]", ("attn_{heads}_{dim}",))


@pytest.mark.parametrize(
    ("constants", "name"),
    [
        ({"heads": 32, "dim": 128}, "attn_h32_d128"),
        ({"heads": 32, "dim": 128, "window": 0}, "attn_h32_d128_w0"),
        ({"heads": 1, "dim": 2, "cap": 30}, "attn_h1_d2_cap30"),
        ({"heads": 1, "dim": 2, "window": 127, "cap": 30}, "attn_h1_d2_w127_cap30"),
    ],
)
def test_there_and_back(constants: dict[str, int], name: str) -> None:
    assert NAMING.format(constants) == name
    assert NAMING.parse(name) == constants


def test_older_spellings_are_read() -> None:
    assert NAMING.parse("attn_32_128") == {"heads": 32, "dim": 128}


@pytest.mark.parametrize(
    "name", ["attn_h32", "attn_h32_d128_", "attn_h32_d128_x1", "attn_h032_d128", "attn_h-1_d2", ""]
)
def test_other_names_are_not(name: str) -> None:
    assert NAMING.parse(name) is None


def test_missing_constants_are_an_error() -> None:
    with pytest.raises(KeyError):
        NAMING.format({"heads": 32})


def test_constants_in_order() -> None:
    assert NAMING.constants == ("heads", "dim", "window", "cap")
