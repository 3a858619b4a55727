"""One client's way to the server, and everything that can happen to it; TLS in front of the server.

All relays run on one event loop (:class:`syncline.testing.live.Proxies`); what happens to them may be said on any
thread. Directions are ``"up"``, to the server, and ``"down"``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncline.testing.choices import Choices, RandomChoices
from syncline.testing.live.proxy import Proxies
from syncline.testing.soak.frames import (
    FrameSplitter,
    Piece,
    RecordSplitter,
    Splitter,
    corrupt_frame,
    corrupt_record,
)

__all__ = ["CUTS", "DIRECTIONS", "Relay", "TlsFront", "Weather", "make_certificate"]

#: The ways in which a connection ends: both sides hear of it by a reset, by an end, or one side a while later.
CUTS: Final = ("reset", "end", "one side")
DIRECTIONS: Final = ("up", "down")

_CHUNK: Final = 1 << 16
_ONE_SIDE_S: Final = 0.2
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Weather:
    """How well a network carries: seconds of delay for each piece, bytes that go at a time (0: all of them)."""

    delay_s: float = 0.0
    drip: int = 0


@dataclass
class Tally:
    """What went by, and what was done to it."""

    bytes: int = 0
    frames: int = 0
    cuts: int = 0
    cuts_in_frames: int = 0
    corrupted: Counter[str] = field(default_factory=Counter)


@dataclass
class _Cut:
    direction: str
    left: int
    style: str


class Relay:
    """Where a client connects to; ``port`` is where it listens."""

    def __init__(self, proxies: Proxies, target_port: int, *, is_tls: bool, seed: int) -> None:
        self.port = 0
        self.tally = Tally()
        self.was_cut = threading.Event()
        self.was_corrupted = threading.Event()
        self._proxies = proxies
        self._target = target_port
        self._is_tls = is_tls
        self._choices: Choices = RandomChoices(seed)
        self._ways: set[_Way] = set()
        self._server: asyncio.Server | None = None
        self._cut: _Cut | None = None
        self._weather = Weather()
        self._one_in = 0  # this share of frames is corrupted; 0: none
        proxies.call(self._listen())

    # --- what happens, said on any thread -----------------------------------------------------------------------------

    def cut(self, style: str) -> None:
        """End all connections now."""
        self._proxies.call(self._cut_now(style))

    def cut_after(self, direction: str, size: int, style: str) -> None:
        """End all connections once ``size`` more bytes went in ``direction``; sets ``was_cut`` then."""
        self.was_cut.clear()
        self._cut = _Cut(direction, size, style)

    def freeze(self, directions: Sequence[str]) -> None:
        """Nothing of the present connections gets through in these directions any more, not even their end."""
        self._proxies.call(self._freeze(directions))

    def thaw(self) -> None:
        """Frozen connections end at last."""
        self._proxies.call(self._thaw())

    def corrupt(self, one_in: int) -> None:
        """From now on one frame in so many is corrupted, by chance; sets ``was_corrupted``."""
        self.was_corrupted.clear()
        self._one_in = one_in

    def weather(self, weather: Weather) -> None:
        """How well everything goes from now on."""
        self._weather = weather

    def calm(self) -> None:
        """Nothing happens any more."""
        self._cut = None
        self._one_in = 0
        self._weather = Weather()
        self.thaw()

    def close(self) -> None:
        """No connections any more."""
        self._proxies.call(self._close())

    # --- on the loop --------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for way in list(self._ways):
            way.end()

    async def _cut_now(self, style: str) -> None:
        self._count_cut(False)
        self._end_ways(style)

    async def _freeze(self, directions: Sequence[str]) -> None:
        for way in self._ways:
            way.frozen.update(directions)

    async def _thaw(self) -> None:
        for way in list(self._ways):
            if way.frozen:
                way.end()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        way = _Way(writer, far_writer)
        self._ways.add(way)
        pumps = [
            asyncio.create_task(self._pump(way, "up", reader, far_writer)),
            asyncio.create_task(self._pump(way, "down", far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if way.style == "one side":
                await asyncio.sleep(_ONE_SIDE_S)
        finally:
            way.end()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._ways.discard(way)

    async def _pump(
        self, way: _Way, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        splitter: Splitter = RecordSplitter() if self._is_tls else FrameSplitter()
        with contextlib.suppress(OSError):
            while not way.is_over.is_set():
                data = await reader.read(_CHUNK)
                if direction in way.frozen or (not data and way.frozen):
                    break
                if not data:
                    return
                for piece in splitter.feed(data):
                    await self._forward(way, direction, piece, writer)
        if way.frozen:  # nobody hears of the end
            await way.is_over.wait()

    async def _forward(self, way: _Way, direction: str, piece: Piece, writer: asyncio.StreamWriter) -> None:
        data = self._perhaps_corrupted(piece)
        weather = self._weather
        step = weather.drip or len(data)
        for start in range(0, len(data), max(1, step)):
            if weather.delay_s:
                await asyncio.sleep(weather.delay_s)
            if way.is_over.is_set() or direction in way.frozen:
                return
            part = data[start : start + step]
            cut = self._cut
            if cut is not None and cut.direction == direction:
                if cut.left <= len(part):
                    writer.write(part[: cut.left])
                    self._cut = None
                    self._count_cut(piece.is_frame and 0 < start + cut.left < len(data))
                    self._end_ways(cut.style)
                    return
                cut.left -= len(part)
            writer.write(part)
            await writer.drain()
            self.tally.bytes += len(part)

    def _perhaps_corrupted(self, piece: Piece) -> bytes:
        self.tally.frames += piece.is_frame
        if not self._one_in or not piece.is_frame or self._choices.integer(1, self._one_in) > 1:
            return piece.data
        data, how = (corrupt_record if self._is_tls else corrupt_frame)(piece.data, self._choices)
        self.tally.corrupted[how] += 1
        self.was_corrupted.set()
        return data

    def _count_cut(self, is_in_frame: bool) -> None:
        self.tally.cuts += 1
        self.tally.cuts_in_frames += is_in_frame
        self.was_cut.set()

    def _end_ways(self, style: str) -> None:
        for way in list(self._ways):
            if not way.frozen:  # nobody hears of the end of those
                way.end(style)


class _Way:
    """One connection with its continuation."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.frozen: set[str] = set()
        self.is_over = asyncio.Event()
        self.style = ""
        self._writers = (near, far)

    def end(self, style: str = "end") -> None:
        """End both sides; of ``"one side"`` the client's now, the server's when this is called again."""
        self.style = style
        self.is_over.set()
        for writer in self._writers[:1] if style == "one side" else self._writers:
            if style == "reset" and (sock := writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class TlsFront:
    """TLS in front of a server that has none, as a load balancer would do it; ``port`` is where it listens."""

    def __init__(self, proxies: Proxies, target_port: int, certificate: Path) -> None:
        self.port = 0
        self._proxies = proxies
        self._target = target_port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._server: asyncio.Server | None = None
        proxies.call(self._listen())

    def close(self) -> None:
        """No new connections."""
        assert self._server is not None
        self._proxies.soon(self._server.close)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pumps = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.transport.abort()
            far_writer.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # of TLS that was tampered with, too
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def make_certificate(path: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "soak")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
