"""Classes of evaluated source are as Python's: each snippet is run by both."""

# ruff: noqa: E501 (snippets)
from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from evaluated import evaluate, run_by_python

CLASSES = {
    "super": """
        class A:
            def __init__(self, x): self.log = ['A', x]
        class B(A):
            def __init__(self, x):
                super().__init__(x)
                self.log.append('B')
        class C(B):
            def __init__(self, x):
                super(B, self).__init__(x)  # skips B
                self.log.append('C')
        class D(C):
            def __init__(self, x):
                A.__init__(self, x)
                [super(D, self).__init__(x) for _ in range(1)]
                self.log.append('D')
        result = [B(1).log, C(2).log, D(3).log]
    """,
    "mro": """
        class A:
            def f(self): return ['A']
        class B(A):
            def f(self): return ['B'] + super().f()
        class C(A):
            def f(self): return ['C'] + super().f()
        class D(B, C):
            def f(self): return ['D'] + super().f()
        result = D().f(), [c.__name__ for c in D.__mro__]
    """,
    "super in inner functions": """
        class A:
            def f(self): return 1
        class B(A):
            def f(self):
                def inner(): return super(B, self).f()
                return inner() + sum(super(B, self).f() for _ in range(2))
        result = B().f()
    """,
    "properties": """
        class A:
            def __init__(self): self._x = 1
            @property
            def x(self): return self._x
            @x.setter
            def x(self, value): self._x = value * 2
            @classmethod
            def make(cls, n):
                made = cls()
                made.x = n
                return made
            @staticmethod
            def twice(n): return 2 * n
        class B(A):
            @property
            def x(self): return super().x + 100
        a = A.make(4)
        result = [a.x, A.twice(3), a.twice(4), B().x, type(A.make(1)) is A]
    """,
    "read-only property": """
        class A:
            @property
            def x(self): return 1
        def f():
            try: A().x = 2
            except AttributeError: return 'refused'
        result = f()
    """,
    "cached property": """
        from functools import cached_property
        class A:
            calls = 0
            @cached_property
            def x(self):
                A.calls += 1
                return A.calls
        a = A()
        result = [a.x, a.x, A().x]
    """,
    "getattr": """
        class A:
            kind = 'class'
            def __getattr__(self, name):
                if name.startswith('no'): raise AttributeError(name)
                return name.upper()
        a = A()
        result = [a.x, a.kind, getattr(a, 'no', 5), hasattr(a, 'nope'), hasattr(a, 'yes')]
    """,
    "setattr": """
        class A:
            def __setattr__(self, name, value): super().__setattr__(name, value * 2)
        class B:
            def __setattr__(self, name, value): object.__setattr__(self, name, [value])
        a, b = A(), B()
        def main():
            a.x = 3
            setattr(b, 'y', 1)
            return [a.x, b.y, a.__dict__, vars(b)]
        result = main()
    """,
    "operators": """
        class V:
            def __init__(self, x): self.x = x
            def __add__(self, other): return V(self.x + other.x)
            def __eq__(self, other): return self.x == other.x
            def __lt__(self, other): return self.x < other.x
            def __len__(self): return self.x
            def __getitem__(self, key): return key * self.x
            def __contains__(self, it): return it == self.x
            def __call__(self, *args): return args
            def __iter__(self): return iter(range(self.x))
            def __bool__(self): return self.x > 2
            def __hash__(self): return self.x
        v = V(3)
        result = [(v + V(4)).x, v == V(3), len(v), v[2], 3 in v, v(1, 2), list(v), bool(V(1)),
                  sorted([V(2), V(1)])[0].x, len({V(1), V(1)})]
    """,
    "dataclass": """
        from dataclasses import dataclass, field, replace, asdict, fields
        @dataclass
        class A:
            x: int
            y: list = field(default_factory=list)
            z: int = field(default=7, repr=False)
            def twice(self): return 2 * self.x
        @dataclass(frozen=True)
        class B(A):
            w: int = 1
            def __post_init__(self): object.__setattr__(self, 'v', self.w + 1)
        a = A(1)
        a.y.append(2)
        def refused():
            try: A()
            except TypeError: return True
        result = [repr(a), A(2).y, a == A(1, [2]), a == A(1), replace(a, x=5).x, asdict(a), a.twice(),
                  B(1, w=3).v, [f.name for f in fields(B)], refused(), repr(B(0))]
    """.replace("frozen=True", ""),
    "frozen dataclass": """
        from dataclasses import dataclass, field, InitVar
        from typing import ClassVar
        @dataclass(frozen=True, order=True)
        class A:
            x: int
            kind: ClassVar[int] = 3
            y: int = field(default=2, compare=False)
            z: int = field(init=False, default=9)
        @dataclass
        class K:
            a: InitVar[int]
            b: int = 0
            c: int = field(kw_only=True, default=4)
            def __post_init__(self, a): self.b = a * 2
        def frozen():
            try: A(1).x = 2
            except AttributeError: return 'frozen'
        result = [frozen(), hash(A(1)) == hash(A(1, 5)), A(1) < A(2), A(1, 3) == A(1, 4), A(0).z,
                  A.kind, K(3).b, K(1, c=2).c, sorted([A(2), A(1)])[0].x]
    """,
    "enum": """
        from enum import Enum, IntEnum, auto
        class Kind(str, Enum):
            A = 'a'
            B = 'b'
            @property
            def upper_name(self): return self.value.upper()
            def is_a(self): return self == Kind.A
        class N(IntEnum):
            ONE = auto()
            TWO = auto()
        result = [Kind('b').name, Kind.A.is_a(), Kind['B'].upper_name, [k.value for k in Kind],
                  N.TWO + 1, 'a' in Kind._value2member_map_, Kind.A == 'a', list(N.__members__)]
    """,
    "NamedTuple": """
        from typing import NamedTuple
        class P(NamedTuple):
            x: int
            y: int = 2
            def total(self): return self.x + self.y
        a, b = P(1)
        result = [a, b, P(3, 4).total(), P(1)._replace(x=9), P(y=0, x=1)]
    """,
    "abstract": """
        from abc import ABC, abstractmethod
        class A(ABC):
            @abstractmethod
            def f(self): ...
        class B(A):
            def f(self): return 1
        def f():
            try: A()
            except TypeError: return 'abstract'
        result = [B().f(), f(), issubclass(B, A), isinstance(B(), (int, A))]
    """,
    "init_subclass": """
        class Base:
            made = []
            def __init_subclass__(cls, tag='none', **keywords):
                super().__init_subclass__(**keywords)
                cls.made.append((cls.__name__, tag))
        def main():
            class A(Base, tag='x'): pass
            class B(A): pass
            return Base.made
        result = main()
    """,
    "new": """
        class One:
            made = None
            def __new__(cls, *args):
                if cls.made is None: cls.made = super().__new__(cls)
                return cls.made
            def __init__(self, x): self.x = x
        result = [One(1) is One(2), One(3).x]
    """,
    "metaclass": """
        class Meta(type):
            def __new__(mcls, name, bases, body):
                made = super().__new__(mcls, name, bases, body)
                made.tag = name.lower()
                return made
            @property
            def shout(cls): return cls.tag.upper()
        class A(metaclass=Meta): pass
        class B(A): pass
        result = [A.tag, B.tag, B.shout]
    """,
    "class attributes": """
        class A:
            table = {'x': 1}
            def f(self, kind=None): return (kind or self.cls)().name
            class Inner: name = 'inner'
            cls = Inner
        class Other: name = 'other'
        class B(A): cls = Other
        result = [A().f(), B().f(), B().f(A.Inner), B.table is A.table, A.Inner.__qualname__[-5:]]
    """,
    "class decorator": """
        registry = {}
        def register(name):
            def wrap(cls):
                registry[name] = cls.__name__
                return cls
            return wrap
        def f():
            @register('a')
            class A: pass
            return A.__name__
        result = [f(), registry]
    """,
    "generic": """
        from typing import Generic, TypeVar, Optional
        T = TypeVar('T')
        class Box(Generic[T]):
            def __init__(self, x: Optional[T] = None): self.x = x
        class IntBox(Box[int]): pass
        result = [IntBox(3).x, isinstance(IntBox(), Box)]
    """,
    "deep copies": """
        import copy
        class A:
            def __init__(self): self.x, self.f = [1], lambda: 2
        a = A()
        b, c = copy.deepcopy(a), copy.copy(a)
        b.x.append(2)
        result = [a.x, b.x, c.x is a.x, b.f()]
    """,
    "bound methods": """
        class A:
            def __init__(self, x): self.x = x
            def f(self, y): return self.x, y
        f = A(1).f
        result = [f(2), A.f(A(3), 4), list(map(A(5).f, [6])), f.__name__]
    """,
}


@pytest.mark.parametrize("name", CLASSES)
def test_gives_what_python_gives(tmp_path: Path, name: str) -> None:
    text = textwrap.dedent(CLASSES[name])
    assert evaluate(tmp_path, text) == run_by_python(text)
