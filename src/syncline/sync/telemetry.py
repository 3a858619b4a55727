"""OpenTelemetry: spans of what takes time, metrics of what can be counted, if ``opentelemetry-api`` is installed.

===================================  ==================================================================================
span ``syncline.connect``            one attempt: DNS, TCP, TLS, WebSocket; its error, if it failed
span ``syncline.upload``             from handing changesets to the connection until the server acknowledged them
span ``syncline.integrate``          downloads merged into the file and committed, on a worker
counter ``syncline.client.io``       bytes of sync messages, by ``network.io.direction``
counter ``…changesets``              changesets uploaded and integrated, by ``network.io.direction``
counter ``…reconnects``              attempts after the first one to a server
counter ``…errors``                  errors of sessions, by ``error.type``
histogram ``…round_trip``            seconds between a ping and its answer
===================================  ==================================================================================

Where they go, the application's OpenTelemetry SDK decides; without one, or without the library, nothing is recorded:
:class:`Telemetry` then does nothing, and nothing is imported. No metric or span holds a secret or a value of an object.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from syncline.sync.transport import Traffic
from syncline.version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span as OpenSpan
    from opentelemetry.trace import TracerProvider

    from syncline.changesets.changeset import DownloadChangeset, UploadChangeset
    from syncline.errors import SyncError

__all__ = ["OpenTelemetry", "Span", "Telemetry", "Transfers", "process_telemetry"]

_SCOPE: Final = "syncline"
_DIRECTION: Final = "network.io.direction"
_SENT: Final = {_DIRECTION: "transmit"}
_RECEIVED: Final = {_DIRECTION: "receive"}
_MAX_OPEN_UPLOADS: Final = 64


class Span:
    """Something that takes time; this one is not recorded."""

    __slots__ = ()

    def end(self, problem: str | None = None) -> None:
        """It is over, well unless there was a problem."""


_NO_SPAN: Final = Span()


class Telemetry:
    """What happens is told to nobody. ``traffic`` counts the bytes of all sync clients of the process."""

    def __init__(self) -> None:
        self.traffic = Traffic()

    def connect(self, url: str, *, is_first: bool) -> Span:
        """An attempt to connect begins; ``is_first``: since the program's start, to this server."""
        return _NO_SPAN

    def upload(self, realm: str, changesets: int, size: int) -> Span:
        """Changesets of ``size`` bytes are uploaded."""
        return _NO_SPAN

    def integrate(self, realm: str, changesets: int, size: int) -> Span:
        """Downloads of ``size`` bytes are integrated."""
        return _NO_SPAN

    def round_trip(self, url: str, milliseconds: int) -> None:
        """A ping was answered."""

    def error(self, error: SyncError) -> None:
        """A session has an error."""


class Transfers:
    """The uploads and downloads of one protocol session, as spans; a long queue of uploads is not recorded whole."""

    def __init__(self, telemetry: Telemetry, realm: str) -> None:
        self._telemetry = telemetry
        self._realm = realm
        self._uploads: deque[tuple[int, Span]] = deque()

    def uploading(self, entries: Sequence[UploadChangeset]) -> None:
        """These go out now."""
        span = self._telemetry.upload(self._realm, len(entries), sum(len(entry.changeset) for entry in entries))
        if len(self._uploads) < _MAX_OPEN_UPLOADS:
            self._uploads.append((entries[-1].client_version, span))

    def acknowledged(self, version: int) -> None:
        """The server has everything up to ``version``."""
        while self._uploads and self._uploads[0][0] <= version:
            self._uploads.popleft()[1].end()

    def stopped(self) -> None:
        """What is not acknowledged will be uploaded again."""
        while self._uploads:
            self._uploads.popleft()[1].end("not acknowledged before the session stopped")

    @contextmanager
    def integrating(self, entries: Sequence[DownloadChangeset]) -> Iterator[None]:
        """The body merges these into the file. A download without changesets only moves cursors: no span."""
        if not entries:
            yield
            return
        size = sum(len(entry.changeset) for entry in entries)
        span = self._telemetry.integrate(self._realm, len(entries), size)
        problem: str | None = "failed"
        try:
            yield
            problem = None
        finally:
            span.end(problem)


class _RecordedSpan(Span):
    """A span of OpenTelemetry."""

    __slots__ = ("_span",)

    def __init__(self, span: OpenSpan) -> None:
        self._span = span

    def end(self, problem: str | None = None) -> None:
        from opentelemetry.trace import StatusCode

        if problem is not None:
            self._span.set_status(StatusCode.ERROR, problem)
        self._span.end()


class OpenTelemetry(Telemetry):
    """What happens is told to OpenTelemetry.

    Args:
        tracers, meters: by default the process's own, whenever the application sets them.

    Raises ImportError where the library is missing.
    """

    def __init__(self, tracers: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        super().__init__()
        from opentelemetry import metrics, trace

        self._tracer = trace.get_tracer(_SCOPE, __version__, tracers)
        self._kind = trace.SpanKind
        meter = metrics.get_meter(_SCOPE, __version__, meters)
        observation = metrics.Observation

        def io(options: CallbackOptions) -> Iterable[Observation]:
            return [
                observation(self.traffic.bytes_sent, _SENT),
                observation(self.traffic.bytes_received, _RECEIVED),
            ]

        name = "syncline.client"
        meter.create_observable_counter(f"{name}.io", [io], "By", "bytes of sync messages over the wire")
        self._changesets = meter.create_counter(f"{name}.changesets", "{changeset}", "changesets uploaded, integrated")
        self._reconnects = meter.create_counter(f"{name}.reconnects", "{attempt}", "attempts after the first one")
        self._errors = meter.create_counter(f"{name}.errors", "{error}", "errors of sessions")
        self._round_trips = meter.create_histogram(f"{name}.round_trip", "s", "between a ping and its answer")

    def connect(self, url: str, *, is_first: bool) -> Span:
        if not is_first:
            self._reconnects.add(1, {"url.full": url})
        return _RecordedSpan(
            self._tracer.start_span(f"{_SCOPE}.connect", kind=self._kind.CLIENT, attributes={"url.full": url})
        )

    def upload(self, realm: str, changesets: int, size: int) -> Span:
        self._changesets.add(changesets, _SENT)
        return self._transfer("upload", realm, changesets, size)

    def integrate(self, realm: str, changesets: int, size: int) -> Span:
        self._changesets.add(changesets, _RECEIVED)
        return self._transfer("integrate", realm, changesets, size)

    def round_trip(self, url: str, milliseconds: int) -> None:
        self._round_trips.record(milliseconds / 1000, {"url.full": url})

    def error(self, error: SyncError) -> None:
        self._errors.add(1, {"error.type": error.code.name, "syncline.fatal": error.is_fatal})

    def _transfer(self, what: str, realm: str, changesets: int, size: int) -> Span:
        attributes: dict[str, str | int] = {
            "syncline.realm": realm,
            "syncline.changesets": changesets,
            "syncline.bytes": size,
        }
        return _RecordedSpan(self._tracer.start_span(f"{_SCOPE}.{what}", attributes=attributes))


@functools.cache
def process_telemetry() -> Telemetry:
    """The telemetry of this process, made with the first sync client: OpenTelemetry's, if it is installed."""
    try:
        return OpenTelemetry()
    except ImportError:
        return Telemetry()
