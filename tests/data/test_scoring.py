"""The public tool's figures: arithmetic means over what was attempted and has a baseline."""

from __future__ import annotations

from typing import Any

import pytest
from records import result, trace_set

from flashinfer_bench.data import SpeedupMetrics, TraceSet, TraceSetSummary

AUTHORS = {"d": {"base": "baseline", "fast": "alice", "slow": "alice", "other": "bob"}}
WORKLOADS = {"d": ["w0", "w1", "w2", "w3"]}
BASELINE = [result("base", f"w{i}", 4.0) for i in range(4)]


def scored(*results: Any, authors: Any = AUTHORS, baseline: Any = BASELINE) -> TraceSet:
    return trace_set(authors, [*baseline, *results], WORKLOADS)


def figures(metrics: SpeedupMetrics) -> tuple[float, int, int, float, float]:
    return (
        metrics.avg_speedup,
        metrics.definitions,
        metrics.workloads,
        metrics.success_rate,
        metrics.win_rate,
    )


def test_a_solution_by_hand():
    dataset = scored(
        result("fast", "w0", 1.0),  # 4 times as fast
        result("fast", "w1", 8.0),  # half as fast
        result("fast", "w2", status="TIMEOUT"),  # counts 0
    )
    metrics = dataset.get_solution_score("fast")
    assert figures(metrics) == (1.5, 1, 3, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert metrics.best_solutions is None


def test_only_what_was_attempted_counts():
    metrics = scored(result("fast", "w0", 1.0)).get_solution_score("fast")
    assert figures(metrics) == (4.0, 1, 1, 1.0, 1.0)


def test_as_fast_as_the_baseline_is_no_win():
    metrics = scored(result("fast", "w0", 4.0)).get_solution_score("fast")
    assert figures(metrics) == (1.0, 1, 1, 1.0, 0.0)


def test_workloads_without_a_baseline_are_left_out():
    baseline = [result("base", "w0", 4.0), result("base", "w1")]
    own = [result("fast", "w0", 2.0), result("fast", "w1", 1.0), result("fast", "w2")]
    dataset = scored(*own, baseline=baseline)
    assert figures(dataset.get_solution_score("fast")) == (2.0, 1, 1, 1.0, 1.0)


def test_hardware_is_kept_apart():
    dataset = scored(
        result("base", "w0", 30.0, hardware="cpu"),
        result("fast", "w0", 10.0, hardware="cpu"),
        result("fast", "w1", 10.0, hardware="tpu"),
        result("fast", "w0", 2.0),
    )
    assert figures(dataset.get_solution_score("fast"))[:3] == (2.5, 1, 2)


def test_the_newest_verdict_counts():
    dataset = scored(
        result("fast", "w0", 1.0, at="2026-01-03T00:00:00"),
        result("fast", "w0", at="2026-01-02T00:00:00"),
    )
    assert figures(dataset.get_solution_score("fast")) == (4.0, 1, 1, 1.0, 1.0)


def test_a_latency_of_zero_is_no_success():
    metrics = scored(result("fast", "w0", 0.0)).get_solution_score("fast")
    assert figures(metrics) == (0.0, 1, 1, 0.0, 0.0)


def test_the_best_baseline_is_the_one_to_beat():
    authors = {"d": {**AUTHORS["d"], "base2": "baseline"}}
    second = [result("base2", "w0", 2.0), result("base2", "w1")]
    dataset = scored(*second, result("fast", "w0", 1.0), authors=authors)
    assert dataset.get_solution_score("fast").avg_speedup == 2.0
    assert dataset.get_solution_score("base").avg_speedup == (0.5 + 1 + 1 + 1) / 4


def test_any_author_may_be_the_baseline():
    dataset = scored(result("other", "w0", 2.0), result("fast", "w0", 1.0))
    assert dataset.get_solution_score("fast", baseline_author="bob").avg_speedup == 2.0
    assert dataset.get_solution_score("fast", baseline_author="reference").avg_speedup == 8.0


def test_an_author_is_the_best_solution_of_each_definition():
    authors = {
        "d": AUTHORS["d"],
        "e": {"base_e": "baseline", "fast_e": "alice"},
        "f": {"fast_f": "alice"},
    }
    results = [
        result("fast", "w0", 1.0),
        result("slow", "w0", 8.0),
        result("base_e", "v0", 3.0, definition="e"),
        result("fast_e", "v0", 1.5, definition="e"),
        result("fast_f", "u0", 1.0, definition="f"),
    ]
    dataset = scored(*results, authors=authors)
    metrics = dataset.get_author_score("alice")
    assert figures(metrics) == (3.0, 2, 2, 1.0, 1.0)
    assert metrics.best_solutions == {"d": "fast", "e": "fast_e"}
    assert dataset.get_author_score("alice", definition_name="e").avg_speedup == 2.0
    assert dataset.get_author_score("alice", op_type="op_d").avg_speedup == 4.0
    assert dataset.get_author_score("baseline").avg_speedup == 1.0


def test_definitions_weigh_the_same_however_many_workloads_they_have():
    authors = {"d": AUTHORS["d"], "e": {"base_e": "baseline", "fast_e": "alice"}}
    results = [
        *[result("fast", f"w{i}", 1.0) for i in range(4)],
        result("base_e", "v0", 4.0, definition="e"),
        result("fast_e", "v0", 4.0, definition="e"),
    ]
    assert scored(*results, authors=authors).get_author_score("alice").avg_speedup == 2.5


def test_ranking():
    dataset = scored(
        result("fast", "w0", 1.0), result("other", "w0", 2.0), result("slow", "w1", 4.0)
    )
    ranking = dataset.rank_authors()
    assert [(author, metrics.avg_speedup) for author, metrics in ranking] == [
        ("alice", 4.0),
        ("bob", 2.0),
    ]
    assert dataset.rank_authors(definition_name="e") == []
    assert dataset.rank_authors(op_type="op_d") == ranking
    assert dataset.rank_authors("bob", "op_d", "d")[0][0] == "alice"


def test_equal_authors_are_ranked_by_name():
    dataset = scored(result("other", "w0", 2.0), result("fast", "w0", 2.0))
    assert [author for author, _ in dataset.rank_authors()] == ["alice", "bob"]


def test_definitions_without_a_baseline_are_left_out_not_fatal():
    dataset = scored(result("fast", "w0", 1.0), baseline=[])
    assert dataset.rank_authors() == []
    assert dataset.summary() == TraceSetSummary(total=1, passed=1, failed=0, rankings=[])


def test_summary():
    dataset = scored(
        result("fast", "w0", 1.0),
        result("fast", "w1", status="REWARD_HACK"),
        result("fast", "w0", at="2020-01-01T00:00:00"),
    )
    summary = dataset.summary()
    assert (summary.total, summary.passed, summary.failed) == (7, 5, 2)
    assert summary.rankings == dataset.rank_authors()
    assert dataset.summary(definition_name="d").total == 7
    assert dataset.summary(op_type="none").total == 0
    assert dataset.summary("bob", "op_d", "d").rankings == []


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda dataset: dataset.get_solution_score("nobody"), "no solution is named 'nobody'"),
        (lambda dataset: dataset.get_solution_score("slow"), "solution 'slow' has no result"),
        (lambda dataset: dataset.get_solution_score("fast", "carol"), "that 'carol' passed"),
        (lambda dataset: dataset.get_author_score("carol"), "author 'carol' has no result"),
        (lambda dataset: dataset.get_author_score("alice", op_type="x"), "author 'alice'"),
        (lambda dataset: dataset.get_author_score("alice", definition_name="x"), "author 'alice'"),
    ],
)
def test_what_cannot_be_compared_is_a_value_error(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(scored(result("fast", "w0", 1.0)))


def test_scores_follow_what_is_added():
    dataset = scored(result("fast", "w0", 1.0))
    assert dataset.get_solution_score("fast").avg_speedup == 4.0
    dataset.add_traces([result("fast", "w1", 2.0)])
    assert dataset.get_solution_score("fast").avg_speedup == 3.0
    dataset.traces["d"] = [*BASELINE, result("fast", "w1", 2.0)]
    assert dataset.get_solution_score("fast").avg_speedup == 2.0
