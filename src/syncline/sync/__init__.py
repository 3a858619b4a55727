"""The client side of sync: manager, users, sessions, progress, errors, transports (spec/sessions.md).

From the outside in::

    SyncManager ─ users, settings, threads             manager.py, user.py, auth.py, metadata.py
      SessionRegistry ─ one seat per local file        registry.py
        SyncSession ─ handle of the application        session.py
        SessionCore ─ state machine, waits, observers  session_core.py, states.py, progress.py
          ProtocolSession ─ BIND … UNBIND              protocol_session.py
            Connection ─ one WebSocket after another   connection.py, transport.py
              ClientConnection ─ the machine           syncline.protocol

Importing this package makes ``Realm.open`` understand sync configurations.
"""

from syncline.sync.backend import register
from syncline.sync.configuration import SyncConfiguration
from syncline.sync.credentials import IdentityProvider, SyncCredentials
from syncline.sync.diagnostics import (
    ClientResetDiagnostics,
    ConnectionDiagnostics,
    ErrorRecord,
    FileDiagnostics,
    ManagerDiagnostics,
    SessionDiagnostics,
)
from syncline.sync.file_actions import ErrorActionToken
from syncline.sync.manager import SyncManager
from syncline.sync.session import ProgressNotificationToken, SyncSession, session_for_realm
from syncline.sync.states import (
    ClientResetMode,
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    SyncLogLevel,
    SyncProgress,
    SyncSessionState,
    SyncStopPolicy,
    SyncUserState,
)
from syncline.sync.timeouts import SyncTimeoutOptions
from syncline.sync.user import SyncUser

__all__ = [
    "ClientResetDiagnostics",
    "ClientResetMode",
    "ConnectionDiagnostics",
    "ConnectionState",
    "ErrorActionToken",
    "ErrorRecord",
    "FileDiagnostics",
    "IdentityProvider",
    "ManagerDiagnostics",
    "ProgressDirection",
    "ProgressMode",
    "ProgressNotificationToken",
    "SessionDiagnostics",
    "SyncConfiguration",
    "SyncCredentials",
    "SyncLogLevel",
    "SyncManager",
    "SyncProgress",
    "SyncSession",
    "SyncSessionState",
    "SyncStopPolicy",
    "SyncTimeoutOptions",
    "SyncUser",
    "SyncUserState",
    "session_for_realm",
]

register()
