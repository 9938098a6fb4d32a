"""What is not known spreads, and choices made without knowing are noted."""

# ruff: noqa: E501 (snippets)
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluated import MYSTERY, QUIET, evaluate, evaluator

from flashinfer_bench.models.evaluator.values import is_unknown

SPREADING = (
    *("mystery + 1", "1 - mystery", "-mystery", "mystery ** 2", "mystery // 2 * 3", "~mystery"),
    *("mystery.a.b", "mystery[0]['x']", "mystery(1)(k=2)", "[1, 2][mystery]", "[1, 2][:mystery]"),
    *("mystery == 3", "mystery < 3 < 4", "3 in mystery", "mystery in [1]", "mystery is None"),
    *("len(mystery)", "int(mystery)", "str(mystery)", "type(mystery)", "max(1, mystery)"),
    *("range(mystery)", "list(mystery)", "sum([1, mystery])", "abs(mystery)", "round(mystery)"),
    *("isinstance(mystery, int)", "getattr(mystery, 'x', 3)", "hasattr(mystery, 'x')"),
    *("[x for x in mystery]", "[x for x in [1, 2] if x > mystery]", "f'{mystery}x'", "f(*mystery)"),
    *("{**mystery}", "[*mystery]", "f(**mystery)", "not mystery", "sorted([2, mystery])"),
    *(
        "mystery or 5",
        "mystery and 5",
        "mystery and 0",
        "5 and mystery",
        "0 or mystery",
        "min(mystery, 2)",
    ),
    *("1 if mystery else 2", "tuple(x for x in mystery)", "callable(mystery)", "bool(mystery)"),
    *("(mystery or {}).get('x')", "mystery and missing_name", "1 if mystery else missing_name"),
    *(
        "getattr([], mystery)",
        "import_of().thing",
        "math.ceil(mystery / 2)",
        "math.comb(4, mystery)",
    ),
)
KNOWN: dict[str, Any] = {
    "mystery or True": True,
    "0 and mystery": 0,
    "'on' if mystery or 5 else 'off'": "on",
    "not (mystery and [])": True,
    "5 or mystery": 5,
    "'a' if mystery else 'a'": "a",
    "[mystery, 1][1]": 1,
    "len([mystery, mystery])": 2,
    "[*(1,), mystery][0]": 1,
    "quiet or 5": 5,
    "'on' if quiet else 'off'": "off",
    "not quiet": True,
    "isinstance(3, (str, mystery, int))": True,
    "isinstance(3, quiet)": False,
    "getattr(shell, 'no', 4)": 4,
}
PRELUDE = "import math\nimport logging as shell\ndef f(*a, **k): return 0\ndef import_of(): return mystery\n"


@pytest.mark.parametrize("text", SPREADING)
def test_spreads(tmp_path: Path, text: str) -> None:
    assert evaluate(tmp_path, f"{PRELUDE}result = {text}\n") is MYSTERY


@pytest.mark.parametrize("text", KNOWN)
def test_does_not_matter(tmp_path: Path, text: str) -> None:
    assert evaluate(tmp_path, f"{PRELUDE}result = {text}\n") == KNOWN[text]


def test_quiet_ones_stay_quiet(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "result = (quiet.a + 1)[2](3) * 4\n") is QUIET


CHOICES = """
def f(log):
    if mystery: log.append('if')
    else: log.append('else')
    if quiet: log.append('quiet')
    for x in mystery: log.append(x)
    for x in (y for y in [1, mystery, 3] if y < 2): log.append(x)
    while mystery > 1: log.append('while')
    assert mystery
    with mystery as m: log.append('with')
    a, (b, *c) = mystery
    log[mystery] = 4
    mystery.x = 5
    del mystery.x
    try: log.append('try')
    except mystery: log.append('except')
    @mystery
    def g(): return 'decorated'
    log.append(g())
    return log, a, b, m

class Model:
    def __init__(self):
        self.log = f([])[0]

result = Model().log
"""


def test_choices_are_noted(tmp_path: Path) -> None:
    found = evaluator(tmp_path, {"main.py": CHOICES})
    assert found.import_name("pkg.main", "result") == ["else", 1, "with", "try", "decorated"]
    noted = [(it.place.line, it.effect) for it in found.doubts.values()]
    assert noted == [
        (3, "taken as false"),
        (6, "no round of this loop is counted"),
        (7, "no further round of this loop is counted"),
        (8, "taken as false"),
    ]
    assert {it.reason for it in found.doubts.values()} == {"a mystery"}


def test_match_is_noted(tmp_path: Path) -> None:
    text = (
        "def f(x):\n    match x:\n        case 1: return 'one'\n    return 'none'\nresult = f(1)\n"
    )
    found = evaluator(tmp_path, {"main.py": text})
    assert found.import_name("pkg.main", "result") == "none"
    assert [it.place.line for it in found.doubts.values()] == [2]


def test_unknown_parts_of_unpacking(tmp_path: Path) -> None:
    first, second = evaluate(tmp_path, "a, b = mystery\nresult = a, b\n")
    assert first is MYSTERY and second is MYSTERY


def test_unknown_bases(tmp_path: Path) -> None:
    text = (
        "class A(mystery):\n    def __init__(self, n):\n        super().__init__(n)\n"
        "        self.n = n\n    def f(self): return self.inherited\n"
        "a = A(3)\nresult = a.n, a.f()\n"
    )
    number, inherited = evaluate(tmp_path, text)
    assert number == 3
    assert inherited is MYSTERY


def test_a_function_fails_inside_a_known_part(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        evaluate(tmp_path, "result = True and (1).missing\n")


def test_await_and_async(tmp_path: Path) -> None:
    text = "async def f():\n    return await g()\nresult = f()\n"
    assert is_unknown(evaluate(tmp_path, text))
