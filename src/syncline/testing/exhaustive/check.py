"""Checking one case: what must hold after everybody exchanged everything.

* *convergence*: the server and all peers hold the same (``storage/dump.py``);
* *agreement*: it is what they hold when the server takes the peers' uploads one after the other instead; *list order*,
  where only the order in lists differs;
* *invariants* of the state (``invariants.py``);
* *mirror*: merging two sides gives the same, whichever is called ours (spec/merge.md §2.3);
* *re-delivery*: uploads sent again and downloads delivered again change nothing (spec/merge.md §8.3, §10.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.changesets.changeset import Changeset, DownloadChangeset, SyncProgress, UploadChangeset, UploadCursor
from syncline.changesets.codec import decode, encode
from syncline.errors import ProtocolViolationError, SynclineError, TransformError
from syncline.merge.transform import transform
from syncline.protocol.checks import check_download
from syncline.protocol.messages import Download
from syncline.storage.dump import dump
from syncline.testing.exhaustive.cases import Case, History
from syncline.testing.exhaustive.domain import Domain
from syncline.testing.exhaustive.invariants import Invariants
from syncline.testing.exhaustive.nested import NestedFile
from syncline.testing.exhaustive.world import LETTERS, Peer, RefusedError, Server, World

__all__ = ["Checker", "Problem", "Run", "check"]

State: TypeAlias = "dict[str, Any]"

#: When the histories of a case happen: this and its digit, in milliseconds.
_START: Final = 1_000
#: Final states that are remembered.
_FINDINGS: Final = 500


class Problem(NamedTuple):
    """What is wrong: ``kind`` is one of the words of this module's description, ``error`` or ``refused``.

    ``sent``: the changesets of each peer, as uploaded.
    """

    kind: str
    text: str
    sent: tuple[tuple[bytes, ...], ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class Run(NamedTuple):
    """What came of a case: the state of the server ("S") and of each peer ("A" …), and what was sent and received."""

    states: dict[str, State]
    uploads: dict[str, list[UploadChangeset]]
    downloads: dict[str, list[DownloadChangeset]]
    problems: list[Problem]
    rules: list[str]

    @property
    def sent(self) -> tuple[tuple[bytes, ...], ...]:
        """The changesets of each peer, as far as uploaded."""
        return tuple(tuple(entry.changeset for entry in self.uploads[letter]) for letter in sorted(self.uploads))


def check(case: Case) -> list[Problem]:
    """Everything that is wrong with a case; for many cases of one domain a :class:`Checker` is faster."""
    with Checker() as checker:
        return checker.check(case)


class Checker:
    """Checks cases. Keeps the files of the last domain, and the last final state that orders have to agree with."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._world_of: tuple[Domain, int] | None = None
        self._findings = _Findings()
        self._expected: State | None = None
        self._expected_of: tuple[Domain, tuple[History, ...], tuple[str, ...]] | None = None

    def check(self, case: Case) -> list[Problem]:
        """Everything that is wrong with the case."""
        run = self.run(case)
        if run.problems:
            return run.problems
        reference = case.reference
        key = (case.domain, case.histories, case.times)
        if case.order == reference.order:
            self._expected, self._expected_of = run.states["S"], key
            return []
        if self._expected_of != key:
            first = self.run(reference)
            self._expected, self._expected_of = None if first.problems else first.states["S"], key
        if self._expected is not None and self._expected != run.states["S"]:
            text = f"#{case.order} ends in another state than #{reference.order}"
            kind = "list order" if unordered(self._expected) == unordered(run.states["S"]) else "agreement"
            return [Problem(kind, f"{text}: {difference(self._expected, run.states['S'])}", run.sent)]
        return []

    def run(self, case: Case) -> Run:
        """Carry the case out and check what can be seen of it alone."""
        world = self._at(case)
        with world.trial():
            trial = _Trial(case, world, self._findings)
            trial.carry_out()
            return trial.result

    def _at(self, case: Case) -> World:
        wanted = (case.domain, len(case.histories))
        if self._world is None or self._world_of != wanted:
            self.close()
            self._world, self._world_of = World(case.domain.schema, case.domain.objects, wanted[1]), wanted
        return self._world

    def close(self) -> None:
        """Give the memory back."""
        if self._world is not None:
            self._world.close()
            self._findings.forget()
        self._world = None

    def __enter__(self) -> Checker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Findings:
    """What files hold, and what is broken in it: looked at once for everything that was done to a file.

    The cases of one group often do the same to a file: whatever their times and order, where the edits do not meet.
    """

    def __init__(self) -> None:
        self._invariants = Invariants()
        self._known: dict[tuple[NestedFile, object], tuple[State, list[str]]] = {}

    def of(self, file: NestedFile, done: object) -> tuple[State, list[str]]:
        """The state and the complaints of a file; ``done`` is what was done to it since the common state."""
        found = self._known.get((file, done))
        if found is None:
            if len(self._known) >= _FINDINGS:
                self._known.clear()
            tx = file.begin()
            try:
                found = self._known[file, done] = dump(tx), self._invariants.broken(tx)
            finally:
                file.rollback(tx)
        return found

    def forget(self) -> None:
        """The files are gone."""
        self._known.clear()


