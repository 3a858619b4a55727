"""Clients and a server around the machines, in memory, on virtual time, with everything that can go wrong in between.

One seed decides everything, the protocol version of each connection too. Each step is one small thing: a commit, a
message written or delivered, an answer of a driver, a lost connection, a crash. Messages are never altered, only lost
with their connection, as on a real transport.
"""

from __future__ import annotations

from collections import deque
from random import Random

from syncline.protocol import (
    BindRequested,
    ClientConnection,
    ClientEvent,
    ClientSession,
    ClientSettings,
    CloseWanted,
    DisconnectWanted,
    DownloadCompleted,
    DownloadReceived,
    DownloadWanted,
    IdentReceived,
    IdentRequested,
    MarkRequested,
    ServerConnection,
    ServerEvent,
    ServerSession,
    ServerSettings,
    SessionEnded,
    SessionError,
    SyncMode,
    TerminationReason,
    UploadReceived,
    UploadWanted,
)
from syncline.testing.wire_peers import MemoryFile, MemoryRealm


class Link:
    """One WebSocket: what is under way in each direction, and which side still has it open."""

    def __init__(self, client: Client, server: ServerConnection) -> None:
        self.client = client
        self.server = server
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.client_open = True
        self.server_open = True
        self.questions: deque[ServerEvent] = deque()


class Client:
    """A process with one connection and one session per Realm."""

    def __init__(self, world: World, number: int, realms: list[str]) -> None:
        self.world = world
        self.number = number
        self.files = [MemoryFile(path) for path in realms]
        self.commits = 0
        self.next_session = 1
        self.start()

    def start(self) -> None:
        """A new process: only what is in the files is left."""
        settings = ClientSettings(upload_activation_delay=self.world.random.random() < 0.5)
        self.machine = ClientConnection(self.world.mode, self.world.random, settings)
        self.link: Link | None = None
        self.questions: deque[ClientEvent] = deque()
        self.marks: list[tuple[ClientSession, int, int]] = []  # session, mark, server version it must cover
        self.sessions: dict[ClientSession, MemoryFile] = {}
        for file in self.files:
            session = self.machine.bind(self.next_session, file.config())
            self.next_session += 1
            self.sessions[session] = file

    def commit(self) -> None:
        session, file = self.world.random.choice(list(self.sessions.items()))
        self.commits += 1
        session.committed(file.commit(b"%d:%d" % (self.number, self.commits) * self.world.random.choice((1, 1, 300))))

    def ask_for_mark(self) -> None:
        session, file = self.world.random.choice(list(self.sessions.items()))
        self.marks.append((session, session.request_mark(), self.world.realms[file.path].version))

    def collect(self) -> None:
        """Take the machine's events; what needs work is done later."""
        for event in self.machine.events():
            if isinstance(event, DisconnectWanted):
                reason = event.reaction.reason
                assert reason in (TerminationReason.TRY_AGAIN_LATER, TerminationReason.PONG_TIMEOUT), event.message
                self.lose_link()
            elif isinstance(event, DownloadCompleted):
                self._complete(event)
            elif isinstance(event, SessionError):
                raise AssertionError(event.error)
            elif isinstance(event, IdentReceived | UploadWanted | DownloadReceived):
                self.questions.append(event)

    def _complete(self, event: DownloadCompleted) -> None:
        version = self.sessions[event.session].progress.download.server_version
        for session, mark, needed in self.marks:
            if session is event.session and mark <= event.mark:
                assert version >= needed
        self.marks = [one for one in self.marks if one[0] is not event.session or one[1] > event.mark]

    def answer(self) -> None:
        """Do the oldest piece of work."""
        event = self.questions.popleft()
        if isinstance(event, IdentReceived):
            event.session.ident_stored(self.sessions[event.session].store_ident(event.file_ident))
        elif isinstance(event, UploadWanted):
            event.session.supply_upload(event, *self.sessions[event.session].uploadable(event.cursor, event.up_to, 500))
        elif isinstance(event, DownloadReceived):
            event.session.integrated(event.progress, self.sessions[event.session].integrate(event))
        self.collect()

    def lose_link(self) -> None:
        """The client notices that its connection is gone."""
        if self.link is not None:
            self.link.client_open = False
            self.link.down.clear()
            self.link = None
            self.machine.disconnected(self.world.now)
            self.collect()


