"""Traces as spans: in memory, and over HTTP to a collector in the test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from completion_server.config import load_settings
from completion_server.telemetry import STAGES, Exporters, Telemetry, attributes_of
from completion_server.workspace_file import read_workspace_file
from tests.service.test_service import ScriptedEngine, make_request, make_service

TRACE: dict[str, object] = {
    "request_id": "7",
    "uri": "file:///home/me/secret.py",
    "trigger": "automatic",
    "finish_reason": "stop",
    "num_items": 1,
    "gate_score": 0.5,
    "is_hidden": False,
    "filters_fired": ["drop_blank"],
    "snippets": [{"path": "secret.py"}],
    "anything_else": "secret",
    "stage_ms": {"queue": 1.0, "decode": 20.0, "prefill": 5.0, "gate": 0.5, "unheard_of": 3.0},
    "total_ms": 30.0,
}


class Memory:
    """Exporters that keep what they get."""

    def __init__(self) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()

    def make(self, _endpoint: str) -> Exporters:
        return Exporters(SimpleSpanProcessor(self.spans), self.reader)


def record(telemetry: Telemetry, *traces: dict[str, object]) -> None:
    telemetry.apply_endpoint("memory")
    for trace in traces:
        telemetry.record(trace)


def test_a_request_is_a_span_and_its_stages_are_children() -> None:
    memory = Memory()
    telemetry = Telemetry(memory.make)
    record(telemetry, TRACE, {"finish_reason": "skipped"})  # the second was never a request
    telemetry.close(10)
    *children, root = memory.spans.get_finished_spans()
    assert root.name == "inline_completion"
    assert [child.name for child in children] == ["queue", "prefill", "decode", "gate"]
    assert all(child.parent == root.context for child in children)
    assert [round(_ms(each), 3) for each in (*children, root)] == [1.0, 5.0, 20.0, 0.5, 30.0]
    starts = [child.start_time for child in children]
    assert starts[0] == root.start_time
    assert starts == sorted(starts)  # type: ignore[type-var]


def _ms(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e6


def test_attributes_are_facts_and_never_text_of_a_file_or_its_name() -> None:
    assert attributes_of(TRACE) == {
        "completion.request_id": "7",
        "completion.trigger": "automatic",
        "completion.finish_reason": "stop",
        "completion.num_items": 1,
        "completion.gate_score": 0.5,
        "completion.is_hidden": False,
        "completion.filters_fired": ["drop_blank"],
        "completion.total_ms": 30.0,
    }


def test_without_an_endpoint_nothing_runs() -> None:
    telemetry = Telemetry(lambda _endpoint: pytest.fail("nothing was asked for"))
    telemetry.record(TRACE)
    telemetry.apply_endpoint("")
    telemetry.close()
    assert "telemetry" not in [thread.name for thread in threading.enumerate()]


def test_a_missing_package_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_endpoint: str) -> Exporters:
        raise ImportError("opentelemetry")

    telemetry = Telemetry(fail)
    with caplog.at_level(logging.WARNING, logger="completion_server"):
        record(telemetry, TRACE, TRACE)
        telemetry.close(10)
    (message,) = [each.message for each in caplog.records]
    assert "pip install 'completion-server[otel]'" in message


def test_recording_waits_for_nobody_and_closing_not_for_long() -> None:
    is_open = threading.Event()

    def wait(_endpoint: str) -> Exporters:
        is_open.wait(60)
        return Memory().make("")

    telemetry = Telemetry(wait)
    record(telemetry, *[TRACE] * 5000)  # more than may wait
    telemetry.close(0.01)
    is_open.set()
    # A thread that goes on draws random span ids under the tests that follow.
    telemetry.close(60)
    assert "telemetry" not in [thread.name for thread in threading.enumerate()]


class Collector(ThreadingHTTPServer):
    """Keeps the bodies that are posted to it, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_collector_gets_spans_and_the_latency_when_the_server_ends(collector: Collector) -> None:
    telemetry = Telemetry()
    telemetry.apply_endpoint(f"http://127.0.0.1:{collector.server_port}/")
    telemetry.record(TRACE)
    telemetry.close(30)
    spans = ExportTraceServiceRequest.FromString(collector.bodies["/v1/traces"])
    names = [span.name for span in spans.resource_spans[0].scope_spans[0].spans]
    assert names == ["queue", "prefill", "decode", "gate", "inline_completion"]
    metrics = ExportMetricsServiceRequest.FromString(collector.bodies["/v1/metrics"])
    (metric,) = metrics.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.histogram.data_points
    assert (metric.name, metric.unit, point.count, point.sum) == (
        "completion_server.request.duration",
        "s",
        1,
        0.03,
    )
    assert b"secret" not in b"".join(collector.bodies.values())


def test_every_stage_of_the_service_has_its_place() -> None:
    service, _ = make_service(ScriptedEngine("abc"))
    stages = service.complete(make_request("x = ˇ\n")).trace["stage_ms"]
    assert isinstance(stages, dict)
    assert stages.keys() == set(STAGES)


def test_a_workspace_may_not_say_where_telemetry_goes(tmp_path: Path) -> None:
    (tmp_path / ".completion-server.toml").write_text(
        '[log]\notlpEndpoint = "http://evil.example"\ntraces = false\n'
    )
    loaded = load_settings(read_workspace_file(tmp_path), None, {})
    assert (loaded.settings.log.otlp_endpoint, loaded.settings.log.traces) == ("", False)
    assert "log.otlpEndpoint is ignored" in loaded.warnings[0]
    environ = {"COMPLETION_SERVER_LOG_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    loaded = load_settings(read_workspace_file(tmp_path), None, environ)
    assert loaded.settings.log.otlp_endpoint == "http://127.0.0.1:4318"