class _Trial:
    """One case being carried out in a world."""

    def __init__(self, case: Case, world: World, findings: _Findings) -> None:
        self._case = case
        self._world = world
        self._findings = findings
        self.result = Run({}, {}, {}, [], world.rules)
        self._sent: list[tuple[Peer, list[UploadChangeset], UploadCursor]] = []

    def carry_out(self) -> None:
        """Fill the result."""
        doing = "committing"
        try:
            self._commit()
            self._check_mirror()
            doing = "exchanging"
            self._exchange()
            doing = "sending again"
            self._send_again()
            self._compare()
        except RefusedError as error:
            self._complain("refused", str(error))
        except (SynclineError, ValueError, LookupError, TypeError, AssertionError, RuntimeError) as error:
            self._complain("error", f"while {doing}: {type(error).__name__}: {error}")

    def _complain(self, kind: str, text: str) -> None:
        self.result.problems.append(Problem(kind, text))

    def _commit(self) -> None:
        for peer, history, times in zip(self._world.peers, self._case.histories, self._case.times, strict=True):
            for transaction, digit in zip(history, times, strict=True):
                operations = [operation for edit in transaction for operation in edit.operations]
                peer.commit(operations, _START + int(digit))

    # --- exchanging ---------------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        peers, server = self._world.peers, self._world.server
        for number in self._case.uploads:
            self._upload(number)
            if self._case.is_live:
                for position in range(len(peers)):
                    self._download(position)
        for position in range(len(peers)):
            self._download(position)
        assert all(peer.progress.download.server_version == server.version for peer in peers)

    def _upload(self, number: int) -> None:
        peer = self._world.peers[number]
        entries, cursor = peer.upload(self._world.server, 1)
        self._sent.append((peer, entries, cursor))
        self.result.uploads.setdefault(LETTERS[number], []).extend(entries)

    def _download(self, number: int) -> None:
        peer = self._world.peers[number]
        before = peer.progress
        entries, progress = peer.download(self._world.server)
        self.result.downloads.setdefault(LETTERS[number], []).extend(entries)
        if entries:
            self._deliver_again(peer, entries, progress)
        elif progress.download.server_version < before.download.server_version:
            self._complain("redelivery", f"the download cursor of {LETTERS[number]} went back")

    # --- again --------------------------------------------------------------------------------------------------------

    def _deliver_again(self, peer: Peer, entries: list[DownloadChangeset], progress: SyncProgress) -> None:
        """The message that was just integrated, once more: the client has to refuse it (spec/wire-protocol.md §7.5)."""
        try:
            check_download(Download(1, progress, 0, entries), progress, peer.file.version, peer.ident, True)
        except ProtocolViolationError:
            return
        self._complain("redelivery", f"client file {peer.ident} takes the same download twice")

    def _send_again(self) -> None:
        """All uploads once more, as after a lost connection; then every peer asks once more, as after a restart."""
        server = self._world.server
        version = server.version
        for peer, entries, cursor in self._sent:
            if server.take(peer.ident, entries, cursor).entries or server.version != version:
                self._complain("redelivery", f"the server takes the same upload of client file {peer.ident} twice")
                return
        for peer in self._world.peers:
            peer.forget()
            entries_again, _ = peer.download(server)
            if entries_again or peer.upload(server)[0]:
                self._complain("redelivery", f"client file {peer.ident} has something to exchange after a restart")

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        states = self.result.states
        server = self._world.server
        files: list[tuple[str, Server | Peer, object]] = [("S", server, tuple(server.applied))]
        for letter, peer, history in zip(LETTERS, self._world.peers, self._case.histories, strict=False):
            files.append((letter, peer, (history, tuple(peer.applied))))
        for name, owner, key in files:
            states[name], complaints = self._findings.of(owner.file, key)
            for complaint in complaints:
                self._complain("invariant", f"at {name}: {complaint}")
        for name, state in states.items():
            if state is not states["S"] and state != states["S"]:
                self._complain("convergence", f"{name} differs from the server: {difference(states['S'], state)}")

    # --- mirror -------------------------------------------------------------------------------------------------------

    def _check_mirror(self) -> None:
        """Every two sides, merged with either as ours."""
        sides = [(peer, peer.local_changes()) for peer in self._world.peers]
        for (left_peer, left), (right_peer, right) in combinations(sides, 2):
            one = _merged(left_peer, left, right_peer, right)
            other = _merged(right_peer, right, left_peer, left)
            if one != other[::-1]:
                self._complain("mirror", f"{one} if the first is ours, {other[::-1]} if the second is")


def _merged(
    our_peer: Peer, ours: Sequence[UploadChangeset], their_peer: Peer, theirs: Sequence[UploadChangeset]
) -> list[Any]:
    """Both sides after a merge, ours first; the text of an error instead of both."""
    our, their = _side(our_peer, ours), _side(their_peer, theirs)
    try:
        transform(our, their, None, our_peer.catalogue)
    except TransformError:
        return ["refused", "refused"]
    return [[encode(changeset) for changeset in our], [encode(changeset) for changeset in their]]


def _side(peer: Peer, entries: Sequence[UploadChangeset]) -> list[Changeset]:
    side: list[Changeset] = []
    for sequence, entry in enumerate(entries):
        changeset = decode(entry.changeset)
        changeset.version = entry.client_version
        changeset.sequence = sequence
        changeset.origin_timestamp = entry.origin_timestamp
        changeset.origin_file_ident = peer.ident
        side.append(changeset)
    return side


def difference(expected: object, actual: object, place: str = "") -> str:
    """Where two states differ first."""
    if isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys():
        for key in expected:
            if expected[key] != actual[key]:
                return difference(expected[key], actual[key], f"{place}.{key}" if place else str(key))
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            if one != other:
                return difference(one, other, f"{place}[{index}]")
    return f"{place}: {expected} against {actual}"


def unordered(form: Any) -> Any:
    """A state without the order of its lists."""
    if isinstance(form, dict):
        return {key: unordered(value) for key, value in form.items()}
    if isinstance(form, list):
        return sorted((unordered(value) for value in form), key=repr)
    return form