class World:
    """The server, the clients and the wires between them."""

    def __init__(self, seed: int, clients: int = 3, mode: SyncMode = SyncMode.PBS) -> None:
        self.random = Random(seed)
        self.mode = mode
        self.now = 0
        paths = ("/a", "/b") if mode is SyncMode.PBS else ("",)
        self.realms = {path: MemoryRealm(lambda version: self.random.randint(1, 2**63 - 1)) for path in paths}
        self.links: list[Link] = []
        self.members: dict[ServerSession, Link] = {}
        self.clients = [Client(self, number, list(self.realms)) for number in range(clients)]

    # --- what happens -------------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Chaos."""
        actions = [
            (self.some_client_commits, 6),
            (self.some_client_connects, 8),
            (self.some_client_writes, 25),
            (self.some_client_works, 20),
            (self.some_client_marks, 3),
            (self.server_writes, 25),
            (self.server_works, 25),
            (self.server_integrates, 8),
            (self.messages_arrive, 40),
            (self.time_passes, 5),
            (self.some_link_breaks, 1),
            (self.some_client_restarts, 0.3),
            (self.server_crashes, 0.2),
            (self.server_shuts_down, 0.2),
        ]
        for action in self.random.choices([one for one, _ in actions], [weight for _, weight in actions], k=steps):
            action()

    def settle(self) -> None:
        """Everybody connects, and everything that can be said and done is."""
        for client in self.clients:
            client.lose_link()
        for link in list(self.links):
            self.drop_server_side(link)
        for client in self.clients:
            self.connect(client)
            for session in client.sessions:
                client.marks.append((session, session.request_mark(), 0))
        quiet = 0
        while quiet < 3:
            before = self._activity()
            for _ in range(200):
                self.some_client_writes()
                self.some_client_works()
                self.server_writes()
                self.server_works()
                self.server_integrates()
                self.messages_arrive()
            quiet = quiet + 1 if self._activity() == before else 0

    def _activity(self) -> tuple[object, ...]:
        files = [file.progress for client in self.clients for file in client.files]
        marks = [len(client.marks) for client in self.clients]
        waiting = [len(link.up) + len(link.down) + len(link.questions) for link in self.links]
        return (files, marks, waiting, [realm.version for realm in self.realms.values()])

    # --- clients ------------------------------------------------------------------------------------------------------

    def _some_client(self) -> Client:
        return self.random.choice(self.clients)

    def some_client_commits(self) -> None:
        self._some_client().commit()

    def some_client_marks(self) -> None:
        self._some_client().ask_for_mark()

    def some_client_connects(self) -> None:
        client = self._some_client()
        if client.link is None:
            self.connect(client)

    def connect(self, client: Client) -> None:
        version = self.random.randint(2, 14)
        server = ServerConnection(version, self.mode, "c", self.now, ServerSettings(fetches=1))
        client.link = Link(client, server)
        self.links.append(client.link)
        client.machine.connected(version, self.now)

    def some_client_writes(self) -> None:
        client = self._some_client()
        if client.link is not None:
            message = client.machine.next_message(self.now)
            if message is not None:
                client.link.up.append(message)
            client.collect()

    def some_client_works(self) -> None:
        client = self._some_client()
        if client.questions:
            client.answer()

    def some_client_restarts(self) -> None:
        client = self._some_client()
        client.lose_link()
        client.start()

    def time_passes(self) -> None:
        self.now += self.random.choice((1, 100, 30_000, 70_000))
        for client in self.clients:
            client.machine.tick(self.now)
            client.collect()

    # --- the wires ----------------------------------------------------------------------------------------------------

    def messages_arrive(self) -> None:
        for link in list(self.links):
            if link.up and link.server_open and not link.server.read_paused and self.random.random() < 0.5:
                link.server.receive(link.up.popleft(), self.now)
                self.collect(link)
            if link.down and link.client_open and self.random.random() < 0.5:
                link.client.machine.receive(link.down.popleft(), self.now)
                link.client.collect()

    def some_link_breaks(self) -> None:
        """One side or both notice; what the client had written may still arrive."""
        if self.links:
            link = self.random.choice(self.links)
            if self.random.random() < 0.7 and link.client.link is link:
                link.client.lose_link()
            if self.random.random() < 0.7:
                self.drop_server_side(link)

    # --- the server ---------------------------------------------------------------------------------------------------

    def server_writes(self) -> None:
        if self.links:
            link = self.random.choice(self.links)
            message = link.server.next_message()
            if message is not None and link.server_open:
                link.down.append(message)
            self.collect(link)

    def collect(self, link: Link) -> None:
        for event in link.server.events():
            if isinstance(event, CloseWanted):
                assert "shutting down" in event.message, event
                link.server_open = False
            elif isinstance(event, SessionEnded):
                self.members.pop(event.session, None)
            else:
                link.questions.append(event)
        if not link.server_open and not link.down:
            self.drop_server_side(link)

    def server_works(self) -> None:
        """Answer the oldest question of some connection."""
        links = [link for link in self.links if link.questions]
        if not links:
            return
        link = self.random.choice(links)
        event = link.questions.popleft()
        if isinstance(event, BindRequested):
            realm = self.realms[event.path]
            salt = self.random.randint(1, 2**63 - 1)
            event.session.accept_bind(event.path, realm.allocate(salt) if event.need_client_file_ident else None)
        elif isinstance(event, IdentRequested):
            self._identify(link, event)
        elif isinstance(event, UploadReceived):
            self.realms[str(event.session.realm)].enqueue(event)
        elif isinstance(event, DownloadWanted):
            realm = self.realms[str(event.session.realm)]
            event.session.supply_download(realm.download(event.session.file_ident, event.cursor, 1000))
        elif isinstance(event, MarkRequested):
            event.session.confirm_mark(self.realms[str(event.session.realm)].version)
        self.collect(link)

    def _identify(self, link: Link, event: IdentRequested) -> None:
        session = event.session
        code = session.identify(self.realms[str(session.realm)].facts(event.request))
        assert code in (0, -1), code
        if code != 0:
            return
        for other, its_link in list(self.members.items()):
            if (other.realm, other.file_ident) == (session.realm, session.file_ident):
                self.drop_server_side(its_link)
        self.members[session] = link

    def server_integrates(self) -> None:
        path = self.random.choice(list(self.realms))
        realm = self.realms[path]
        if realm.queue:
            realm.integrate_next()
            for session in list(self.members):
                if session.realm == path:
                    session.advance(realm.version)

    def drop_server_side(self, link: Link) -> None:
        """The server's end of a connection is closed; what was received is still integrated."""
        if link in self.links:
            self.links.remove(link)
            link.server_open = False
            link.server.disconnected()
            for event in [*link.questions, *link.server.events()]:
                if isinstance(event, UploadReceived):
                    self.realms[str(event.session.realm)].enqueue(event)
                elif isinstance(event, SessionEnded):
                    self.members.pop(event.session, None)
            link.questions.clear()
            if link.client.link is link:
                link.client.lose_link()

    def server_crashes(self) -> None:
        """What was not integrated is lost."""
        for link in list(self.links):
            self.drop_server_side(link)
        for realm in self.realms.values():
            realm.queue.clear()

    def server_shuts_down(self) -> None:
        for link in self.links:
            link.server.shut_down()
            self.collect(link)
