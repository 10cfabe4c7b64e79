"""What a service counts, for Prometheus. Every label has few values: what a client can choose freely never is one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kizu.inspection.shelf import Shelf
from kizu.service.answers import Looked, ratio
from kizu.service.gate import Gate

OTHER = "other"
UNNAMED = "unnamed"
"""The category of what waits before anybody knows which product it is."""
UNKNOWN = "unknown"
"""The category of a picture that looks like no product that is served."""
REFUSALS = ("busy", "stopping", "too-many", "took-too-long")
"""Kinds of problem that are about how much is done at once, not about what was sent."""
_REQUEST = ("method", "endpoint")
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30)
_RATIOS = (0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 3, 5)
"""1 is an edge: what lies above it is NG."""
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Telemetry:
    """One for each application, with a registry of its own."""

    def __init__(self, endpoints: Iterable[str], shelf: Shelf) -> None:
        """`endpoints`: the addresses that exist. `shelf`: what is served; its categories are labels, as they change."""
        self._endpoints, self._shelf = frozenset(endpoints), shelf
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        count, spread = partial(Counter, registry=own), partial(Histogram, registry=own)
        self._requests = count("http_requests", "Requests that were answered.", (*_REQUEST, "status"))
        told = "From the first byte of a request to the last of its answer."
        self._duration = spread("http_request_duration_seconds", told, _REQUEST, buckets=_SECONDS)
        told = "Requests that are being answered."
        self._in_progress = Gauge("http_requests_in_progress", told, _REQUEST, registry=own)
        told = "Pictures that got a verdict: OK, NG, or unknown."
        self._inspections = count("kizu_inspections", told, ("category", "label"))
        told = "Pictures that could not be inspected, by the kind of problem."
        self._failures = count("kizu_failures", told, ("problem",))
        told = "Requests and pictures that were not let in."
        self._refusals = count("kizu_refusals", told, ("reason",))
        told = "Score in parts of the threshold; above 1 is NG."
        self._ratio = spread("kizu_score_ratio", told, ("category",), buckets=_RATIOS)
        told = "What the parts of an answer take."
        self._stages = spread("kizu_stage_seconds", told, ("stage",), buckets=_SECONDS)
        told = "Of pictures whose product was found by likeness."
        self._confidence = spread("kizu_retrieval_confidence", told, buckets=_CONFIDENCES)
        told = "Pictures that look like no product that is served."
        self._unknowns = count("kizu_unknown_products", told)
        for reason in REFUSALS:
            self._refusals.labels(reason)

    def watch(self, gate: Gate) -> None:
        """Show how full it is, whenever somebody asks."""
        self.registry.register(_Present(gate, self._shelf))

    def endpoint(self, path: str) -> str:
        """A path as a label."""
        return path if path in self._endpoints else OTHER

    def category(self, name: str | None) -> str:
        """A product's name as a label."""
        return name if name in _categories(self._shelf) else UNNAMED

    @contextmanager
    def progress(self, method: str, path: str) -> Iterator[None]:
        """While it is open, a request is being answered."""
        gauge = self._in_progress.labels(_method(method), self.endpoint(path))
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request is over."""
        labels = (_method(method), self.endpoint(path))
        self._requests.labels(*labels, str(status)).inc()
        self._duration.labels(*labels).observe(seconds)

    def inspected(self, looked: Looked) -> None:
        """A picture got its verdict, or nobody knows its product."""
        for stage, seconds in looked.stages_s.items():
            self._stages.labels(stage).observe(max(seconds, 0))
        found = looked.found
        if found.retrieved is not None:
            self._confidence.observe(found.retrieved.confidence)
        if found.inspection is None or found.model is None:
            self._unknowns.inc()
            self._inspections.labels(UNKNOWN, UNKNOWN).inc()
            return
        self._inspections.labels(found.model.category, found.inspection.label).inc()
        part = ratio(found.inspection)
        if part is not None:
            self._ratio.labels(found.model.category).observe(part)

    def failed(self, kind: str) -> None:
        """A picture got no verdict."""
        self._failures.labels(kind).inc()
        if kind in REFUSALS:
            self._refusals.labels(kind).inc()

    def text(self) -> bytes:
        """As Prometheus reads it; what has not happened yet of a product that is served is there as 0."""
        for name in _categories(self._shelf):
            self._ratio.labels(name)
            for label in ("OK", "NG"):
                self._inspections.labels(name, label)
        return generate_latest(self.registry)


class _Present(Collector):
    """Asked when it is scraped, so that nothing of gate and shelf is kept twice."""

    def __init__(self, gate: Gate, shelf: Shelf) -> None:
        self._gate, self._shelf = gate, shelf

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The present numbers."""
        info = GaugeMetricFamily(
            "kizu_model_info",
            "Always 1; its labels say what is served.",
            labels=["category", "method", "backbone", "version", "sha256"],
        )
        for model in self._shelf.models():
            info.add_metric(
                [model.category, model.method, model.backbone, str(model.version), model.sha256], 1
            )
        yield info
        waiting = GaugeMetricFamily(
            "kizu_queue_length", "Pictures that wait for their turn.", labels=["category"]
        )
        for name in (*_categories(self._shelf), UNNAMED):
            waiting.add_metric([name], self._gate.waiting[name])
        yield waiting
        for name, told, value in (
            ("kizu_inspections_running", "Pictures that are being inspected.", self._gate.running),
            ("kizu_workers", "Pictures that may be inspected at once.", self._gate.workers),
            ("kizu_places_taken", "Requests that have been let in.", self._gate.held),
            ("kizu_places", "Requests that may be let in.", self._gate.places),
            ("kizu_model_problems", "Models that could not be taken.", len(self._shelf.problems())),
            ("kizu_model_bytes", "What open models take, as it was measured.", self._shelf.open_bytes),
        ):
            yield GaugeMetricFamily(name, told, value=value)


def _categories(shelf: Shelf) -> list[str]:
    return [model.category for model in shelf.models()]


def _method(method: str) -> str:
    return method if method in _METHODS else OTHER
