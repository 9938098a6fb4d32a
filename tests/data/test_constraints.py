from __future__ import annotations

import random
import re
import time
from unittest.mock import Mock

import pytest

from flashinfer_bench.data.constraints import (
    ShapeOnly,
    Unavailable,
    UnsupportedExpression,
    check_constraint,
    names_in,
    unsupported,
)
from flashinfer_bench.errors import DataError

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

INDPTR = torch.tensor([0, 2, 5, 9], dtype=torch.int32)
RAGGED = torch.tensor([0, 5, 2, 9], dtype=torch.int32)

OPERANDS = {
    "kv_indptr": INDPTR,
    "qo_indptr": INDPTR,
    "gemm1_weights": torch.empty(2, 12, 3),
    "sparse_indices": torch.zeros(3, 7, dtype=torch.int32),
    "ckv_cache": torch.empty(2, 64, 512, dtype=torch.bfloat16),
    "batch_size": 3,
    "max_num_pages": 2,
    "ngroups": 8,
    "num_q_heads": 4,
    "num_seqs": 3,
    "page_size": 64,
}


@pytest.mark.parametrize(
    ("constraint", "axis", "right", "wrong"),
    [
        ("num_kv_indices == kv_indptr[-1].item()", "num_kv_indices", 9, 8),
        ("total_q == qo_indptr[-1].item()", "total_q", 9, 10),
        ("total_kv == kv_indptr[-1].item()", "total_kv", 9, 2),
        ("len_indptr == batch_size + 1", "len_indptr", 4, 3),
        ("len_cu_seqlens == num_seqs + 1", "len_cu_seqlens", 4, 5),
        ("gemm1_weights.shape[1] == 2 * intermediate_size", "intermediate_size", 6, 12),
        ("num_v_heads >= num_q_heads", "num_v_heads", 4, 3),
        ("num_v_heads % num_q_heads == 0", "num_v_heads", 8, 6),
        ("num_k_heads == num_q_heads", "num_k_heads", 4, 8),
        ("seq_len > 1", "seq_len", 2, 1),
        ("sparse_indices.shape[0] == num_tokens", "num_tokens", 3, 7),
        ("sparse_indices.shape[-1] == topk", "topk", 7, 3),
        ("ckv_cache.shape[1] == page_size", "page_size", 64, 2),
        ("nheads % ngroups == 0", "nheads", 16, 12),
        ("state_cache_size >= batch_size", "state_cache_size", 3, 2),
        ("topk <= max_num_pages * page_size", "topk", 128, 129),
    ],
)
def test_every_form_of_the_dataset(constraint, axis, right, wrong):
    assert unsupported(constraint) is None
    assert names_in(constraint) == set(re.findall(r"(?<!\.)\b[a-z]\w*", constraint))
    assert check_constraint(constraint, OPERANDS | {axis: right}).holds is True
    assert check_constraint(constraint, OPERANDS | {axis: wrong}).holds is False
    without = {name: value for name, value in OPERANDS.items() if name != axis}
    assert check_constraint(constraint, without).holds is None


@pytest.mark.parametrize(
    ("constraint", "bindings", "detail"),
    [
        (
            "len_indptr == batch_size + 1",
            {"len_indptr": 5, "batch_size": 5},
            "len_indptr == batch_size + 1: 5 == 6 (len_indptr=5, batch_size=5)",
        ),
        (
            "n == kv_indptr[-1].item()",
            {"n": 7, "kv_indptr": INDPTR},
            "n == kv_indptr[-1].item(): 7 == 9 (n=7, kv_indptr: int32[4])",
        ),
        ("0 < a <= b", {"a": 5, "b": 3}, "0 < a <= b: 5 <= 3 (a=5, b=3)"),
        ("a > 0 and a < b", {"a": 5, "b": 3}, "a > 0 and a < b: 5 < 3 (a=5, b=3)"),
        ("not a == 5", {"a": 5}, "not a == 5: false (a=5)"),
        (
            "(t[1:] >= t[:-1]).all()",
            {"t": RAGGED},
            "(t[1:] >= t[:-1]).all(): false (t: int32[4])",
        ),
        (
            "q.dtype == 'float16'",
            {"q": torch.empty(2, 3, dtype=torch.bfloat16)},
            "q.dtype == 'float16': 'bfloat16' == 'float16' (q: bfloat16[2, 3])",
        ),
        ("1 == 2", {}, "1 == 2: 1 == 2"),
    ],
)
def test_detail_of_a_violated_constraint(constraint, bindings, detail):
    outcome = check_constraint(constraint, bindings)
    assert (outcome.holds, outcome.detail) == (False, detail)


