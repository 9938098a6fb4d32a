"""Modules: names are made when they are asked for, as the statements at their place would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluated import MYSTERY, Standing, evaluate, evaluator

from flashinfer_bench.env import cache_path
from flashinfer_bench.models.evaluator.sources import SourceFile
from flashinfer_bench.models.evaluator.standard_library import Shell
from flashinfer_bench.models.evaluator.values import is_unknown


def test_only_what_is_asked_for_is_evaluated(tmp_path: Path) -> None:
    text = "import nowhere.at_all\nboom = 1 // 0\nraise RuntimeError\na = 2\nresult = a + 1\n"
    assert evaluate(tmp_path, text) == 3


def test_one_statement_gives_one_value(tmp_path: Path) -> None:
    text = "class A: pass\na = b = A()\nc, d = A(), a\nresult = a is b, b is d, a is c\n"
    assert evaluate(tmp_path, text) == (True, True, False)


def test_names_are_those_bound_before(tmp_path: Path) -> None:
    files = {
        "base.py": "class Layer:\n    def f(self): return 'base'\n",
        "main.py": (
            "from pkg.base import Layer\n\n"
            "class Early(Layer): pass\n\n"
            "class Layer(Layer):\n    def f(self): return 'own ' + super().f()\n\n"
            "class Late(Layer): pass\n"
            "x = 1\ny = x\nx = x + 1\nz = x\n"
            "def read(): return x, Layer().f()\nx = 7\n"
        ),
    }
    found = evaluator(tmp_path, files)
    early, late = (found.import_name("pkg.main", name) for name in ("Early", "Late"))
    assert (early().f(), late().f()) == ("base", "own base")
    assert [found.import_name("pkg.main", name) for name in "yzx"] == [1, 2, 7]
    assert found.import_name("pkg.main", "read")() == (7, "own base")


IMPORTS = {
    "parts/__init__.py": "from .one import A as B\nfrom . import two\nshared = 'parts'\n",
    "parts/one.py": "from ..far import deep\n\nclass A:\n    where = deep\n",
    "parts/two.py": "from . import shared\nfrom .one import *\nvalue = shared, A.where\n",
    "far.py": "import pkg.parts.one\ndeep = 'far'\n_private = 1\ndef late():\n"
    "    from pkg.parts.two import value\n    import pkg.parts.two as two\n"
    "    return value, two.shared, pkg.parts.one.A.where\n",
    "space/inner.py": "name = __name__\n",
    "stars.py": "from .far import *\nfrom .stars2 import *\n",
    "stars2.py": "from .stars import *\nfrom .parts.one import *\nown = 2\n_hidden = 3\n",
}


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("pkg.parts.two", "value", ("parts", "far")),
        ("pkg.space.inner", "name", "pkg.space.inner"),
        ("pkg.stars", "own", 2),
        ("pkg.stars", "deep", "far"),
    ],
)
def test_imports(tmp_path: Path, module: str, name: str, expected: object) -> None:
    assert evaluator(tmp_path, IMPORTS).import_name(module, name) == expected


def test_reexports_and_imports_in_functions(tmp_path: Path) -> None:
    found = evaluator(tmp_path, IMPORTS)
    assert found.import_name("pkg.parts", "B") is found.import_name("pkg.parts.one", "A")
    assert found.import_name("pkg.stars", "A") is found.import_name("pkg.parts.one", "A")
    assert found.import_name("pkg.far", "late")() == (("parts", "far"), "parts", "far")
    assert found.import_name("pkg", "parts").name == "pkg.parts"


@pytest.mark.parametrize(
    ("module", "name"),
    [("pkg.far", "missing"), ("pkg.nowhere", "x"), ("pkg.stars", "_hidden"), ("pkg.stars", "no")],
)
def test_missing_names_and_modules(tmp_path: Path, module: str, name: str) -> None:
    with pytest.raises(ImportError):
        evaluator(tmp_path, IMPORTS).import_name(module, name)


def test_circular_imports(tmp_path: Path) -> None:
    files = {
        "a.py": "from pkg.b import B\n\nclass A:\n    def other(self): return B\n",
        "b.py": "from pkg.a import A\n\nclass B(A): pass\n",
        "c.py": "from pkg.d import x\n",
        "d.py": "from pkg.c import x\n",
    }
    found = evaluator(tmp_path, files)
    b = found.import_name("pkg.b", "B")
    assert b().other() is b
    assert "defined by itself" in found.import_name("pkg.c", "x").reason


def test_foreign_packages_are_quietly_unknown(tmp_path: Path) -> None:
    text = (
        "import foreign\nfrom foreign.deep import thing\n"
        "@thing.register('x')\ndef f(x): return x\n"
        "@thing\nclass A(thing.Base):\n    def g(self): return self.anything\n"
        "result = f(3), A().g(), thing(1) + foreign.y\n"
    )
    made, attribute, called = evaluate(tmp_path, text)
    assert made == 3
    assert all(is_unknown(it) and it.quiet for it in (attribute, called))


def test_stand_ins_take_the_place_of_modules_and_names(tmp_path: Path) -> None:
    standing = Standing({"engine": Shell("engine", size=4), "pkg.gone": Shell("pkg.gone", x=1)},
                        {"replaced": lambda: 9})  # fmt: skip
    text = (
        "from engine import size, other\nfrom engine import *\nimport pkg.gone\n"
        "def replaced(): return 1\nresult = size, pkg.gone.x, replaced(), other\n"
    )
    *known, other = evaluate(tmp_path, text, standing=standing)
    assert known == [4, 1, 9]
    assert is_unknown(other)


CONDITIONS = """
import sys
if len('ab') == 2:
    kind = 'yes'
    both = kind + '!'
