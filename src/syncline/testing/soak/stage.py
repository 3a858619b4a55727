"""Stage: a server, clients and their ways to it, set up and taken down; and what was found while they ran."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from syncline.testing.live.proxy import Proxies
from syncline.testing.soak.member import Member
from syncline.testing.soak.plan import Plan
from syncline.testing.soak.proxy import Relay, TlsFront, make_certificate
from syncline.testing.soak.server import Server

__all__ = ["Stage"]

_NAMES: Final = ("anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hugo")


class Stage:
    """Used as a context manager. Every second client goes by TLS."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        #: what went wrong that should not have
        self.findings: list[str] = []
        self._finding = threading.Lock()
        certificate = folder / "certificate.pem"
        make_certificate(certificate)
        self.server = Server(folder)
        self._proxies = Proxies("127.0.0.1", self.server.port)
        self._front = TlsFront(self._proxies, self.server.port, certificate)
        self.members: list[Member] = []
        names = _NAMES[: plan.clients]
        for index in range(len(names)):
            is_tls = index % 2 == 1
            target = self._front.port if is_tls else self.server.port
            relay = Relay(self._proxies, target, is_tls=is_tls, seed=plan.seed * 100 + index)
            self.members.append(
                Member(
                    index,
                    folder,
                    f"{'https' if is_tls else 'http'}://127.0.0.1:{relay.port}",
                    clients=names,
                    pace=plan.pace,
                    relay=relay,
                    certificate=certificate if is_tls else None,
                )
            )

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
            member.wait_for("open")
        for member in self.members:
            member.wait_for("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.kill()
        for member in self.members:
            member.relay.close()
        self._front.close()
        self._proxies.close()
        self.server.kill()

    def auditor(self) -> Member:
        """A new device that was never in trouble: it comes at the end and downloads everything."""
        names = tuple(member.name for member in self.members)
        auditor = Member(len(names), self.folder, f"http://127.0.0.1:{self.server.port}", clients=names, pace=0)
        auditor.start()
        auditor.wait_for("open")
        return auditor

    def find(self, who: str, what: str) -> None:
        """Something went wrong."""
        with self._finding:
            self.findings.append(f"{who}: {what}")
