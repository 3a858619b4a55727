"""Peer: answers the commands of tests/vectors/PEER.md, one after the other."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from syncline.errors import SyncError, SynclineError
from syncline.sync.manager import SyncManager
from syncline.sync.session import SyncSession
from syncline.sync.waits import WaitKind
from syncline.testing.operations import OPERATION_NAMES
from syncline.testing.peer.changesets import changeset_to_json, json_to_changeset, transform_sides
from syncline.testing.peer.commands import CommandError, check
from syncline.testing.peer.database import Database, OperationFailed
from syncline.testing.peer.link import Link, Target
from syncline.testing.peer.stream import failure

__all__ = ["FlexibleSyncUnavailableError", "NotConnectedError", "Peer"]

Json: TypeAlias = Any
Reply: TypeAlias = "dict[str, Json]"

_TIMEOUT_S: Final = 30.0
_DRAIN_S: Final = 10.0


class NotConnectedError(SynclineError):
    """The command is about a session, and the file has none: it was not connected, or was disconnected."""


class FlexibleSyncUnavailableError(SynclineError):
    """This implementation has no subscriptions yet."""


class Peer:
    """Files by the names that commands give them, and one sync client for all their sessions.

    Every database has a connection of its own, as realm-core's client without session multiplexing.
    """

    def __init__(self) -> None:
        self._databases: dict[str, Database] = {}
        self._folder: str | None = None
        self._manager: SyncManager | None = None

    def answer(self, command: Json) -> Reply:
        """The reply to one command. A failure is a reply too, and has changed nothing."""
        try:
            name, fields = check(command)
            return {"ok": True, **_HANDLERS[name](self, fields)}
        except OperationFailed as failed:
            return {**failure(failed.cause), "failed_index": failed.index}
        except Exception as error:  # noqa: BLE001 - whatever it is: the driver is told, and the next command answered
            return failure(error)

    def close(self) -> None:
        """End all sessions, close all files."""
        while self._databases:
            self._databases.popitem()[1].close()
        if self._manager is not None:
            self._manager.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- files --------------------------------------------------------------------------------------------------------

    def _open(self, fields: Mapping[str, Json]) -> Reply:
        name = fields["db"]
        if name in self._databases:
            raise CommandError(f"a database {name!r} is open already")
        key = fields.get("encryption_key")
        self._databases[name] = Database(fields["file"], None if key is None else bytes.fromhex(key))
        return {}

    def _close(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields).close()
        del self._databases[fields["db"]]
        return {}

    def _database(self, fields: Mapping[str, Json]) -> Database:
        database = self._databases.get(fields["db"])
        if database is None:
            raise CommandError(f"no database {fields['db']!r} is open")
        return database

    # --- transactions -------------------------------------------------------------------------------------------------

    def _tx(self, fields: Mapping[str, Json]) -> Reply:
        return self._database(fields).transact(
            fields["ops"],
            fields.get("ts"),
            notify=fields.get("notify", True),
            skip_errors=fields.get("skip_errors", False),
        )

    def _begin(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields).begin()
        return {}

    def _operation(self, fields: Mapping[str, Json]) -> Reply:
        return self._database(fields).execute(fields["operation"])

    def _commit(self, fields: Mapping[str, Json]) -> Reply:
        return {"version": self._database(fields).commit(fields.get("ts"))}

    def _rollback(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields).rollback()
        return {}

    def _timestamp(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields).origin_timestamp = fields["ts"]
        return {}

    def _set_ident(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields).set_ident(fields["ident"], fields["salt"])
        return {}

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _connect(self, fields: Mapping[str, Json]) -> Reply:
        database = self._database(fields)
        if database.link is not None:
            raise CommandError(f"{fields['db']!r} is connected already")
        target = Target.of(dict(fields))
        database.link = Link(self._sync_manager(), fields["db"], database.lease, target)
        database.reported = database.link
        return {}

    def _disconnect(self, fields: Mapping[str, Json]) -> Reply:
        database = self._database(fields)
        self._link(fields).close()
        database.link = None
        return {}

    def _suspend(self, fields: Mapping[str, Json]) -> Reply:
        self._link(fields).suspend()
        return {}

    def _resume(self, fields: Mapping[str, Json]) -> Reply:
        self._link(fields).resume()
        return {}

    def _wait_upload(self, fields: Mapping[str, Json]) -> Reply:
        return self._wait(fields, WaitKind.UPLOAD)

    def _wait_download(self, fields: Mapping[str, Json]) -> Reply:
        return self._wait(fields, WaitKind.DOWNLOAD)

    def _wait_sync(self, fields: Mapping[str, Json]) -> Reply:
        return self._wait(fields, WaitKind.UPLOAD, WaitKind.DOWNLOAD)

    def _wait(self, fields: Mapping[str, Json], *kinds: WaitKind) -> Reply:
        link = self._link(fields)
        deadline = time.monotonic() + fields.get("timeout_s", _TIMEOUT_S)
        for kind in kinds:
            link.wait(kind, deadline, stop_on_error=fields.get("stop_on_error", True))
        return {}

    def _errors(self, fields: Mapping[str, Json]) -> Reply:
        link = self._database(fields).reported
        if link is None:
            return {"errors": [], "states": []}
        self._settle()
        return {"errors": list(link.errors), "states": list(link.states)}

    def _progress(self, fields: Mapping[str, Json]) -> Reply:
        link = self._database(fields).reported
        return {"progress": None if link is None else link.progress()}

    def _subscriptions(self, fields: Mapping[str, Json]) -> Reply:
        self._database(fields)
        raise FlexibleSyncUnavailableError("this peer has no flexible sync: it cannot subscribe to queries")

    def _link(self, fields: Mapping[str, Json]) -> Link:
        link = self._database(fields).link
        if link is None:
            raise NotConnectedError(f"{fields['db']!r} is not connected: send 'connect' first")
        return link

    def _sync_manager(self) -> SyncManager:
        if self._manager is None:
            self._folder = tempfile.mkdtemp(prefix="syncline-peer-")
            self._manager = SyncManager(self._folder, persist_users=False)
            self._manager.session_multiplexing = False
            self._manager.error_handler = self._report
        return self._manager

    def _settle(self) -> None:
        """Return when what has happened so far has been reported: first by the event loop, then by the notifier."""
        manager = self._sync_manager()
        turned = threading.Event()
        manager.client.post(turned.set)
        turned.wait(_DRAIN_S)
        manager.notify_thread.drain(_DRAIN_S)

    def _report(self, error: SyncError, session: SyncSession | None) -> None:
        for database in list(self._databases.values()):
            if database.reported is not None and database.reported.session == session:
                database.reported.failed(error, session)

    # --- content ------------------------------------------------------------------------------------------------------

    def _dump(self, fields: Mapping[str, Json]) -> Reply:
        return {"dump": self._database(fields).dump()}

    def _hash(self, fields: Mapping[str, Json]) -> Reply:
        return {"hash": self._database(fields).hash()}

    def _history(self, fields: Mapping[str, Json]) -> Reply:
        return self._database(fields).history()

    # --- changesets ---------------------------------------------------------------------------------------------------

    def _transform(self, fields: Mapping[str, Json]) -> Reply:
        return transform_sides(fields["left"], fields["right"])

    def _changeset2json(self, fields: Mapping[str, Json]) -> Reply:
        return changeset_to_json(bytes.fromhex(fields["changeset"]))

    def _json2changeset(self, fields: Mapping[str, Json]) -> Reply:
        return {"changeset": json_to_changeset(fields["instructions"], fields.get("strings", []))}


_HANDLERS: Final[Mapping[str, Callable[[Peer, Mapping[str, Json]], Reply]]] = {
    **dict.fromkeys(OPERATION_NAMES, Peer._operation),
    "open": Peer._open,
    "close": Peer._close,
    "tx": Peer._tx,
    "begin": Peer._begin,
    "commit": Peer._commit,
    "rollback": Peer._rollback,
    "timestamp": Peer._timestamp,
    "set_ident": Peer._set_ident,
    "connect": Peer._connect,
    "disconnect": Peer._disconnect,
    "suspend": Peer._suspend,
    "resume": Peer._resume,
    "wait_upload": Peer._wait_upload,
    "wait_download": Peer._wait_download,
    "wait_sync": Peer._wait_sync,
    "errors": Peer._errors,
    "progress": Peer._progress,
    "dump": Peer._dump,
    "hash": Peer._hash,
    "history": Peer._history,
    "transform": Peer._transform,
    "changeset2json": Peer._changeset2json,
    "json2changeset": Peer._json2changeset,
    "subscribe": Peer._subscriptions,
    "subscription_state": Peer._subscriptions,
}
