"""How two sides talk: the wire protocol of sync, versions 2 to 14, as machines without I/O (spec/wire-protocol.md).

Bytes and events go in, bytes and events come out; sockets, clocks and databases belong to the drivers (``sync/`` for
the client, ``server/`` for the server, the simulator in ``testing/`` for both). Who creates which state:

* the client's file owns its version numbers and changesets; the server owns file idents, server versions and salts;
* a cursor says what one side has seen of the other; the client persists both and states them in IDENT, and whatever
  comes after is checked against them;
* nothing is acknowledged by a message of its own: the acknowledgement of an upload is the upload cursor in the next
  DOWNLOAD, that of a download the cursor in the next UPLOAD.

A machine is driven by one loop. The same for both sides: hand in what was received, do what the events ask, write what
it wants to say, one message at a time so that a slow socket holds back the rest. Here are both in one process, with a
list for the client's file, a list for the server's history, and no network:

>>> from random import Random
>>> from syncline.changesets.changeset import *
>>> from syncline.protocol import *
>>> file = [UploadChangeset(2, 0, 1000, 0, b"a change")]          # the client's history: its version 2
>>> log = []                                                      # the server's history: (client version, bytes)
>>> client = ClientConnection(SyncMode.PBS, Random(1))
>>> config = SessionConfig("/dogs", ClientFileIdent(), SyncProgress(), local_version=2)
>>> session = client.bind(1, config)
>>> server = ServerConnection(14, SyncMode.PBS, "6b03d19a3a945d4b02dd0f76", now=0)
>>> client.connected(14, now=0)

What a client's driver does about events:

>>> def client_event(event):
...     match event:
...         case IdentReceived(session, file_ident):              # store it: a commit, hence version 3
...             session.ident_stored(local_version=3)
...         case UploadWanted(session, cursor, up_to):
...             found = [entry for entry in file if cursor.client_version < entry.client_version <= up_to]
...             session.supply_upload(event, found, UploadCursor(up_to, 0))
...         case DownloadReceived(session, progress):             # integrate it: a commit, hence a new version
...             session.integrated(progress, local_version=4)
...             print("server version", progress.download.server_version, "acknowledged", progress.upload)

And a server's:

>>> def server_event(event):
...     match event:
...         case BindRequested(session):
...             session.accept_bind(realm="/dogs", file_ident=ClientFileIdent(2, 777))
...         case IdentRequested(session):
...             session.identify(IdentFacts(len(log), latest_salt=0, file_exists=True, salt=777))
...         case UploadReceived(session, entries, progress):
...             log.extend((entry.client_version, entry.changeset) for entry in entries)
...             session.advance(len(log))
...         case DownloadWanted(session, cursor):
...             own = log[-1][0] if log else 0                     # all is from this client: nothing but the cursor
...             after = DownloadCursor(len(log), own)
...             latest = SaltedVersion(len(log), 42 if log else 0)
...             session.supply_download(DownloadBatch(after, latest, UploadCursor(own, 0), 0, EMPTY_BODY))
...         case MarkRequested(session):
...             session.confirm_mark(len(log))

The loop, until neither has anything to say:

>>> def talk(now):
...     while True:
...         up, down = client.next_message(now), server.next_message()
...         if up is not None:
...             server.receive(up, now)
...         if down is not None:
...             client.receive(down, now)
...         asked, told = client.events(), server.events()
...         for event in asked:
...             client_event(event)
...         for event in told:
...             server_event(event)
...         if not (up or down or asked or told):
...             return
>>> talk(now=0)
server version 0 acknowledged UploadCursor(client_version=0, last_integrated_server_version=0)
server version 1 acknowledged UploadCursor(client_version=2, last_integrated_server_version=0)
>>> log
[(2, b'a change')]
"""

from syncline.protocol.backoff import Backoff, BackoffParameters
from syncline.protocol.bodies import EMPTY_BODY, encode_download_entries, encode_upload_entries
from syncline.protocol.checks import IdentFacts, check_integration
from syncline.protocol.client import ClientConnection
from syncline.protocol.client_session import ClientSession, PendingQuery, SessionConfig, UploadPolicy
from syncline.protocol.errors import (
    ERRORS,
    CloseCode,
    ErrorAction,
    ErrorCode,
    ErrorInfo,
    Reaction,
    Status,
    TerminationReason,
)
from syncline.protocol.events import (
    BindRequested,
    ClientErrorReceived,
    ClientEvent,
    CloseWanted,
    DisconnectWanted,
    DownloadBatch,
    DownloadCompleted,
    DownloadReceived,
    DownloadWanted,
    IdentReceived,
    IdentRequested,
    LogReceived,
    MarkRequested,
    PingReceived,
    QueryReceived,
    QueryRejected,
    RttMeasured,
    ServerEvent,
    SessionEnded,
    SessionError,
    SessionResumed,
    SessionUnbound,
    TokenRefreshed,
    UploadReceived,
    UploadWanted,
)
from syncline.protocol.messages import BatchState, Body, ClientFileIdent, Error, FlexibleBind, Ident, RejectedUpdate
from syncline.protocol.server import ServerConnection
from syncline.protocol.server_session import ServerSession
from syncline.protocol.settings import MAX_VERSION, MIN_VERSION, ClientSettings, Limits, ServerSettings, SyncMode

__all__ = [
    "EMPTY_BODY",
    "ERRORS",
    "MAX_VERSION",
    "MIN_VERSION",
    "Backoff",
    "BackoffParameters",
    "BatchState",
    "BindRequested",
    "Body",
    "ClientConnection",
    "ClientErrorReceived",
    "ClientEvent",
    "ClientFileIdent",
    "ClientSession",
    "ClientSettings",
    "CloseCode",
    "CloseWanted",
    "DisconnectWanted",
    "DownloadBatch",
    "DownloadCompleted",
    "DownloadReceived",
    "DownloadWanted",
    "Error",
    "ErrorAction",
    "ErrorCode",
    "ErrorInfo",
    "FlexibleBind",
    "Ident",
    "IdentFacts",
    "IdentReceived",
    "IdentRequested",
    "Limits",
    "LogReceived",
    "MarkRequested",
    "PendingQuery",
    "PingReceived",
    "QueryReceived",
    "QueryRejected",
    "Reaction",
    "RejectedUpdate",
    "RttMeasured",
    "ServerConnection",
    "ServerEvent",
    "ServerSession",
    "ServerSettings",
    "SessionConfig",
    "SessionEnded",
    "SessionError",
    "SessionResumed",
    "SessionUnbound",
    "Status",
    "SyncMode",
    "TerminationReason",
    "TokenRefreshed",
    "UploadPolicy",
    "UploadReceived",
    "UploadWanted",
    "check_integration",
    "encode_download_entries",
    "encode_upload_entries",
]
