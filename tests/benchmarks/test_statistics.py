"""What turns rounds into rows, ratios into a verdict, ages into percentiles."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.gate import interval, verdict
from benchmarks.latency import bucket_edge, percentile
from benchmarks.measure import Figure, row
from benchmarks.report import BEGIN, END, bars, page, plot, table


def rounds(name: str, *cpu_s: float) -> dict[str, object]:
    """A row of one-million-event rounds that took so many CPU seconds."""
    return row(name, "what it is", [Figure(1_000_000, 4.0, used, 100.0) for used in cpu_s])


def test_a_row_holds_medians_and_what_lies_least_and_most() -> None:
    first, second = Figure(500_000, 5.0, 2.0, 90.0), Figure(500_000, 2.5, 4.0, 110.0)
    figures = [first, second, Figure(500_000, 10.0, 2.5, 300.0, 4.0)]
    made = row("cxwatch", "ours", figures)
    assert made["cpu_s_per_million"] == 5.0
    assert made["events_per_s"] == 100_000
    assert made["rss_mb"] == 110
    assert made["rounds"] == 3
    assert made["spread"]["cpu_s_per_million"] == [4.0, 8.0]
    assert made["warm_cpu_s_per_million"] == 4.0


def test_the_interval_is_students_t_on_the_logs() -> None:
    found = interval([1.0, math.e**2])  # logs 0 and 2: mean 1, standard error 1, t(0.975, 1) = 12.706
    assert found.middle == pytest.approx(math.e)
    assert math.log(found.high) == pytest.approx(13.706, abs=0.001)
    assert math.log(found.low) == pytest.approx(-11.706, abs=0.001)
    with pytest.raises(ValueError, match="at least two"):
        interval([1.0])


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice = random.Random(4)
    held = 0
    for _ in range(400):
        found = interval([3.0 * math.exp(dice.gauss(0, 0.08)) for _ in range(7)])
        held += found.low <= 3.0 <= found.high
    assert 365 <= held <= 395


def test_the_gate_fails_only_if_a_small_loss_can_be_excluded() -> None:
    calm = [0.99, 1.0, 1.01, 1.0, 0.99, 1.01, 1.0]
    assert verdict(interval(calm), 1.0)[0]
    assert verdict(interval([1.09 * ratio for ratio in calm]), 1.0)[0]
    passed, sentence = verdict(interval([1.2 * ratio for ratio in calm]), 1.0)
    assert not passed
    assert "FAILED" in sentence
    noisy = [0.8, 1.6, 1.1, 1.5, 0.9, 1.4, 1.1]
    assert verdict(interval(noisy), 1.0)[0]
    assert "nor excluded" in verdict(interval(noisy), 1.0)[1]


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99.0
    assert percentile([1.0, math.inf], 0.99) == math.inf


def test_a_bucket_tells_what_came_between_two_scrapes() -> None:
    before = {0.01: 100.0, 0.1: 100.0, math.inf: 100.0}
    after = {0.01: 150.0, 0.1: 199.0, math.inf: 200.0}
    assert bucket_edge(before, after, 0.5) == 0.01
    assert bucket_edge(before, after, 0.99) == 0.1
    assert bucket_edge(before, after, 1.0) == math.inf
    with pytest.raises(ValueError, match="nothing"):
        bucket_edge(after, after, 0.5)


def test_every_bar_that_can_be_decided_is_told() -> None:
    rows = [rounds("cxwatch", 5.0), rounds("faust-naive", 400.0), rounds("quix-tuned", 19.0)]
    held, naive, quix = bars(rows)
    assert held.startswith("held")
    assert naive.startswith("held")
    assert quix.startswith("MISSED")
    assert bars([rounds("quix-tuned", 19.0)]) == []
    assert bars([rounds("cxwatch", 6.1)])[0].startswith("MISSED")
    assert bars([rounds("cxwatch", 5.0), rounds("kafka-streams-idiomatic", 5.0)])[1].startswith("MISSED")


def test_the_page_keeps_its_text_and_shows_the_cheapest_first() -> None:
    rows = [
        {**one, "measured_at": "2026-01-01T00:00Z", "machine": "two cores"}
        for one in (rounds("faust-naive", 400.0), rounds("cxwatch", 5.0, 6.0, 4.0))
    ]
    text = page(f"before\n{BEGIN}\nold\n{END}\nafter", rows)
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "old" not in text
    assert page(text, rows) == text
    assert text.index("| cxwatch") < text.index("| faust-naive")
    assert "**5.00** (4.00-6.00)" in table(rows)
    drawn = plot(rows)
    assert drawn.count("<rect") == 3
    assert drawn.index("cxwatch") < drawn.index("faust-naive")
