"""Syncline: an offline-first object database for Python, and the object server it syncs with.

Everything public is importable from here. Names are looked up when they are first used, so that importing the package
costs nothing and loads neither the sync client nor the server; using a name of the sync client loads it, and with it
``Realm.open`` understands sync configurations.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from syncline import compilation as _compilation

_compilation.prefer_sources_if_asked()

from syncline import errors  # noqa: E402
from syncline.errors import *  # noqa: E402, F403
from syncline.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from syncline.query import (
        Condition,
        Expr,
        GeoBox,
        GeoCircle,
        GeoPoint,
        GeoPolygon,
        all_of,
        any_of,
        field,
        km,
        miles,
    )
    from syncline.realm import (
        AsymmetricModel,
        AsyncioScheduler,
        AsyncOpenTask,
        Backlinks,
        Changes,
        CollectionChange,
        Counter,
        Dictionary,
        DictionaryChange,
        EmbeddedModel,
        Explanation,
        Field,
        FrozenScheduler,
        GeoPointModel,
        List,
        Migration,
        Model,
        NotificationToken,
        ObjectChange,
        ObjectSchema,
        Property,
        QtScheduler,
        Realm,
        RealmChange,
        RealmConfiguration,
        Results,
        Scheduler,
        SchemaMode,
        SchemaSubsetMode,
        Section,
        SectionedChange,
        SectionedResults,
        Set,
        Snapshot,
        Stored,
        ThreadSafeReference,
        ThreadScheduler,
        TkScheduler,
        UpdateMode,
        ValidationMode,
        first_letter,
        register_type,
    )
    from syncline.sync import (
        ClientResetDiagnostics,
        ClientResetMode,
        ConnectionDiagnostics,
        ConnectionState,
        ErrorActionToken,
        ErrorRecord,
        FileDiagnostics,
        IdentityProvider,
        ManagerDiagnostics,
        ProgressDirection,
        ProgressMode,
        ProgressNotificationToken,
        SessionDiagnostics,
        SyncConfiguration,
        SyncCredentials,
        SyncLogLevel,
        SyncManager,
        SyncProgress,
        SyncSession,
        SyncSessionState,
        SyncStopPolicy,
        SyncTimeoutOptions,
        SyncUser,
        SyncUserState,
        session_for_realm,
    )
    from syncline.values import Decimal128, Float32, GlobalKey, ObjectId, Timestamp

__all__ = [
    "AsymmetricModel",
    "AsyncOpenTask",
    "AsyncioScheduler",
    "Backlinks",
    "Changes",
    "ClientResetDiagnostics",
    "ClientResetMode",
    "CollectionChange",
    "Condition",
    "ConnectionDiagnostics",
    "ConnectionState",
    "Counter",
    "Decimal128",
    "Dictionary",
    "DictionaryChange",
    "EmbeddedModel",
    "ErrorActionToken",
    "ErrorRecord",
    "Explanation",
    "Expr",
    "Field",
    "FileDiagnostics",
    "Float32",
    "FrozenScheduler",
    "GeoBox",
    "GeoCircle",
    "GeoPoint",
    "GeoPointModel",
    "GeoPolygon",
    "GlobalKey",
    "IdentityProvider",
    "List",
    "ManagerDiagnostics",
    "Migration",
    "Model",
    "NotificationToken",
    "ObjectChange",
    "ObjectId",
    "ObjectSchema",
    "ProgressDirection",
    "ProgressMode",
    "ProgressNotificationToken",
    "Property",
    "QtScheduler",
    "Realm",
    "RealmChange",
    "RealmConfiguration",
    "Results",
    "Scheduler",
    "SchemaMode",
    "SchemaSubsetMode",
    "Section",
    "SectionedChange",
    "SectionedResults",
    "SessionDiagnostics",
    "Set",
    "Snapshot",
    "Stored",
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
    "ThreadSafeReference",
    "ThreadScheduler",
    "Timestamp",
    "TkScheduler",
    "UpdateMode",
    "ValidationMode",
    "__version__",
    "all_of",
    "any_of",
    "field",
    "first_letter",
    "km",
    "miles",
    "register_type",
    "session_for_realm",
]
__all__ += errors.__all__

#: Where the names are, those first that cost less to load.
_HOMES = ("syncline.values", "syncline.query", "syncline.realm", "syncline.sync")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            value = getattr(import_module(home), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module 'syncline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
