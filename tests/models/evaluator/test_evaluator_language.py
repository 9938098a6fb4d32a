"""The evaluator gives what Python itself gives: each snippet is run by both."""

# ruff: noqa: E501 (snippets)
from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from evaluated import evaluate, run_by_python

SNIPPETS = {
    "arithmetic": "result = (7 // 2, -7 // 2, 7 % 3, 2**10, 7 / 2, 1 << 4, 6 & 3, 6 | 1, 6 ^ 3, ~5)",
    "chained comparison": "result = [1 < 2 < 3, 1 < 3 < 2, 3 > 2 >= 2 != 1, 1 < 2 > 5]",
    "membership": "result = [2 in (1, 2), 'a' not in {'a': 1}, None is None, [] is not None]",
    "and or": "result = [0 or 'a', 1 and '', None and 1, [] or {} or 3, not 0]",
    "conditional": "result = ['a' if x else 'b' for x in (0, 1)]",
    "walrus": "result = [y for x in range(5) if (y := x * x) > 3] + [y]",
    "walrus in a function": """
        def f(items):
            if any((found := it) > 2 for it in items):
                return found
        result = f([1, 2, 3, 4])
    """,
    "unpacking": """
        a, (b, *c), d = 1, (2, 3, 4), 5
        *first, last = 'xyz'
        x = y = [*c, *first]
        result = (a, b, c, d, first, last, x is y, {**{'k': 1}, 'j': 2}, (*c, 0), {*c})
    """,
    "f-strings": "n = 7\nresult = f'{n:03d}|{n!r}|{\"a\":>3}|{n=}|{3.14159:.{n - 5}f}|{{}}'",
    "text": "result = ['%s-%02d' % ('a', 3), '{}.{x}'.format(1, x=2), 'a,b'.split(','), 'ab'[::-1]]",
    "slices": "x = list(range(10))\nresult = [x[2:5], x[::3], x[-1], x[:-7]]",
    "slice assignment": "x = [1, 2, 3, 4]\nx[1:3] = [9]\ndel x[0]\nresult = x",
    "comprehensions": """
        n = 3
        result = (
            [i * n for i in range(4) if i % 2 if i], {i: j for i in range(2) for j in range(i + 1)},
            {i % 2 for i in range(5)}, sum(i for i in range(n)), [[j for j in range(i)] for i in (1, 2)],
        )
    """,
    "comprehension in a class": """
        class A:
            sizes = [1, 2]
            twice = [2 * s for s in sizes]
        result = A.twice
    """,
    "closures": """
        def counter():
            n = 0
            def step(by=1):
                nonlocal n
                n += by
                return n
            return step
        a, b = counter(), counter()
        result = [a(), a(5), b(), a()]
    """,
    "late binding": "result = [f() for f in [lambda: i for i in range(3)]]",
    "default binds early": "result = [f() for f in [lambda i=i: i for i in range(3)]]",
    "shared default": """
        def f(x, seen=[]):
            seen.append(x)
            return list(seen)
        result = [f(1), f(2), f(3, [])]
    """,
    "global": """
        count = 0
        def bump():
            global count
            count += 1
        def both():
            bump()
            bump()
            return count
        result = both()
    """,
    "arguments": """
        def f(a, b=2, /, c=3, *rest, d, e=5, **more):
            return (a, b, c, rest, d, e, more)
        result = [f(1, d=4), f(1, 2, 3, 4, 5, d=6, z=7), f(*[1, 2], **{'d': 3, 'c': 9, 'a': 8})]
    """,
    "recursion": "def fact(n): return 1 if n < 2 else n * fact(n - 1)\nresult = fact(20)",
    "for else": """
        def f(limit):
            for i in range(10):
                if i == limit:
                    break
                if i % 2:
                    continue
            else:
                return 'none', i
            return 'found', i
        result = [f(3), f(99)]
    """,
    "while else": """
        n, seen = 5, []
        def f(n, stop):
            while n:
                n -= 1
                if n == stop:
                    break
            else:
                return 'all'
            return n
        result = [f(5, 2), f(5, 9)]
    """,
    "nested loops": """
        def f():
            for i in range(3):
                for j in range(3):
                    if j == 1: break
                    if i == 2: return (i, j)
        result = f()
    """,
    "try": """
        def f(what):
            log = []
            try:
                log.append('try')
                {}[what] if what == 'k' else what + 1
            except (KeyError, IndexError) as error:
                log.append(type(error).__name__)
            except TypeError:
                log.append('type')
            else:
                log.append('else')
            finally:
                log.append('finally')
            return log
        result = [f('k'), f('x'), f(1)]
    """,
    "try returns": """
        def f():
            try: return 'body'
            finally: pass
        def g():
            try: raise ValueError
            except ValueError: return 'handler'
            finally: pass
        def h():
            try: raise ValueError
            finally: return 'finally'
        def loop():
            for i in range(3):
                try: continue
                finally:
                    if i == 1: break
            return i
        result = [f(), g(), h(), loop()]
    """,
    "reraise": """
        class Own(ValueError): pass
        def f():
            try:
                try: raise Own('deep')
                except Own: raise
            except ValueError as error:
                return str(error), isinstance(error, Own)
        result = f()
    """,
    "error name is gone": """
        def f():
            try: 1 / 0
            except ZeroDivisionError as error: pass
            try: return error
            except NameError: return 'gone'
        result = f()
    """,
    "error in else is not caught": """
        def f():
            try:
                try: pass
                except ValueError: return 'inner'
                else: raise ValueError
            except ValueError: return 'outer'
        result = f()
    """,
    "with": """
        class Manager:
            log = []
            def __init__(self, name, swallow=False): self.name, self.swallow = name, swallow
            def __enter__(self):
                self.log.append('+' + self.name)
                return self.name.upper()
            def __exit__(self, kind, error, trace):
                self.log.append('-' + self.name)
                return self.swallow
        def f():
            with Manager('a') as a, Manager('b', True) as b:
                Manager.log.append(a + b)
                raise ValueError
            return 'after'
        result = [f(), Manager.log]
    """,
    "del": """
        def f():
            x, d = 1, {'a': 1, 'b': 2}
            del x, d['a']
            try: return x
            except NameError: return d
        class A: pass
        a = A()
        a.x = 1
        def g():
            del a.x
            return hasattr(a, 'x')
        result = [f(), g()]
    """,
    "augmented": """
        class A: n = 1
        a = A()
        def f():
            x = [1]
            y = x
            x += (2, 3)
            d = {'k': 1}
            d['k'] *= 5
            a.n -= 3
            t = (1,)
            t += (2,)
            return x is y, x, d, a.n, A.n, t
        result = f()
    """,
    "generator": """
        def count(n):
            for i in range(n):
                if i == 1: continue
                yield i
            else:
                yield 'end'
            return 'value'
        def outer():
            got = yield from count(4)
            yield got
        result = [list(outer()), next(count(2)), sum(x for x in [1, 2])]
    """,
    "generator that is sent to": """
        def echo():
            got = None
            while True:
                got = yield got
        g = echo()
        result = [next(g), g.send(3), g.send('x')]
    """,
    "generator with try": """
        def f(log):
            try:
                yield 1
                raise ValueError('x')
            except ValueError as error:
                log.append(str(error))
                yield 2
            finally:
                log.append('end')
        log = []
        result = [list(f(log)), log]
    """,
    "context manager from a generator": """
        from contextlib import contextmanager
        state = {'on': False}
        @contextmanager
        def switched(**values):
            before = dict(state)
            state.update(values)
            try:
                yield state['on']
            finally:
                state.update(before)
        def f():
            with switched(on=True) as now:
                inside = state['on'], now
            return inside, state['on']
        result = f()
    """,
    "lambda": "result = (lambda a, *b, k=1, **c: (a, b, k, c))(1, 2, 3, z=4)",
    "decorators": """
        def times(n):
            def wrap(function):
                def inner(*args, **keywords): return function(*args, **keywords) * n
                return inner
            return wrap
        def plus(function): return lambda *args: function(*args) + 1
        @times(3)
        @plus
        def f(x): return x
        result = f(2)
    """,
    "sorted with a key": "result = sorted([3, -1, 2], key=lambda x: -x), max('aab', key='ab'.index)",
    "partial": "from functools import partial, reduce\nresult = partial(pow, 2)(5), reduce(lambda a, b: a * b, [1, 2, 3])",
    "itertools": "import itertools\nresult = list(itertools.chain([1], 'a')), list(itertools.product([0, 1], repeat=2))",
    "math": "import math\nfrom math import prod\nresult = math.ceil(2.1), prod([2, 3]), math.gcd(12, 8), math.comb(5, 2)",
    "collections": """
        from collections import OrderedDict, defaultdict, namedtuple
        P = namedtuple('P', 'x y')
        d = defaultdict(list)
        d['a'].append(P(1, 2))
        result = [dict(d), P(3, 4)._replace(y=5).y, list(OrderedDict(b=1, a=2))]
    """,
    "function attributes": """
        def main():
            def f(): return f.count
            f.count = 3
            return f(), f.__name__, hasattr(f, 'other')
        result = main()
    """,
}
ERRORS = {
    "missing": "def f(a, b): pass\nf(1)",
    "too many": "def f(a): pass\nf(1, 2)",
    "unexpected": "def f(a): pass\nf(1, b=2)",
    "twice": "def f(a): pass\nf(1, a=2)",
    "positional only": "def f(a, /): pass\nf(a=1)",
    "keyword only": "def f(*, a): pass\nf(1)",
    "missing keyword": "def f(*, a): pass\nf()",
    "too few to unpack": "a, b, c = 1, 2",
    "too many to unpack": "a, b = 1, 2, 3",
    "starred too few": "a, b, *c = [1]",
    "attribute": "class A: pass\nA().x",
    "name": "def f(): return undefined_name\nf()",
    "key": "{}['x']",
    "index": "[][0]",
    "division": "1 // 0",
    "assertion": "assert 1 == 2, 'no'",
    "own": "class Own(RuntimeError): pass\nraise Own('x')",
    "not callable": "x = 1\nx()",
    "del": "def f():\n    del x\nf()",
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_gives_what_python_gives(tmp_path: Path, name: str) -> None:
    text = textwrap.dedent(SNIPPETS[name])
    assert evaluate(tmp_path, text) == run_by_python(text)


@pytest.mark.parametrize("name", ERRORS)
def test_raises_what_python_raises(tmp_path: Path, name: str) -> None:
    body = textwrap.indent(ERRORS[name], "    ")
    text = f"def main():\n{body}\nresult = main\n"
    with pytest.raises(Exception) as expected:
        run_by_python(text)()
    with pytest.raises(Exception) as found:
        evaluate(tmp_path, text)()
    assert found.type.__name__ == expected.type.__name__
    assert found.value.evaluated_at.file == "pkg/main.py"  # type: ignore[attr-defined]
