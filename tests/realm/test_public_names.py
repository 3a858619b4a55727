"""Everything public comes from ``syncline`` itself (spec/README.md, *Public names*), and cheaply."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import syncline

NAMES = [
    "Model",
    "EmbeddedModel",
    "AsymmetricModel",
    "Field",
    "List",
    "Set",
    "Dictionary",
    "Counter",
    "ObjectId",
    "Float32",
    "Timestamp",
    "RealmConfiguration",
    "SchemaMode",
    "SchemaSubsetMode",
    "Migration",
    "SyncConfiguration",
    "Realm",
    "CollectionChange",
    "DictionaryChange",
    "ObjectChange",
    "NotificationToken",
    "ProgressNotificationToken",
    "SyncUser",
    "SyncCredentials",
    "SyncManager",
    "SyncUserState",
    "SyncSession",
    "SyncSessionState",
    "ConnectionState",
    "session_for_realm",
    "ProgressDirection",
    "ProgressMode",
    "SyncProgress",
    "ErrorActionToken",
    "ClientResetMode",
    "ObjectSchema",
    "Property",
    "UpdateMode",
    "ValidationMode",
    "Results",
    "SynclineError",
    "RealmError",
    "SchemaError",
    "QueryError",
    "SyncError",
    "SyncAuthError",
    "TransformError",
    "WrongThreadError",
]


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_there(name: str) -> None:
    assert getattr(syncline, name) is not None
    assert name in syncline.__all__
    assert name in dir(syncline)


def test_every_declared_name_exists() -> None:
    for name in syncline.__all__:
        assert hasattr(syncline, name), name
    with pytest.raises(AttributeError, match=r"module 'syncline' has no attribute 'Nothing'"):
        syncline.Nothing  # noqa: B018


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_nothing_that_is_not_used() -> None:
    loaded = "print([n for n in sys.modules if n.split('.')[1:2] and n.split('.')[1] in %s])"
    assert run(f"import sys, syncline; {loaded % ['realm', 'sync', 'server', 'storage', 'query']}") == "[]"
    program = f"import sys\nfrom syncline import Realm, Model, RealmConfiguration\n{loaded % ['sync', 'server', 'cli']}"
    assert run(program) == "[]"
    program = "import sys\nfrom syncline import *\nprint([n for n in sys.modules if n.startswith('syncline.server')])"
    assert run(program) == "[]"


#: What of other distributions, and what of the standard library that is dear, a program has loaded.
FOREIGN = (
    "print(*sorted({n.split('.')[0] for n in sys.modules.keys() - before if n[0] != '_'} - sys.stdlib_module_names))"
)
DEAR = "print([n for n in ('asyncio', 'inspect', 'logging', 'ssl', 'tempfile', 'dataclasses') if n in sys.modules])"


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        ("errors", []),
        ("Realm, Model, RealmConfiguration", ["apsw", "mypy_extensions"]),
        ("SyncUser, SyncConfiguration", ["apsw", "mypy_extensions", "websockets"]),
    ],
)
def test_importing_loads_few_other_distributions(names: str, foreign: list[str]) -> None:
    found = run(f"import sys\nbefore = set(sys.modules)\nfrom syncline import {names}\n{FOREIGN}").split()
    assert [name for name in found if not re.search("syncline|mypyc$", name)] == foreign


def test_importing_the_package_alone_is_cheap() -> None:
    assert run(f"import sys, syncline\n{DEAR}") == "[]"


def test_using_a_sync_name_makes_realms_sync() -> None:
    program = """
from syncline import SyncConfiguration
from syncline.realm.backend import sync_backend
print(sync_backend().configuration_type is SyncConfiguration)
"""
    assert run(program) == "True"
