"""Evaluation ends, whatever the source; and it does not reach inside Python or the evaluator."""

# ruff: noqa: E501 (snippets)
from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from evaluated import evaluate

from flashinfer_bench.models.evaluator.values import Exhausted, Refused, is_unknown

ENDLESS = {
    "while": "def f():\n    while True: pass",
    "for": "def f():\n    x = [1]\n    for i in x: x.append(i)",
    "caught": "def f():\n    while True:\n        try: g()\n        except BaseException: pass\ndef g(): g()",
    "finally": "def f():\n    while True:\n        try: 1 // 0\n        finally: continue",
    "suppressed": (
        "from contextlib import suppress\ndef f():\n    while True:\n"
        "        with suppress(BaseException):\n            while True: pass"
    ),
    "swallowed": (
        "class S:\n    def __enter__(self): return 1\n    def __exit__(self, *a): return True\n"
        "def f():\n    while True:\n        with S():\n            while True: pass"
    ),
    "recursion": "def f(): return f()",
    "lambdas": "f = lambda: f()",
    "mutual": "def f(): return [g() for _ in range(2)]\ndef g(): return f()",
    "attribute": "class A:\n    def __getattr__(self, n): return self.other\ndef f(): return A().x",
    "property": "class A:\n    @property\n    def x(self): return self.x\ndef f(): return A().x",
    "representation": "class A:\n    def __repr__(self): return repr(self)\ndef f(): return repr(A())",
    "generator": "def g():\n    while True: yield 1\ndef f(): return sum(g())",
    "generators": "def g(): yield from g()\ndef f(): return list(g())",
    "sentinel": "def f(): return list(iter(int, 1))",
    "comprehension": "def f(): return [0 for a in range(9**4) for b in range(9**4) for c in range(9)]",
    "map": "def g():\n    while True: yield 1\ndef f(): return list(map(lambda x: x, g()))",
    "constructor": "class A:\n    def __init__(self): A()\ndef f(): A()",
}
HUGE = (
    *("10 ** 10 ** 10", "pow(10, 10 ** 9)", "1 << 10 ** 9", "'a' * 10 ** 9", "10 ** 9 * [0]"),
    *("range(10 ** 12)", "type(range(1))(10 ** 12)", "bytes(10 ** 10)", "bytearray(10 ** 10)"),
    *("'a'.ljust(10 ** 9)", "str.zfill('a', 10 ** 9)", "f'{1:>1000000000}'", "'%999999999d' % 1"),
    *("'%*d' % (10 ** 9, 1)", "'{:>999999999}'.format(1)", "format(1, '0999999999')"),
    *("list(itertools.product(range(9999), repeat=9))", "math.factorial(10 ** 7)"),
    *("grown('a')", "grown([1])", "grown((1,))", "squared(3)", "shifted(1)", "extended([1])"),
    *("(10).__pow__(10 ** 9)", "[1].__mul__(10 ** 9)", "math.comb(10 ** 6, 5 * 10 ** 5)"),
)
GROWING = """
import itertools, math
def grown(x):
    for _ in range(99): x = x + x
def squared(x):
    for _ in range(99): x = x * x
def shifted(x):
    for _ in range(9999): x = x << 100000
def extended(x):
    for _ in range(99): x += x
"""


@pytest.mark.parametrize("name", ENDLESS)
def test_endless(tmp_path: Path, name: str) -> None:
    with pytest.raises((Exhausted, Refused)):
        evaluate(tmp_path, f"{ENDLESS[name]}\nresult = f()\n", steps=20_000)


@pytest.mark.parametrize("text", HUGE)
def test_huge(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused):
        evaluate(tmp_path, f"{GROWING}result = {text}\n")


def test_large_but_possible(tmp_path: Path) -> None:
    text = "result = 2 ** 64, 'ab' * 1000, len(range(2 ** 20)), '{:>9}'.format(1), 1 << 100\n"
    assert evaluate(tmp_path, text) == (2**64, "ab" * 1000, 2**20, " " * 8 + "1", 1 << 100)


