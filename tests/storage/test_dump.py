"""The canonical dump and the content hash (storage/dump.py)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.storage.edits import insert, up
from tests.storage.store import people_store

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import CreateObject, EraseObject
from syncline.changesets.limits import MAX_PATH_LENGTH
from syncline.storage import dump as dump_module
from syncline.storage.dump import content_hash, dump, dump_pieces, value_form
from syncline.storage.file import RealmFile
from syncline.storage.refs import ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values.kinds import (
    DOUBLE,
    EMBEDDED,
    FLOAT,
    INT,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    OBJECT,
    OBJECT_ID,
    SET_COLLECTION,
    STRING,
)


def make_schema(tx: WriteTransaction) -> None:
    tx.add_class("Tag", kind=EMBEDDED)
    tx.add_property(tx.catalogue.classes["Tag"], "text", STRING, nullable=True)
    tx.add_class("Dog", primary_key="_id", key_type=STRING, key_nullable=True)
    for name, type, collection, target in (
        ("tag", LINK, 0, "Tag"),
        ("friend", LINK, 0, "Dog"),
        ("friends", LINK, LIST_COLLECTION, "Dog"),
        ("any", MIXED, 0, None),
        ("single", FLOAT, 0, None),
        ("double", DOUBLE, 0, None),
        ("oid", OBJECT_ID, 0, None),
    ):
        tx.add_property(
            tx.catalogue.classes["Dog"], name, type, nullable=type == OBJECT_ID, collection=collection, target=target
        )


def fill(tx: WriteTransaction, keys: list[str | None]) -> None:
    info = tx.catalogue.classes["Dog"]
    for key in keys:
        tx.create(info, key)
    rex = tx.find(info, "rex")
    assert rex is not None
    props = info.properties
    for key in ("max", "lost"):
        k = tx.find(info, key)
        assert k is not None
        tx.list_insert(tx.collection(info, rex, props["friends"]), 0, ObjectRef(info.id, k))
        tx.set(info, rex, props["friend"], ObjectRef(info.id, k))
    tag = tx.set_embedded(info, rex, props["tag"])
    tags = tx.catalogue.by_id[tag.class_id]
    tx.set(tags, tag.object_key, tags.properties["text"], "good")
    tx.set(info, rex, props["single"], 0.1)
    tx.set(info, rex, props["double"], float("nan"))
    tx.set(info, rex, props["any"], True)


def make(keys: list[str | None]) -> RealmFile:
    file = RealmFile.in_memory()
    with file.write() as tx:
        make_schema(tx)
        fill(tx, keys)
        tx.flush()
    with file.write() as tx:
        tx.apply(Changeset([EraseObject("Dog", "lost")], []))
    return file


def test_a_dump_has_the_form_of_the_fixtures() -> None:
    file = make(["rex", None, "max", "lost"])
    with file.snapshot() as snapshot, snapshot.lock:
        content = dump(snapshot.reader)
        pieces = "".join(dump_pieces(snapshot.reader))
        digest = content_hash(snapshot.reader)
    file.close()
    empty = {"tag": None, "friend": None, "friends": {"list": []}, "any": None, "oid": None}
    zeros = {"single": {"float": 0.0}, "double": {"double": 0.0}}
    assert content["objects"] == {
        "Dog": [
            {"key": None, "props": empty | zeros},
            {"key": {"str": "max"}, "props": empty | zeros},
            {
                "key": {"str": "rex"},
                "props": {
                    "tag": {"obj": {"text": {"str": "good"}}},
                    "friend": None,
                    "friends": {"list": [{"link": ["Dog", {"str": "max"}]}]},
                    "any": {"bool": True},
                    "single": {"float": 0.10000000149011612},
                    "double": {"double": "nan"},
                    "oid": None,
                },
            },
        ]
    }
    assert content["schema"] == {
        "Tag": {"embedded": True, "pk": None, "props": {"text": "string?"}},
        "Dog": {
            "embedded": False,
            "pk": {"name": "_id", "nullable": True, "type": "string"},
            "props": {
                "tag": "link:Tag",
                "friend": "link:Dog",
                "friends": "link:Dog[]",
                "any": "mixed",
                "single": "float",
                "double": "double",
                "oid": "objectid?",
            },
        },
    }
    assert pieces == json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(pieces.encode()).hexdigest()


def test_the_hash_depends_on_the_content_only() -> None:
    hashes = set()
    for keys in (["rex", None, "max", "lost"], ["lost", "max", "rex", None]):
        file = make(list(keys))
        with file.snapshot() as snapshot, snapshot.lock:
            hashes.add(content_hash(snapshot.reader))
        file.close()
    assert len(hashes) == 1


def test_a_write_transaction_can_be_dumped() -> None:
    file = RealmFile.in_memory()
    with file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.create(tx.catalogue.classes["Dog"], 5)
        assert dump(tx)["objects"] == {"Dog": [{"key": {"int": 5}, "props": {}}]}
    file.close()


def test_values_may_be_nested_as_deep_as_a_path_is_long() -> None:
    """Deeper than Python recurses: embedded objects, each in a list of the one above, with a Mixed in the last one."""
    store = people_store()
    store.apply(CreateObject("Person", "Ann"), up("addr", OBJECT))
    store.apply(*[up("addr", OBJECT, None, *["sub"] * depth) for depth in range(1, MAX_PATH_LENGTH - 100)])
    deepest = ["sub"] * (MAX_PATH_LENGTH - 101)
    store.apply(up("addr", LIST, None, *deepest, "any"))
    store.apply(*[insert("addr", LIST, None, *deepest, "any", *[0] * depth, prior=0) for depth in range(1, 99)])
    store.apply(insert("addr", STRING, "down here", *deepest, "any", *[0] * 99, prior=0))
    text = "".join(dump_pieces(store.reader))
    assert text.count('"sub":{"obj":{') == len(deepest)
    assert '{"list":[{"list":["down here"]}]}' in text.replace('{"str":"down here"}', '"down here"')
    assert text.count("{") == text.count("}")
    assert content_hash(store.reader) == hashlib.sha256(text.encode()).hexdigest()
    form = dump(store.reader)["objects"]
    person = store.cls("Person")
    assert value_form(store.reader, LINK, store.reader.get(person, 0, store.prop("Person.addr"))) is not None
    assert isinstance(form, dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_deep_forms_are_written_like_all_others(form: Any) -> None:
    written = "".join(dump_module._tokens(form))
    assert written == json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_sets_are_sorted_by_their_text_as_it_is() -> None:
    """As recorded: realm-core's emoji stands behind the letters, not where its escape would (merges.jsonl.gz)."""
    file = RealmFile.in_memory()
    with file.write() as tx:
        cls = tx.add_class("A", primary_key="id", key_type=INT)
        prop = tx.add_property(cls, "s", MIXED, collection=SET_COLLECTION)
        cls = tx.catalogue.classes["A"]
        key, _ = tx.create(cls, 1)
        for member in ("😀", 1, "é", None, "a"):
            tx.set_insert(tx.collection(cls, key, prop), member)
        form = dump(tx)["objects"]
    file.close()
    members = [None, {"int": 1}, {"str": "a"}, {"str": "é"}, {"str": "😀"}]
    assert form == {"A": [{"key": {"int": 1}, "props": {"s": {"set": members}}}]}
