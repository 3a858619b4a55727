"""Any schema becomes any other: what keeps its type keeps its values, what does not begins anew (spec/sdk.md §2.4)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline import ObjectSchema, Property, Realm
from syncline.testing.exhaustive.invariants import Invariants

#: Types in the short notation, with a value that is not the zero of the type.
VALUES: Final[dict[str, Any]] = {
    "int": 7,
    "int?": 8,
    "string": "s",
    "string?": "t",
    "bool": True,
    "double?": 1.5,
    "int[]": [1, 2],
    "int?[]": [3, None],
    "string<>": {"a"},
    "int{}": {"k": 4},
    "mixed": [1, "two"],
    "Dog": None,
    "Dog[]": [],
}
ZEROS: Final[dict[str, Any]] = {
    "int": 0,
    "string": "",
    "bool": False,
    "int[]": [],
    "int?[]": [],
    "string<>": set(),
    "int{}": {},
    "Dog[]": [],
}
#: What keeps its values when it becomes optional.
LOOSER: Final = {"int": "int?", "string": "string?", "int[]": "int?[]"}

INDEXABLE: Final = ("int", "int?", "string", "string?", "bool", "mixed")

properties = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from(list(VALUES)), st.booleans()), max_size=5
)


def schema(kinds: dict[str, tuple[str, bool]]) -> ObjectSchema:
    named = [Property("id", "int", primary_key=True)]
    for name, (kind, index) in kinds.items():
        words = name < "d" and kind in ("string", "string?")
        named.append(Property(name, kind, index=index and ("fulltext" if words else kind in INDEXABLE)))
    return ObjectSchema("Dog", named)


def plain(value: Any) -> Any:
    """A value, or a live collection as a plain one."""
    if isinstance(value, int | float | str) or value is None:
        return value
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    if hasattr(value, "append"):
        return [plain(each) for each in value]
    return set(value)


def migrated(old: str | None, new: str) -> Any:
    """What a property that had the value of its old type holds afterwards."""
    return VALUES[old] if old is not None and (old == new or LOOSER.get(old) == new) else ZEROS.get(new)


@settings(
    max_examples=int(os.environ.get("SYNCLINE_MIGRATIONS", "15")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(properties, properties, properties)
def test_any_schema_becomes_any_other(
    first: dict[str, tuple[str, bool]], second: dict[str, tuple[str, bool]], third: dict[str, tuple[str, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dogs.realm"
        with Realm.open(path, schema=[schema(first)]) as realm, realm.write():
            realm.create("Dog", {"id": 1, **{name: VALUES[kind] for name, (kind, _) in first.items()}})
        with Realm.open(path, schema=[schema(second)], schema_version=1) as realm:
            dog = realm.get("Dog", 1)
            expected = {name: migrated(first.get(name, (None, False))[0], kind) for name, (kind, _) in second.items()}
            assert {name: plain(dog[name]) for name in second} == expected
            with realm.write():
                for name, (kind, _) in second.items():
                    dog[name] = VALUES[kind]
                realm.create("Dog", {"id": 2, **{name: VALUES[kind] for name, (kind, _) in second.items()}})
        with Realm.open(path, schema=[schema(third)], schema_version=2) as realm:
            for dog in realm.objects("Dog"):
                for name, (kind, _) in third.items():
                    assert plain(dog[name]) == migrated(second.get(name, (None, False))[0], kind)
            assert realm._context.file.query("PRAGMA integrity_check") == [("ok",)]
            with realm._context.file.reading_alone() as reader:
                assert Invariants().broken(reader) == []
            assert realm.objects("Dog").count() == 2
        with Realm.open(path, schema=[schema(third)], schema_version=2) as again:
            assert len(again.schema[0].properties) == 1 + len(third)