def test_detail_stays_small():
    bindings = {"t": torch.arange(10_000), "name": "x" * 10_000, "n": 10**1000}
    outcome = check_constraint("t.tolist() == [n] and name == 'y'", bindings)
    assert outcome.holds is False
    assert len(outcome.detail) < 400


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        ("a // zero == 1", "by zero (a=6, zero=0)"),
        ("a % 0 == 1", "by zero (a=6)"),
        ("t[9].item() == 1", "out of"),
        ("t.shape[3] == 1", "out of range"),
        ("t.item() == 1", "converted to Scalar"),
        ("a.shape[0] == 1", "no attribute 'shape'"),
        ("t.dtype * 3 == 1", "'int32' is not a number or tensor"),
        ("a < 'b'", "not supported between"),
        ("t['x'] == 1", "'x' is not an index"),
        ("t[[0, 0]].max() == 1", "[0, 0] is not an index"),
        ("t[t].max() == 1", "int32[4] is not an index"),
        ("(m + m[0]).max() == 1", "shapes differ: int32[2, 2] and int32[2]"),
        ("(t[1:] == t).all()", "shapes differ: int32[3] and int32[4]"),
        ("((t - t) / (t - t)).max() == 1", "division by zero"),
        ("t.dtype", "'int32' is neither true nor false"),
        ("sum((t, t)) == 1", "sum() of tensors"),
        ("int('x') == 1", "invalid literal"),
        ("(0 - a) ** 0.5 > a", "not supported between"),
    ],
)
def test_evaluation_that_fails_is_a_violation_with_a_reason(constraint, reason):
    bindings = {"a": 6, "zero": 0, "t": INDPTR, "m": INDPTR.reshape(2, 2)}
    outcome = check_constraint(constraint, bindings)
    assert outcome.holds is False
    assert reason in outcome.detail


def test_torch_refuses_in_one_line_and_faults_travel():
    def check_failing(error):
        return check_constraint(
            "t.sum() == 1", {"t": Mock(shape=(3,), sum=Mock(side_effect=error))}
        )

    assert "no kernel (" in check_failing(NotImplementedError("no kernel\nfor float8")).detail
    for fault in (torch.OutOfMemoryError("full"), RecursionError("deep")):
        with pytest.raises(type(fault)):
            check_failing(fault)


KV_INDPTR = ShapeOnly("kv_indptr", (4,), "int32")
SCALE = ShapeOnly("scale", (), "float32")


@pytest.mark.parametrize(
    ("constraint", "missing"),
    [
        ("n == kv_indptr[-1].item()", "the values of kv_indptr"),
        ("kv_indptr.max() < n", "the values of kv_indptr"),
        ("max(kv_indptr) < n", "the values of kv_indptr"),
        ("abs(kv_indptr).sum() < n", "the values of kv_indptr"),
        ("(kv_indptr > 0).all()", "the values of kv_indptr"),
        ("(kv_indptr + 1).all()", "the values of kv_indptr"),
        ("kv_indptr == 3", "the values of kv_indptr"),
        ("scale > 0", "the values of scale"),
        ("scale", "the values of scale"),
        ("not scale", "the values of scale"),
        ("n == seq_len", "a value for seq_len"),
        ("n == 9 and seq_len > 1", "a value for seq_len"),
    ],
)
def test_undecided_says_what_is_missing(constraint, missing):
    outcome = check_constraint(constraint, {"n": 9, "kv_indptr": KV_INDPTR, "scale": SCALE})
    assert outcome.holds is None
    assert outcome.detail == f"{constraint}: undecided without {missing}"


@pytest.mark.parametrize(
    "constraint",
    [
        "kv_indptr.shape[0] == n + 1",
        "kv_indptr.shape == (4,)",
        "kv_indptr.ndim == 1 and kv_indptr.dim() == 1 and scale.ndim == 0",
        "kv_indptr.numel() == 4 and scale.numel() == 1",
        "kv_indptr.size() == (4,) and kv_indptr.size(0) == 4 and kv_indptr.size(-1) == 4",
        "len(kv_indptr) == 4",
        "kv_indptr.dtype == 'int32'",
        "kv_indptr is not None",
        "n == 3 or seq_len > 1",
        "scale.dtype == 'float32'",
    ],
)
def test_shape_alone_decides(constraint):
    bindings = {"n": 3, "kv_indptr": KV_INDPTR, "scale": SCALE}
    assert check_constraint(constraint, bindings).holds is True


