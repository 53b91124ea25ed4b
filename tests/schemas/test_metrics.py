"""The catalogue of metrics, its page, and what a worker exports say the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from schemas.metrics import METRICS, OUTCOMES, page
from streams.metrics import Metrics
from streams.runtime.intake import TopicCounts
from streams.sender.metrics import SenderMetrics

ALLOWED_LABELS = {"reason", "room", "topic", "partition", "outcome", "consumergroup"}


def test_a_worker_exports_exactly_the_metrics_of_the_catalogue() -> None:
    metrics = Metrics()
    collectors = {one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)}
    exported = {(family.name, family.type, one._labelnames, family.documentation)
                for one in collectors for family in one.describe()}
    exported |= {(family.name, family.type, metrics.age.labels, family.documentation)
                 for family in metrics.age.describe()}
    assert {family.name for family in metrics.registry.collect()} == {name for name, *_ in exported}
    wanted = {(metric.name.removesuffix("_total"), metric.kind, metric.labels, metric.meaning)
              for metric in METRICS if metric.origin == "worker"}
    assert exported == wanted


def test_a_sender_exports_exactly_the_metrics_of_the_catalogue() -> None:
    metrics = SenderMetrics()
    exported = {(family.name, family.type, one._labelnames, family.documentation)
                for one in vars(metrics).values() if isinstance(one, MetricWrapperBase) for family in one.describe()}
    wanted = {(metric.name.removesuffix("_total"), metric.kind, metric.labels, metric.meaning)
              for metric in METRICS if metric.origin == "sender"}
    assert exported == wanted
    assert {family.name for family in metrics.registry.collect()} == {name for name, *_ in wanted}


def test_names_follow_the_rule_and_labels_are_closed_sets() -> None:
    for metric in METRICS:
        assert set(metric.labels) <= ALLOWED_LABELS
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        if metric.origin in ("worker", "sender"):
            assert re.fullmatch(r"cx_[a-z]+(_[a-z]+)+", metric.name)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_every_outcome_of_a_record_is_explained() -> None:
    assert set(OUTCOMES) == {field.name for field in dataclasses.fields(TopicCounts)} - {"unknown_fields"}


def test_the_page_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    assert written == page(), "run `make reference`"
