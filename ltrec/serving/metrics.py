"""What the server counts, in Prometheus' text form.

Labels have few values: routes of the app, status codes, strata and sources; never ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ltrec.serving.served import ModelAnswer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class ServerMetrics:
    """The counters of one server.

    Args:
        waiting: histories that wait now.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("ltrec_requests", "Requests.", ["route", "status"], registry=own)
        self.seconds = Histogram("ltrec_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, registry=own)
        self.batch = Histogram("ltrec_batch_size", "Histories of a pass of the model.", buckets=_SIZES, registry=own)
        self.answers = Counter("ltrec_answers", "Lists given.", ["stratum", "source"], registry=own)
        self.unknown = Counter("ltrec_unknown_items", "Items of histories that the model does not know.", registry=own)
        self.reloads = Counter("ltrec_reloads", "Artefacts that came after the first.", ["result"], registry=own)
        self._artefact = Gauge("ltrec_artefact", "1 for the artefact that serves.", ["digest", "run", "model"], registry=own)
        Gauge("ltrec_queue_length", "Histories that wait.", registry=own).set_function(waiting)

    def serves(self, digest: str, run: str, model: str) -> None:
        """Another artefact serves."""
        self._artefact.clear()
        self._artefact.labels(digest, run, model).set(1)

    def answered(self, answers: Iterable[ModelAnswer]) -> None:
        """Lists were given."""
        for answer in answers:
            self.answers.labels(answer.stratum, answer.source).inc()
            if answer.unknown_items:
                self.unknown.inc(answer.unknown_items)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
