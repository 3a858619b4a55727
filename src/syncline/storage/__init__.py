"""Where objects live: the SQLite file of a Realm, its versions, its history, and what reads and writes them."""

from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.storage.dump import content_hash
from syncline.storage.file import Clock, FileLease, RealmFile
from syncline.storage.history import ClientHistory, HistoryStatus, LocalChange, SyncCounters
from syncline.storage.reader import Reader, Value
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.snapshot import Snapshot
from syncline.storage.transaction import WriteTransaction

__all__ = [
    "Catalogue",
    "ChangeLog",
    "ClassInfo",
    "ClientHistory",
    "Clock",
    "CollectionRef",
    "FileLease",
    "HistoryStatus",
    "LocalChange",
    "ObjectRef",
    "PropertyInfo",
    "Reader",
    "RealmFile",
    "Snapshot",
    "SyncCounters",
    "Value",
    "WriteTransaction",
    "content_hash",
]
