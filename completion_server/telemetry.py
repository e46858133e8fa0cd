"""Optional export of request traces to an OpenTelemetry collector: times, counts and reasons, never source text.

One span per request with a child per stage, and a histogram of the latency, over OTLP/HTTP. Everything, the import
of the SDK included, happens on a thread of its own: a reply never waits for it. docs/observability.md names all.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor

log = logging.getLogger(__name__)

STAGES = ("queue", "completion_cache", "trigger", "context", "prompt", "prefill", "decode", "postprocess", "gate")
"""In the order in which a request passes them."""
_TEXT_ATTRIBUTES = frozenset(
    {"kind", "trigger", "mode", "trigger_reason", "finish_reason", "stop_rule", "reason", "request_id"}
)
"""Facts of a trace that may be text. A file's address is none of them."""
_MAX_WAITING = 1000
_EXPORT_TIMEOUT_SECONDS = 2.0
_NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Exporters:
    """Where spans and metrics go."""

    spans: SpanProcessor
    metrics: MetricReader


class Telemetry:
    """Takes traces from any thread. The thread starts with the first endpoint; what does not fit is dropped."""

    def __init__(self, make_exporters: Callable[[str], Exporters] | None = None) -> None:
        """``make_exporters(endpoint)``, on the thread; None: OTLP over HTTP. It may raise ImportError."""
        self._make_exporters = make_exporters or _otlp_exporters
        self._endpoint = ""
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._recorder: _Recorder | None = None
        self._is_closed = False

    def apply_endpoint(self, endpoint: str) -> None:
        """Export to the collector at ``endpoint`` (``http://host:port``) from now on; "" for nowhere."""
        if endpoint == self._endpoint:
            return
        self._endpoint = endpoint
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
            self._thread.start()
        self._put(lambda: self._start(endpoint))

    def record(self, trace: Mapping[str, object]) -> None:
        """Export ``trace``, of a request that ends now, soon."""
        if self._endpoint and "total_ms" in trace:
            ended_at_ns = int(datetime.now(timezone.utc).timestamp() * 1e9)
            self._put(lambda: self._record(trace, ended_at_ns))

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Send what waits, for at most so long."""
        if self._thread is not None:
            self._is_closed = True
            self._put(None)  # a full queue needs no waking
            self._thread.join(timeout_seconds)

    def _put(self, task: Callable[[], None] | None) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(task)

    # Everything below runs on the thread.

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:
                log.exception("telemetry failed")
            if self._is_closed and self._queue.empty():
                break
        self._stop()

    def _start(self, endpoint: str) -> None:
        self._stop()
        if not endpoint:
            return
        try:
            self._recorder = _Recorder(self._make_exporters(endpoint))
        except ImportError:
            log.warning(
                "log.otlpEndpoint is set, but OpenTelemetry is missing: pip install 'completion-server[otel]'"
            )

    def _record(self, trace: Mapping[str, object], ended_at_ns: int) -> None:
        if self._recorder is not None:
            self._recorder.record(trace, ended_at_ns)

    def _stop(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()


class _Recorder:
    """An OpenTelemetry SDK of our own, beside whatever the process has."""

    def __init__(self, exporters: Exporters) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({"service.name": "completion-server"})
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(exporters.spans)
        self._metrics = MeterProvider([exporters.metrics], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("completion_server")
        self._latency = self._metrics.get_meter("completion_server").create_histogram(
            "completion_server.request.duration", unit="s", description="From the key press to the reply."
        )

    def record(self, trace: Mapping[str, object], ended_at_ns: int) -> None:
        from opentelemetry.trace import set_span_in_context

        total_ms = _number(trace.get("total_ms"))
        began_at_ns = ended_at_ns - int(total_ms * _NS_PER_MS)
        span = self._tracer.start_span(
            "inline_completion", attributes=attributes_of(trace), start_time=began_at_ns
        )
        parent, at_ns = set_span_in_context(span), began_at_ns
        for name, elapsed_ms in stages_of(trace):
            end_ns = at_ns + int(elapsed_ms * _NS_PER_MS)
            self._tracer.start_span(name, parent, start_time=at_ns).end(end_ns)
            at_ns = end_ns
        span.end(ended_at_ns)
        labels = {name: str(trace[name]) for name in ("trigger", "finish_reason") if name in trace}
        labels["outcome"] = "shown" if trace.get("num_items") else "nothing"
        self._latency.record(total_ms / 1000, labels)

    def close(self) -> None:
        # Providers raise what their exporters do.
        for provider in (self._traces, self._metrics):
            try:
                provider.shutdown()
            except Exception as error:  # noqa: BLE001 - nobody is left to mind
                log.info("telemetry could not be sent: %s", error)


def attributes_of(trace: Mapping[str, object]) -> dict[str, Any]:
    """The facts of ``trace`` that are exported: numbers, flags, names of rules; no text of a document, no file."""
    attributes: dict[str, Any] = {}
    for name, value in trace.items():
        if isinstance(value, bool | int | float) or (isinstance(value, str) and name in _TEXT_ATTRIBUTES):
            attributes[f"completion.{name}"] = value
    fired = trace.get("filters_fired")
    if isinstance(fired, list | tuple):
        attributes["completion.filters_fired"] = [str(each) for each in fired]
    return attributes


def stages_of(trace: Mapping[str, object]) -> list[tuple[str, float]]:
    """Stages and their milliseconds, in the order of STAGES."""
    stages = trace.get("stage_ms")
    known: Mapping[str, object] = stages if isinstance(stages, Mapping) else {}
    return [(name, _number(known[name])) for name in STAGES if name in known]


def _number(value: object) -> float:
    return max(float(value), 0.0) if isinstance(value, int | float) else 0.0


def _otlp_exporters(endpoint: str) -> Exporters:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    base, timeout = endpoint.rstrip("/"), _EXPORT_TIMEOUT_SECONDS
    return Exporters(
        BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces", timeout=timeout)),
        PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics", timeout=timeout)),
    )