else:
    kind = 'no'
x = 'before'
if False:
    x = 'never'
try:
    from pkg.parts.nowhere import gone
    has = True
except ImportError:
    gone, has = None, False
try:
    from pkg.far import deep
except ImportError:
    found = False
else:
    found = True
try:
    value = {}['key']
except (KeyError, ValueError):
    value = 'default'
except TypeError:
    value = 'never'
finally:
    done = True
if mystery > 3:
    guess = 'then'
else:
    guess = 'else'
with quiet:
    inside = 5
for number in range(4):
    last = number
a, *b = 1, 2, 3
"""


def test_statements_around_names(tmp_path: Path) -> None:
    found = evaluator(tmp_path, {**IMPORTS, "main.py": CONDITIONS})
    names = ("kind", "both", "x", "gone", "has", "found", "value", "done", "inside", "last", "b")
    values = [found.import_name("pkg.main", name) for name in names]
    assert values == ["yes", "yes!", "before", None, False, True, "default", True, 5, 3, [2, 3]]
    assert found.import_name("pkg.main", "guess") == "else"
    (doubt,) = found.doubts.values()
    assert (doubt.reason, doubt.effect) == ("a mystery", "taken as false")
    assert (
        str(doubt.place)
        == f"pkg/main.py:{CONDITIONS[: CONDITIONS.index('if mystery')].count(chr(10)) + 1}"
    )


TABLES = """
TABLE = {'a': 1}
early = dict(TABLE)
TABLE['b'] = 2
TABLE.update(c=3)
if True:
    TABLE['d'] = 4
for name in ('e', 'f'):
    TABLE[name] = name
del TABLE['a']
LIST = [1]
LIST += [2]
LIST.append(3)
KINDS = set()
KINDS.add('x')
def read(): return TABLE
result = early, read(), LIST, KINDS
"""


def test_tables_are_filled_after_their_definition(tmp_path: Path) -> None:
    assert evaluate(tmp_path, TABLES) == (
        {"a": 1},
        {"b": 2, "c": 3, "d": 4, "e": "e", "f": "f"},
        [1, 2, 3],
        {"x"},
    )


def test_unknown_conditions_leave_earlier_values(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "x = 1\nif mystery:\n    x = 2\nresult = x\n") == 1


def test_source_with_a_mark_and_without_a_file(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "\ufeffresult = 'é'\n") == "é"


def records() -> list[Path]:
    return sorted((cache_path() / "source_facts").rglob("*.json"))


def test_facts_are_kept_by_content(tmp_path: Path) -> None:
    evaluate(tmp_path, "x = 1\nresult = x\n")
    kept = records()
    stamps = [it.stat().st_mtime_ns for it in kept]
    assert evaluate(tmp_path, "x = 1\nresult = x\n") == 1
    assert [it.stat().st_mtime_ns for it in records()] == stamps
    assert evaluate(tmp_path, "x = 2\n\nresult = x\n") == 2
    assert len(records()) == len(kept) + 1


def test_facts_are_read_from_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n\n\n@mark\ndef f(): ...\n")
    assert list(SourceFile(file, "a.py").binding) == ["x", "f"]
    (kept,) = records()
    rows = json.loads(kept.read_bytes())
    assert [(row[0], row[1], row[2]) for row in rows] == [(1, 1, ["x"]), (4, 5, ["f"])]
    kept.write_text(json.dumps([[1, 1, ["renamed"], []]]))
    assert list(SourceFile(file, "a.py").binding) == ["renamed"]


@pytest.mark.parametrize("broken", ["", "{", "[[1]]", "[1]", "{}x"])
def test_broken_facts_are_made_anew(tmp_path: Path, broken: str) -> None:
    evaluate(tmp_path, "result = 5\n")
    for file in records():
        file.write_text(broken)
    assert evaluate(tmp_path, "result = 5\n") == 5
    assert all(json.loads(file.read_bytes()) is not None for file in records())


def test_evaluations_share_no_state(tmp_path: Path) -> None:
    text = (
        "import os\nfrom os import environ\ndef f():\n"
        "    before = environ.get('MADE_UP')\n    environ['MADE_UP'] = '1'\n    os.own = 2\n"
        "    return before, hasattr(os, 'own')\nresult = f()\n"
    )
    assert [evaluate(tmp_path, text) for _ in range(2)] == [(None, True)] * 2


def test_a_mystery_in_a_table_stays(tmp_path: Path) -> None:
    assert evaluate(tmp_path, "result = {'a': mystery}['a']\n") is MYSTERY