def test_short_circuit_needs_no_second_operand():
    assert check_constraint("n == 4 and seq_len > 1", {"n": 3}).holds is False
    assert check_constraint("4 < n < seq_len", {"n": 3}).holds is False


def test_stand_in_tensor_refuses_its_values():
    assert (KV_INDPTR.shape, KV_INDPTR.dtype, KV_INDPTR.ndim) == ((4,), "int32", 1)
    for ask in (lambda t: t[-1], lambda t: t.item(), lambda t: t.max(), abs, bool):
        with pytest.raises(Unavailable, match="the values of kv_indptr"):
            ask(KV_INDPTR)


TENSOR_CONDITIONS = [
    ("(t[1:] >= t[:-1]).all()", True),
    ("(t[1:] > t[:-1] + 2).all()", False),
    ("(t[1:] > t[:-1] + 2).any()", True),
    ("all(t >= 0) and not any(t > 9)", True),
    ("t[-1] == t[-1].tolist() == 9", True),
    ("t[-1]", True),
    ("t[0]", False),
    ("(t[-1] - t[0]).item() == 9", True),
    ("0 <= t.min() < t.max() <= 9", True),
    ("min(t) == 0 and max(t) == 9 and sum(t) == 16 and t.sum() == 16", True),
    ("(-t).abs().max() == abs(-t).max() == 9", True),
    ("t.tolist() == [0, 2, 5, 9]", True),
    ("t.shape == (4,) and t.size(0) == len(t) == t.numel() == 4", True),
    ("t[1:3].tolist() == [2, 5] and t[-2] == 5", True),
    ("m[1, 0] == 2 and m[:, 1].tolist() == [2, 9] and m.shape[1:] == (2,)", True),
    ("((t % 2) ** 2 * 3 // 3).sum() == 2", True),
    ("t.dtype == 'int32' and t.dtype in ('int32', 'int64')", True),
    ("(t == m).all()", False),
    ("bool(t[1]) and int(t[1] / 2) == 1", True),
    ("max(t[1], t[2], 3) == 5 and sum([t[1], t[2]]) == 7", True),
]


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize(("constraint", "holds"), TENSOR_CONDITIONS)
def test_tensors_of_torch_and_numpy(constraint, holds, library):
    t, m = INDPTR, torch.tensor([[0, 2], [2, 9]], dtype=torch.int32)
    bindings = {"t": t, "m": m} if library == "torch" else {"t": t.numpy(), "m": m.numpy()}
    assert check_constraint(constraint, bindings).holds is holds


def test_numpy_scalars_are_numbers():
    bindings = {"n": numpy.int32(2**31 - 1), "x": numpy.float64(0.5), "flag": numpy.bool_(True)}
    assert check_constraint("n + 1 == 2147483648 and x < 1 and flag", bindings).holds is True


@pytest.mark.parametrize("bindings", [{"t": INDPTR}, {"t": INDPTR.numpy()}, {"t": INDPTR[:1]}])
@pytest.mark.parametrize("constraint", ["t > 0", "t == 0 or 1 == 1", "not t", "1 if t else 0"])
def test_condition_per_element_asks_for_all(constraint, bindings):
    with pytest.raises(UnsupportedExpression, match=r"add \.all\(\) or \.any\(\)"):
        check_constraint(constraint, bindings)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.bfloat16, "bfloat16"), (torch.float8_e4m3fn, "float8_e4m3fn"), (torch.bool, "bool")],
)
def test_dtype_is_its_bare_name(dtype, name):
    bindings = {"q": torch.empty(2, dtype=dtype)}
    assert check_constraint(f"q.dtype == '{name}'", bindings).holds is True
    assert check_constraint("q.dtype == 'int4'", bindings).holds is False


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("a in (1, 2, 3)", True),
        ("a not in [1, 2, 3]", False),
        ("b is None and a is not None", True),
        ("a is None", False),
        ("(a if b is None else c) == 2", True),
        ("  a == 2  ", True),
        ("max((1, 9), (3,)) == (3,) and len((1, 9)) == 2", True),
        ("(a,\n 3) == (2, 3)", True),
        ("'x' == \"x\" != 'y'", True),
    ],
)
def test_plain_values(constraint, holds):
    assert check_constraint(constraint, {"a": 2, "b": None}).holds is holds


def test_names_leave_out_called_functions_and_methods():
    assert names_in("max(a, len(t)) == t.max() and int == 3") == {"a", "t", "int"}