SETTING = """
import os, math, collections, contextlib, dataclasses, enum, functools, operator, re, typing
def own(x=1): return x
class A:
    def method(self): return self
def frames():
    yield 1
@contextlib.contextmanager
def managed(): yield 1
def caught():
    try: 1 // 0
    except ZeroDivisionError as error: return error
class Exit:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        self.trace = trace
        return True
def left():
    with Exit() as it: raise ValueError
    return it.trace
class Hints: __annotations__ = {'x': "__import__('os').system('true')"}
class Sub(str):
    def isidentifier(self): return True
class Lowercase(enum.Enum):
    a = 1
"""
INSIDE = (
    "().__class__.__bases__[0].__subclasses__()",
    "().__class__.__mro__[1].__subclasses__()",
    "type.__subclasses__(object)",
    "type.mro(int)[-1].__subclasses__()",
    *("own.__globals__", "own.__code__", "own.__closure__", "os.getenv.__globals__"),
    *("A().method.__self__.method.__func__.__globals__", "len.__self__", "print.__self__"),
    *("getattr(own, '__glo' + 'bals__')", "getattr(os.getenv, '__globals__', None)"),
    *("operator.attrgetter('__globals__')(os.getenv)", "object.__getattribute__(own, 'scope')"),
    *("operator.attrgetter('getenv.__globals__')(os)", "type.__getattribute__(A, '__bases__')"),
    *("functools.partial(getattr, os.getenv)('__globals__')", "functools.partial.__reduce__"),
    *("list(map(getattr, [os.getenv], ['__globals__']))", "super(A, A()).__getattribute__('x')"),
    *("'{0.__class__}'.format(own)", "str.format('{0.__globals__}', os.getenv)"),
    *(
        "'{x.__init__}'.format_map({'x': own})",
        "vars(type(os.getenv))",
        "vars(int)",
        "vars(os.getenv)",
    ),
    *("type(os.getenv).__dict__", "object.__dict__", "type.__dict__['__subclasses__']"),
    *("frames().gi_frame", "frames().gi_code", "caught().__traceback__", "left().tb_frame"),
    *("left().tb_next", "managed().gen.gi_frame.f_back", "caught().with_traceback(None)"),
    *("math.__loader__", "math.__spec__", "os.__dict__['getenv'].__globals__", "math.__builtins__"),
    *("enum.Enum._convert_('X', 'os', bool)", "Lowercase._convert_('X', 'os', bool)"),
    *("typing.Optional['print(1)'].__args__[0]._evaluate({}, {}, frozenset())",),
    *("typing.List['print(1)'].__args__[0].__forward_code__",),
    *("type('X', (type(own),), {})", "type('X', (type(this()),), {})", "this().__class__.source"),
    *("copied().scope.module", "managed.scope.module.source"),
    *("setattr(own, '__code__', 1)", "setattr(own, '__class__', A)", "delattr(own, '__globals__')"),
    *("type.__setattr__(A, 'x', 1)", "object.__reduce_ex__(own, 2)", "A().__reduce__()"),
)
MISSING = (
    *("__import__('os')", "eval('1')", "exec('1')", "compile('1', '', 'eval')", "globals()"),
    *("locals()", "open('/etc/passwd')", "input()", "breakpoint()", "__builtins__", "__loader__"),
    *("own.scope", "own.evaluator", "own.node", "A().method.scope", "getattr(own, 'scope')"),
    *("this().source", "this().evaluator", "getattr(this(), 'scope')", "own.parameters.defaults"),
    *("managed.scope", "functools.partial(own).func.evaluator", "dataclasses.asdict(own)"),
    *("dataclasses.fields(own)", "dataclasses.replace(own)", "vars(own)['scope']"),
)
NOTHING = (
    *("typing.get_type_hints(Hints())", "typing.ForwardRef('print(1)')._evaluate({}, {})"),
    *("os.system('true')", "os.popen('true').read()", "re._compiler", "contextlib.sys.modules"),
    *("collections.abc.sys", "functools.sys", "os.path.join('a')", "math.sys"),
)


@pytest.fixture(autouse=True)
def _harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where evaluated code reaches Python's own doors."""

    def reached(*args: object, **keywords: object) -> None:
        raise SystemExit(f"reached with {args}")

    monkeypatch.setattr("os.system", reached)
    monkeypatch.setattr("os.popen", reached)


THIS = "def this():\n    import pkg.main\n    return pkg.main\ndef copied(): return managed\n"


@pytest.mark.parametrize("text", INSIDE)
def test_inner_names_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises((Refused, AttributeError)):
        evaluate(tmp_path, f"{SETTING}{THIS}result = {text}\n")


@pytest.mark.parametrize("text", MISSING)
def test_names_that_are_not_there(tmp_path: Path, text: str) -> None:
    with pytest.raises((NameError, AttributeError, TypeError, KeyError, Refused, OSError)):
        evaluate(tmp_path, f"{SETTING}{THIS}result = {text}\n")


@pytest.mark.parametrize("text", NOTHING)
def test_machinery_is_unknown(tmp_path: Path, text: str) -> None:
    assert is_unknown(evaluate(tmp_path, f"{SETTING}{THIS}result = {text}\n"))


DATACLASSES = {
    "annotation": "@dataclass\nclass A:\n    __annotations__ = {'x=door()': int}",
    "lying annotation": (
        "class S(str):\n    def isidentifier(self): return True\n"
        "@dataclass\nclass A:\n    __annotations__ = {S('x=door()'): int}"
    ),
    "forged field": (
        "def forged():\n    made = field(default=1)\n    object.__setattr__(made, 'name', 'x=door()')\n"
        "    return made\nclass B: __dataclass_fields__ = {'x': forged()}\n"
        "@dataclass\nclass A(B):\n    y: int = 1"
    ),
    "renamed field": (
        "@dataclass\nclass B:\n    y: int = 1\n"
        "object.__setattr__(fields(B)[0], 'name', 'y=door()')\n@dataclass\nclass A(B):\n    z: int = 1"
    ),
}


@pytest.mark.parametrize("name", DATACLASSES)
def test_data_classes_compile_no_names(tmp_path: Path, name: str) -> None:
    """Python's own writes the names of fields into source that it runs."""
    body = DATACLASSES[name].replace("\n", "\n    ")
    text = (
        "from dataclasses import dataclass, field, fields\nlog = []\n"
        f"def door(): log.append('opened')\ndef f():\n    {body}\n    return A\nresult = f()\n"
    )
    with contextlib.suppress(AttributeError, Refused, TypeError, ValueError):
        evaluate(tmp_path, text)  # a NameError would be the door's


def test_stand_ins_and_python_stay_as_they_are(tmp_path: Path) -> None:
    text = (
        "import os, contextlib, functools, math\nfrom contextlib import suppress\n"
        "def f():\n    math.pi = 3\n    suppress.own = 1\n    type(os).own = 2\n"
        "    contextlib.contextmanager.own = 3\n    functools.reduce = None\n"
        "    return math.pi\nresult = f()\n"
    )
    assert evaluate(tmp_path, text) == 3
    again = "import math, os\nfrom contextlib import suppress\nresult = math.pi > 3, hasattr(suppress, 'own')"
    assert evaluate(tmp_path, f"{again}, hasattr(type(os), 'own')\n") == (True, False, False)
