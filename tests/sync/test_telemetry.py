"""What OpenTelemetry is told, with its in-memory exporters and a real server; and that nothing of it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.errors import ClientSessionError
from syncline.sync.telemetry import OpenTelemetry, Span, Telemetry, Transfers
from syncline.testing.processes import ServerProcess

_SYNC = """
    import sys
    from pathlib import Path
    from syncline import *

    class Dog(Model):
        id: int = Field(primary_key=True)
        name: str

    def run(folder, url, name):
        manager = SyncManager(Path(folder) / "sync")
        user = manager.log_in(SyncCredentials.username_password(name, "correct horse", register=True), url)
        realms = []
        for file in ("a", "b"):
            configuration = SyncConfiguration(user, f"/kennel/{name}", path=str(Path(folder) / f"{file}.realm"))
            realms.append(Realm.open(RealmConfiguration(schema=[Dog], sync=configuration)))
        for number, realm in enumerate(realms):
            with realm.write():
                realm.create(Dog, id=number, name="Rex")
            realm.sync_session.wait_for_upload(30)
        realms[0].sync_session.wait_for_download(30)
        manager.close()
"""

_RECORDED = """
    import json
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    run(*sys.argv[1:])
    spans = [(span.name, dict(span.attributes), span.status.status_code.name) for span in exporter.get_finished_spans()]
    points = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    direction = point.attributes.get("network.io.direction", "")
                    points[f"{metric.name} {direction}".strip()] = getattr(point, "value", None)
    print(json.dumps([spans, points]))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_session_leaves_spans_and_metrics(tmp_path: Path, server: ServerProcess) -> None:
    program = textwrap.dedent(_SYNC) + textwrap.dedent(_RECORDED)
    spans, points = json.loads(run(program, tmp_path, server.url, "ann"))
    assert {name for name, _, _ in spans} == {"syncline.connect", "syncline.upload", "syncline.integrate"}
    assert {status for name, _, status in spans if name != "syncline.upload"} == {"UNSET"}
    uploads = [attributes for name, attributes, _ in spans if name == "syncline.upload"]
    assert {attributes["syncline.realm"] for attributes in uploads} == {"/kennel/ann"}
    assert all(attributes["syncline.bytes"] > 0 for attributes in uploads)
    assert points["syncline.client.changesets transmit"] >= 2
    assert points["syncline.client.changesets receive"] >= 1
    assert points["syncline.client.io transmit"] > 0
    assert points["syncline.client.io receive"] > 0


def test_nothing_is_loaded_where_it_is_not_installed(tmp_path: Path, server: ServerProcess) -> None:
    program = textwrap.dedent(_SYNC) + textwrap.dedent("""
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "opentelemetry":
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Absent())
        run(*sys.argv[1:])
        assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    """)
    run(program, tmp_path, server.url, "bob")


def test_importing_the_client_loads_nothing_of_it() -> None:
    run("import sys, syncline.sync; assert not [n for n in sys.modules if n.startswith('opentelemetry')]")


class Recorder:
    """OpenTelemetry with exporters of its own."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = OpenTelemetry(tracers, MeterProvider([self._reader]))

    def spans(self) -> list[tuple[str, str, str | None]]:
        return [
            (span.name, span.status.status_code.name, span.status.description)
            for span in self._exporter.get_finished_spans()
        ]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), getattr(point, "sum", None) or getattr(point, "value", None))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"syncline.client.{name}"
            for point in metric.data.data_points
        ]


def test_a_failed_attempt_and_the_next() -> None:
    recorder = Recorder()
    recorder.telemetry.connect("ws://x", is_first=True).end("nobody there")
    recorder.telemetry.connect("ws://x", is_first=False).end()
    assert recorder.spans() == [
        ("syncline.connect", "ERROR", "nobody there"),
        ("syncline.connect", "UNSET", None),
    ]
    assert recorder.points("reconnects") == [({"url.full": "ws://x"}, 1)]


def test_round_trips_errors_and_bytes() -> None:
    recorder = Recorder()
    recorder.telemetry.round_trip("ws://x", 250)
    recorder.telemetry.error(ClientSessionError("no"))
    recorder.telemetry.traffic.sent(7)
    recorder.telemetry.traffic.received(9)
    assert recorder.points("round_trip") == [({"url.full": "ws://x"}, 0.25)]
    assert recorder.points("errors") == [({"error.type": "CLIENT_SESSION", "syncline.fatal": False}, 1)]
    assert [value for _, value in recorder.points("io")] == [7, 9]


def test_an_upload_lasts_until_it_is_acknowledged() -> None:
    from syncline.changesets.changeset import UploadChangeset

    recorder = Recorder()
    transfers = Transfers(recorder.telemetry, "/dogs")
    for version in (3, 5, 8):
        transfers.uploading([UploadChangeset(version, 0, 0, 0, b"xx")])
    assert recorder.spans() == []
    transfers.acknowledged(4)
    assert recorder.spans() == [("syncline.upload", "UNSET", None)]
    transfers.acknowledged(5)
    assert len(recorder.spans()) == 2
    transfers.stopped()
    assert recorder.spans()[-1] == ("syncline.upload", "ERROR", "not acknowledged before the session stopped")


def test_an_integration_that_fails() -> None:
    from syncline.changesets.changeset import DownloadChangeset

    recorder = Recorder()
    transfers = Transfers(recorder.telemetry, "/dogs")
    with pytest.raises(ZeroDivisionError), transfers.integrating([DownloadChangeset(1, 0, 0, 2, 2, b"xx")]):
        raise ZeroDivisionError
    with transfers.integrating([]):  # cursors only
        pass
    assert recorder.spans() == [("syncline.integrate", "ERROR", "failed")]


def test_without_it_nothing_happens() -> None:
    telemetry = Telemetry()
    assert type(telemetry.connect("ws://x", is_first=True)) is Span
    transfers = Transfers(telemetry, "/dogs")
    for _ in range(3):
        with transfers.integrating([]):
            pass
    telemetry.round_trip("ws://x", 1)
    telemetry.error(ClientSessionError("no"))