SHORT = """
a|1 ~a a@b -'a' 1<<10**9 1j 2**3j b'x' {1:2} {1,2} {x:1} f'{a}' None (yield) a== a=1 a.data a.T
a.item a.shape() a.view(1) a.sum(dim=0) a.max(0) a.item(0) a[...] a[*b] a.numpy().tolist()
len() len(a,b) min() max(*a) isinstance(a,b) open('x') getattr(a,'x') eval('1')
9**9**9 9**9**9==1 a.__class__ 'true' (a)in(b) (a)in'abc' (a)is(b)
"""
HOSTILE = [
    *SHORT.split(),
    "__import__('os').system('x')",
    "__import__ == 1",
    "().__class__.__bases__",
    "a.shape.__len__() == 1",
    "lambda x: x",
    "9**999999999 == 1",
    "9**9**9 > 0 or 1 == 1",
    "2 ** -1 == 0.5",
    "'a' * 10**10 == 'b'",
    "10**10 * [1] == 1",
    "[x for x in y]",
    "(x := 5) == 5",
    "await a",
    "",
    "a == 1, b == 2",
    "a == '\x00'[0]",
    "a == '\ud800'",
    "(" * 5000 + "1" + ")" * 5000,
    "-" * 5000 + "1",
    "(" * 900 + "1" + ")" * 900,
    "-" * 1900 + "1",
    "not " * 400 + "a",
    "a" + "[0]" * 600 + " == 1",
    "a" + ".shape" * 300 + " == 1",
    "1 + " * 400 + "1 == 1",
    "[" * 150 + "]" * 150 + " == a",
    "a" * 2001,
]


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda text: ascii(text)[:40])
def test_hostile_expressions_are_unsupported(expression):
    bindings = {"a": INDPTR, "b": 2, "y": [1], "x": 1}
    with pytest.raises(UnsupportedExpression) as raised:
        check_constraint(expression, bindings)
    assert unsupported(expression) == str(raised.value)
    with pytest.raises(DataError):
        names_in(expression)


@pytest.mark.parametrize(
    "constraint",
    [
        "n ** m > 0",
        " * ".join(["9**64"] * 30) + " > 0",
        "(((n ** 64) ** 64) ** 64) > 0",
    ],
)
def test_integers_stay_bounded(constraint):
    start = time.perf_counter()
    with pytest.raises(UnsupportedExpression, match="4096 bits at column"):
        check_constraint(constraint, {"n": 9, "m": 10**9})
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("expression", "construct"),
    [
        ("a == (lambda: 1)", "Lambda at column 7 "),
        ("[x for x in y]", "ListComp at column 1 "),
        ("a.data == 1", "Attribute data at column 1 "),
        ("1 == open('x')", "Name open at column 6 "),
        ("a + b << 2 == 1", "the operator LShift at column 1 "),
        ("a == == b", "invalid syntax at column 6;"),
    ],
)
def test_message_names_construct_column_and_language(expression, construct):
    message = unsupported(expression)
    assert message.startswith(construct)
    assert "supported: numbers, strings" in message


TEMPLATES = [
    *(f"({{}}) {op} ({{}})" for op in ["+", "-", "*", "/", "//", "%", "==", "!=", "<", ">="]),
    *(f"({{}}) ** {exponent}" for exponent in (0, 2, 5)),
    *("-({})", "+({})", "not ({})", "({}) and ({})", "({}) or ({})", "({}) if ({}) else ({})"),
    *("({}) in (({}), ({}))", "({}) not in [({})]", "({}) < ({}) <= ({})", "({}) > ({}) != ({})"),
    *("min(({}), ({}))", "max(({}), ({}), ({}))", "abs({})", "int({})", "bool({})"),
]


def random_expression(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(["a", "b", "c", str(rng.randint(0, 9)), "1.5", "True"])
    template = rng.choice(TEMPLATES)
    operands = (random_expression(rng, rng.randrange(depth)) for _ in range(template.count("{}")))
    return template.format(*operands)


def test_agrees_with_python():
    rng = random.Random(0)
    seen = {True: 0, False: 0}
    for _ in range(4000):
        expression = random_expression(rng, 4)
        bindings = {name: rng.randint(-20, 20) for name in "abc"}
        try:
            expected = bool(eval(expression, {}, bindings))
        except (ArithmeticError, TypeError):
            expected = False
        outcome = check_constraint(expression, bindings)
        assert outcome.holds is expected, (expression, bindings, outcome.detail)
        seen[expected] += 1
    assert min(seen.values()) > 500
