"""Creating and updating, branch by branch (spec/sdk.md §6.1, §6.2): every mode × every kind of property."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    AsymmetricModel,
    Dictionary,
    EmbeddedModel,
    Field,
    Float32,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    UpdateMode,
    ValidationMode,
    errors,
)
from syncline.storage.file import RealmFile

NEVER, ALL, MODIFIED = UpdateMode.NEVER, UpdateMode.ALL, UpdateMode.MODIFIED


class Deep(EmbeddedModel):
    text: str


class Tag(EmbeddedModel):
    text: str
    deep: Deep | None = None


class Leaf(Model):
    """Without primary key."""

    text: str


class Node(Model):
    id: int = Field(primary_key=True)
    number: int | None = 5
    name: str = "x"
    link: Node | None = None
    leaf: Leaf | None = None
    tag: Tag | None = None
    numbers: List[int]
    nodes: List[Node]
    leaves: List[Leaf]
    tags: List[Tag]
    words: Set[str]
    entries: Dictionary[int | None]
    by_name: Dictionary[Node | None]
    tags_by_name: Dictionary[Tag | None]
    mixed: Any = None
    anys: List[Any]
    any_by_name: Dictionary[Any]


class Worded(Model):
    """Its key may be null, and is stored under another name."""

    word: str | None = Field(primary_key=True, name="w")


class Keyed(Model):
    """Its key has a default."""

    key: int = Field(7, primary_key=True)
    value: int = 0


SCHEMA = [Deep, Tag, Leaf, Node, Keyed, Worded]


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    path = tmp_path / "crud.realm"
    RealmFile.open(path, history=True).close()
    with Realm.open(RealmConfiguration(path, schema=SCHEMA)) as realm, realm.write():
        yield realm


def recorded(realm: Realm) -> int:
    """How many instructions were recorded so far."""
    tx = realm._context.tx
    assert tx is not None
    return len(tx.instructions)


def writes(realm: Realm, values: dict[str, Any], mode: UpdateMode) -> list[str]:
    """The names of the instructions that an update of node 1 records."""
    before = recorded(realm)
    realm.create(Node, {"id": 1} | values, update=mode)
    tx = realm._context.tx
    assert tx is not None
    return [type(instruction).__name__ for instruction in tx.instructions[before:]]


def node(realm: Realm, key: int = 1) -> Node:
    found = realm.get(Node, key)
    assert found is not None
    return found


# --- every kind of property in every mode -----------------------------------------------------------------------------

#: For each kind: what the object has, something else, what ALL records when it is given the same and the other, what
#: MODIFIED records for the other, and what is there then after ALL and after MODIFIED.
KINDS: dict[str, tuple[Any, Any, list[str], list[str], list[str], Any, Any]] = {
    "number": (1, 2, ["Update"], ["Update"], ["Update"], 2, 2),
    "name": ("a", "b", ["Update"], ["Update"], ["Update"], "b", "b"),
    "link": ({"id": 8}, {"id": 9}, ["Update"], ["Update"], ["Update"], "Node 9", "Node 9"),
    "tag": (
        {"text": "a", "deep": {"text": "x"}},
        {"text": "b"},
        ["Update"] * 5,  # null, another object, its text, its deep object, the text of that
        ["Update"] * 3,
        ["Update"],
        {"text": "b", "deep": None},
        {"text": "b", "deep": {"text": "x", "deep": None}},
    ),
    "numbers": ([1, 2, 3], [1, 5], ["Clear"] + ["ArrayInsert"] * 3, ["Clear"] + ["ArrayInsert"] * 2,
                ["Update", "ArrayErase"], [1, 5], [1, 5]),
    "nodes": ([{"id": 8}, {"id": 9}], [{"id": 9}], ["Clear"] + ["ArrayInsert"] * 2, ["Clear", "ArrayInsert"],
              ["Update", "ArrayErase"], ["Node 9"], ["Node 9"]),
    "words": ({"a", "b"}, {"b", "c"}, ["Clear"] + ["SetInsert"] * 2, ["Clear"] + ["SetInsert"] * 2,
              ["SetInsert"], ["b", "c"], ["a", "b", "c"]),
    "entries": ({"a": 1, "b": 2}, {"b": 3}, ["Clear"] + ["Update"] * 2, ["Clear", "Update"],
                ["Update"], {"b": 3}, {"a": 1, "b": 3}),
    "by_name": ({"a": {"id": 8}}, {"a": None, "b": {"id": 8}}, ["Clear", "Update"], ["Clear"] + ["Update"] * 2,
                ["Update"] * 2, {"a": None, "b": "Node 8"}, {"a": None, "b": "Node 8"}),
    "mixed": (1, 1.0, ["Update"], ["Update"], ["Update"], 1.0, 1.0),
    "anys": ([1, True, "x"], [1.0, 1, "x"], ["Clear"] + ["ArrayInsert"] * 3, ["Clear"] + ["ArrayInsert"] * 3,
             ["Update"] * 2, [1.0, 1, "x"], [1.0, 1, "x"]),
    "any_by_name": ({"a": 1, "b": 2}, {"a": True}, ["Clear"] + ["Update"] * 2, ["Clear", "Update"],
                    ["Update"], {"a": True}, {"a": True, "b": 2}),
}  # fmt: skip


def plain(value: Any) -> Any:
    """A value with nothing live in it; numbers keep their types."""
    if isinstance(value, Node):
        return f"Node {value.id}"
    if isinstance(value, EmbeddedModel):
        return {"text": value["text"], "deep": plain(getattr(value, "deep", None))}
    if isinstance(value, Dictionary):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, List | Set):
        return [plain(each) for each in value]
    return value


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_in_each_mode(realm: Realm, name: str) -> None:
    first, other, same_in_all, other_in_all, other_in_modified, after_all, after_modified = KINDS[name]
    for key in (8, 9):
        realm.create(Node, id=key)
    realm.create(Node, {"id": 1, name: first}, update=ALL)
    there = plain(getattr(node(realm), name))
    with pytest.raises(errors.ObjectAlreadyExistsError):
        writes(realm, {name: other}, NEVER)
    assert plain(getattr(node(realm), name)) == there
    assert (writes(realm, {name: first}, MODIFIED), writes(realm, {name: first}, ALL)) == ([], same_in_all)
    assert writes(realm, {name: other}, MODIFIED) == other_in_modified
    assert repr(plain(getattr(node(realm), name))) == repr(after_modified)
    assert writes(realm, {name: other}, MODIFIED) == []
    writes(realm, {name: first}, ALL)
    assert writes(realm, {name: other}, ALL) == other_in_all
    assert repr(plain(getattr(node(realm), name))) == repr(after_all)


# --- the algorithm, branch by branch (6.1) ----------------------------------------------------------------------------


def test_keys_that_are_false_are_given(realm: Realm) -> None:
    assert realm.create(Keyed, key=0, value=1).key == 0
    assert realm.create(Keyed, {"key": 0}, value=2, update=ALL).value == 2
    assert realm.add(Keyed(key=0, value=3), update=MODIFIED).key == 0
    assert [(each.key, each.value) for each in realm.objects(Keyed)] == [(0, 3)]
    assert realm.create(Worded, word="").word == ""
    with pytest.raises(errors.ObjectAlreadyExistsError):
        realm.create(Worded, word="")
    assert realm.create(Worded, update=MODIFIED).word is None
    assert realm.create(Worded, {"w": None}, update=ALL) == realm.get(Worded, None)
    assert len(realm.objects(Worded)) == 2


def test_an_upsert_that_finds_nothing_creates_with_defaults(realm: Realm) -> None:
    for key, mode in enumerate(UpdateMode):
        made = realm.create(Node, id=key, update=mode)
        assert (made.number, made.name, made.mixed, list(made.numbers)) == (5, "x", None, [])
        made.number = 6
        if mode is not NEVER:
            assert realm.create(Node, id=key, update=mode).number == 6, "defaults are for new objects"


def test_creating_needs_a_transaction(realm: Realm) -> None:
    realm.cancel_write()
    for write in (
        lambda: realm.create(Node, id=1),
        lambda: realm.create(Node, {"id": 1}, update=ALL),
        lambda: realm.add(Node(id=1)),
        lambda: realm.add_all([Node(id=1)]),
        lambda: realm.create_many(Node, [{"id": 1}]),
        lambda: realm.copy_to(Node(id=1)),
    ):
        with pytest.raises(errors.WrongTransactionStateError):
            write()
    realm.begin_write()


def test_of_an_asymmetric_class_nothing_is_returned(tmp_path: Path) -> None:
    class Reading(AsymmetricModel):
        id: int = Field(primary_key=True, name="_id")
        leaf: Leaf | None = None
        tags: List[Tag]

    config = RealmConfiguration(
        tmp_path / "a.realm", schema=[Reading, Leaf, Tag, Deep], validation_mode=ValidationMode.ALLOW_ASYMMETRIC
    )
    with Realm.open(config) as realm, realm.write():
        assert realm.create(Reading, id=1, tags=[{"text": "a"}]) is None
        assert realm.create(Reading, Reading(id=2), update=NEVER) is None


# --- single values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("number", 1, 2),
        ("number", None, 2),
        ("name", "a", "b"),
        ("mixed", 1, 2),
        ("mixed", None, 0),
        ("mixed", 1, True),
        ("mixed", 1, 1.0),
        ("mixed", 1.0, Float32(1)),
        ("mixed", 1, Decimal(1)),
        ("mixed", "1", b"1"),
    ],
)
def test_single_values(realm: Realm, name: str, value: Any, other: Any) -> None:
    for first, second in ((value, other), (other, value)):
        realm.create(Node, {"id": 1, name: first}, update=ALL)
        assert writes(realm, {name: first}, MODIFIED) == []
        assert writes(realm, {name: first}, ALL) == ["Update"]
        assert writes(realm, {name: second}, MODIFIED) == ["Update"]
        assert getattr(node(realm), name) == second
        assert type(getattr(node(realm), name)) is type(second)


def test_absent_values_stay_and_none_writes_null(realm: Realm) -> None:
    realm.create(Node, id=1, number=3, name="a")
    for mode in (ALL, MODIFIED):
        assert writes(realm, {}, mode) == []
        assert (node(realm).number, node(realm).name) == (3, "a")
    assert writes(realm, {"number": None}, MODIFIED) == ["Update"]
    assert node(realm).number is None
    for mode in UpdateMode:
        with pytest.raises(errors.MissingPropertyValueError):
            realm.create(Node, {"id": 1 if mode is not NEVER else 2, "name": None}, update=mode)


def test_a_taken_key(realm: Realm) -> None:
    realm.create(Node, id=1)
    with pytest.raises(errors.ObjectAlreadyExistsError) as raised:
        realm.create(Node, id=1)
    assert (raised.value.object_class, raised.value.key) == ("Node", 1)
    with pytest.raises(errors.MissingPropertyValueError):
        realm.create(Node, name="no key")
    with pytest.raises(errors.MissingPropertyValueError):
        realm.create(Node, name="no key", update=ALL)


def test_the_default_of_a_key_counts(realm: Realm) -> None:
    realm.create(Keyed, value=1)
    with pytest.raises(errors.ObjectAlreadyExistsError):
        realm.create(Keyed, value=2)
    for mode, value in ((ALL, 3), (MODIFIED, 4)):
        assert realm.create(Keyed, value=value, update=mode).key == 7
        realm.add(Keyed(value=value + 10), update=mode)
        realm.create_many(Keyed, [{"value": value + 20}], update=mode)
    assert realm.objects(Keyed).values() == [{"key": 7, "value": 24}]


@pytest.mark.parametrize("mode", ["all", True, False, None])
def test_an_update_is_one_of_the_three(realm: Realm, mode: Any) -> None:
    realm.create(Node, id=1, number=1)
    for write in (
        lambda: realm.create(Node, id=1, number=2, update=mode),
        lambda: realm.create(Node, node(realm), number=2, update=mode),
        lambda: realm.add(Node(id=1, number=2), update=mode),
        lambda: realm.add_all([Node(id=1, number=2)], update=mode),
        lambda: realm.create_many(Node, [{"id": 1, "number": 2}], update=mode),
        lambda: realm.import_json(Node, [{"id": 1, "number": 2}], update=mode),
    ):
        with pytest.raises(errors.TypeMismatchError, match="update: expected an UpdateMode, got"):
            write()
    assert node(realm).number == 1


def test_a_class_without_key_cannot_be_updated(realm: Realm) -> None:
    for mode in (ALL, MODIFIED):
        for write in (
            lambda mode=mode: realm.create(Leaf, text="x", update=mode),
            lambda mode=mode: realm.add(Leaf(text="x"), update=mode),
        ):
            with pytest.raises(errors.MissingPrimaryKeyError):
                write()
    assert len(realm.objects(Leaf)) == 0


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [ALL, MODIFIED])
def test_links(realm: Realm, mode: UpdateMode) -> None:
    two = realm.create(Node, id=2)
    realm.create(Node, id=1, link=two)
    assert writes(realm, {"link": two}, mode) == ([] if mode is MODIFIED else ["Update"])
    writes(realm, {"link": {"id": 2, "name": "changed"}}, mode)
    assert (node(realm).link, two.name) == (two, "changed")
    writes(realm, {"link": {"id": 3, "name": "new"}}, mode)
    assert node(realm).link == node(realm, 3)
    unmanaged = Node(id=2, name="again")
    writes(realm, {"link": unmanaged}, mode)
    assert node(realm).link == two == unmanaged
    assert two.name == "again"
    assert writes(realm, {"link": None}, mode) == ["Update"]
    assert node(realm).link is None
    assert writes(realm, {"link": None}, mode) == ([] if mode is MODIFIED else ["Update"])


@pytest.mark.parametrize("mode", [ALL, MODIFIED])
def test_linked_objects_without_keys_are_new(realm: Realm, mode: UpdateMode) -> None:
    realm.create(Node, id=1, leaf={"text": "a"}, leaves=[{"text": "b"}])
    writes(realm, {"leaf": {"text": "a"}, "leaves": [{"text": "b"}, {"text": "c"}]}, mode)
    assert [leaf.text for leaf in realm.objects(Leaf)] == ["a", "b", "a", "b", "c"]
    assert node(realm).leaf == realm.objects(Leaf)[2]


def test_nested_objects_with_a_taken_key(realm: Realm) -> None:
    realm.create(Node, id=2)
    with pytest.raises(errors.ObjectAlreadyExistsError):
        realm.create(Node, id=1, link={"id": 2})
    assert node(realm).link is None, "what was done stays until the transaction is rolled back"


# --- embedded objects -------------------------------------------------------------------------------------------------


def test_embedded_objects(realm: Realm) -> None:
    realm.create(Node, id=1, tag={"text": "a", "deep": {"text": "b"}})
    tag = node(realm).tag
    assert tag is not None
    assert writes(realm, {"tag": {"text": "a", "deep": {"text": "b"}}}, MODIFIED) == []
    assert writes(realm, {"tag": {"text": "a", "deep": {"text": "c"}}}, MODIFIED) == ["Update"]
    assert writes(realm, {"tag": Tag(text="d")}, MODIFIED) == ["Update"]
    assert tag.is_valid
    assert (tag.text, tag.deep.text if tag.deep else None) == ("d", "c")
    writes(realm, {"tag": {"text": "d"}}, ALL)
    assert not tag.is_valid
    assert node(realm).tag is not None
    assert node(realm).tag.deep is None  # type: ignore[union-attr]
    assert writes(realm, {"tag": None}, MODIFIED) == ["Update"]
    assert writes(realm, {"tag": None}, MODIFIED) == []
    writes(realm, {"tag": {"text": "e"}}, MODIFIED)
    assert node(realm).tag.text == "e"  # type: ignore[union-attr]


def test_embedded_objects_in_collections(realm: Realm) -> None:
    realm.create(Node, id=1, tags=[{"text": "a"}, {"text": "b"}, {"text": "c"}], tags_by_name={"x": {"text": "x"}})
    first = node(realm).tags[0]
    assert writes(realm, {"tags": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}, MODIFIED) == []
    assert writes(realm, {"tags": [{"text": "a"}, Tag(text="z")]}, MODIFIED) == ["ArrayErase", "Update"]
    assert [tag.text for tag in node(realm).tags] == ["a", "z"]
    writes(realm, {"tags": [{"text": "a"}, {"text": "z"}, {"text": "new"}]}, MODIFIED)
    assert first.is_valid
    assert [tag.text for tag in node(realm).tags] == ["a", "z", "new"]
    assert writes(realm, {"tags_by_name": {"x": {"text": "x"}}}, MODIFIED) == []
    writes(realm, {"tags_by_name": {"y": {"text": "y"}, "x": None}}, MODIFIED)
    assert node(realm).tags_by_name["x"] is None
    writes(realm, {"tags": [{"text": "all"}]}, ALL)
    assert not first.is_valid


# --- collections ------------------------------------------------------------------------------------------------------


def test_lists(realm: Realm) -> None:
    realm.create(Node, id=1, numbers=[1, 2, 3])
    assert writes(realm, {"numbers": [1, 2, 3]}, MODIFIED) == []
    assert writes(realm, {"numbers": [1, 5, 3, 4]}, MODIFIED) == ["Update", "ArrayInsert"]
    assert writes(realm, {"numbers": [1]}, MODIFIED) == ["ArrayErase"] * 3
    assert list(node(realm).numbers) == [1]
    assert writes(realm, {"numbers": [1]}, ALL) == ["Clear", "ArrayInsert"]
    writes(realm, {"numbers": None}, MODIFIED)
    assert list(node(realm).numbers) == []


def test_lists_of_links(realm: Realm) -> None:
    two = realm.create(Node, id=2)
    realm.create(Node, id=1, nodes=[two, {"id": 3}])
    assert writes(realm, {"nodes": [{"id": 2}, {"id": 3}]}, MODIFIED) == []
    writes(realm, {"nodes": [{"id": 3, "name": "c"}, two, Node(id=4)]}, MODIFIED)
    assert [(each.id, each.name) for each in node(realm).nodes] == [(3, "c"), (2, "x"), (4, "x")]


def test_sets_and_dictionaries_merge_in_modified_and_are_replaced_in_all(realm: Realm) -> None:
    realm.create(Node, id=1, words={"a", "b"}, entries={"a": 1, "b": 2})
    assert writes(realm, {"entries": {"a": 1}}, MODIFIED) == []
    assert writes(realm, {"entries": {"a": 3, "c": None}}, MODIFIED) == ["Update", "Update"]
    assert dict(node(realm).entries) == {"a": 3, "b": 2, "c": None}
    writes(realm, {"words": {"c"}}, MODIFIED)
    assert set(node(realm).words) == {"a", "b", "c"}
    writes(realm, {"words": {"d"}, "entries": {"d": 4}}, ALL)
    assert (set(node(realm).words), dict(node(realm).entries)) == ({"d"}, {"d": 4})


def test_dictionaries_of_links_make_each_object_once(realm: Realm) -> None:
    realm.create(Node, id=1, by_name={"a": {"id": 2}}, leaf={"text": "old"})
    assert writes(realm, {"by_name": {"a": {"id": 2}}}, MODIFIED) == []
    writes(realm, {"by_name": {"a": {"id": 3}, "b": None}}, MODIFIED)
    assert node(realm).by_name["a"] == node(realm, 3)
    before = len(realm.objects(Leaf))
    writes(realm, {"leaf": {"text": "new"}}, MODIFIED)
    assert len(realm.objects(Leaf)) == before + 1


# --- Mixed ------------------------------------------------------------------------------------------------------------


def test_collections_in_mixed_values(realm: Realm) -> None:
    realm.create(Node, id=1, mixed=[1, {"a": [2]}])
    inner = node(realm).mixed
    assert writes(realm, {"mixed": [1, {"a": [2]}]}, MODIFIED) == []
    assert writes(realm, {"mixed": [1, {"a": [3], "b": 4}]}, MODIFIED) == ["Update", "Update"]
    assert inner.is_valid
    assert [inner[0], {name: value for name, value in inner[1].items() if name == "b"}] == [1, {"b": 4}]
    assert list(inner[1]["a"]) == [3]
    writes(realm, {"mixed": [5, 6, 7]}, MODIFIED)
    assert list(node(realm).mixed) == [5, 6, 7]
    writes(realm, {"mixed": {"a": 1}}, MODIFIED)
    assert dict(node(realm).mixed) == {"a": 1}
    writes(realm, {"mixed": {"b": 2}}, MODIFIED)
    assert dict(node(realm).mixed) == {"a": 1, "b": 2}
    writes(realm, {"mixed": {"c": 3}}, ALL)
    assert dict(node(realm).mixed) == {"c": 3}
    assert writes(realm, {"mixed": 4}, MODIFIED) == ["Update"]
    writes(realm, {"mixed": node(realm)}, MODIFIED)
    assert writes(realm, {"mixed": node(realm)}, MODIFIED) == []
    assert node(realm).mixed == node(realm)


# --- graphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", UpdateMode)
def test_cycles_of_unmanaged_objects(realm: Realm, mode: UpdateMode) -> None:
    for first, second in itertools.pairwise((1, 3, 1, 3) if mode is not NEVER else (1, 3)):
        one, two = Node(id=first), Node(id=second)
        one.link, two.link = two, one
        one.nodes = [one, two, one]
        two.mixed = [one, {"x": two}]
        one.leaf = Leaf(text="shared")
        two.leaf = one.leaf
        realm.add(one, update=mode)
        assert one.link == two
        assert two.link == one
        assert list(one.nodes) == [one, two, one]
        assert two.mixed[1]["x"] == two
        assert one.leaf == two.leaf
    assert len(realm.objects(Node)) == 2


@pytest.mark.parametrize("mode", UpdateMode)
def test_long_chains(realm: Realm, mode: UpdateMode) -> None:
    for again in range(2 if mode is not NEVER else 1):
        first = last = Node(id=0)
        for number in range(1, 1000):
            last.link = Node(id=number, name=str(again), leaf=Leaf(text="x"))
            last = last.link
        last.link = first
        realm.add(first, update=mode)
        nodes, each = 0, first
        while nodes < 1000:
            assert each.link is not None
            assert (each.link.id, each.link.leaf is None) == ((each.id + 1) % 1000, each.id == 999)
            nodes, each = nodes + 1, each.link
        assert each == first
    assert len(realm.objects(Node)) == 1000


def test_long_chains_as_values(realm: Realm) -> None:
    values: dict[str, Any] = {"id": 0}
    for number in range(1, 500):
        values = {"id": number, "link": values}
    realm.create(Node, values)
    chain = Node(id=1000)
    for number in range(1001, 1500):
        chain = Node(id=number, link=chain)
    node(realm, 0).link = chain
    node(realm, 1).nodes.append(Node(id=2000, link=Node(id=2001)))
    assert [len(realm.objects(Node)), node(realm, 1001).link] == [1002, node(realm, 1000)]


def test_an_object_twice_among_values(realm: Realm) -> None:
    leaf = Leaf(text="x")
    realm.create(Node, id=1, leaf=leaf, leaves=[leaf, leaf], mixed=leaf)
    assert len(realm.objects(Leaf)) == 1


def test_an_exception_in_the_middle(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x.realm", schema=SCHEMA)) as realm:
        with pytest.raises(errors.TypeMismatchError), realm.write():
            realm.create(Node, id=1, link={"id": 2}, numbers=["no number"])
        assert len(realm.objects(Node)) == 0


# --- objects as values ------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "other.realm", schema=SCHEMA)) as other:
        with other.write():
            one = other.create(Node, id=1, name="one", tag={"text": "t"}, mixed={"a": [1]}, words={"w"})
            two = other.create(Node, id=2, name="two", link=one, nodes=[one, one], leaf={"text": "leaf"})
            one.link = two
            two.mixed = one
        yield other


def test_values_from_another_realm_are_copied(realm: Realm, other: Realm) -> None:
    one, two = node(other, 1), node(other, 2)
    made = realm.create(Node, id=9, link=one, nodes=[two, one, two], mixed=two, leaf=two.leaf, tag=one.tag)
    assert [each.id for each in realm.objects(Node)] == [9, 1, 2]
    assert made.link == node(realm, 1)
    assert made.mixed == node(realm, 2)
    assert list(made.nodes) == [node(realm, 2), node(realm, 1), node(realm, 2)]
    assert node(realm, 1).link == node(realm, 2)
    assert node(realm, 2).leaf == made.leaf
    assert made.tag is not None
    assert made.tag.text == "t"
    assert one.realm is other
    with pytest.raises(errors.IllegalOperationError):
        made.link = one
    with pytest.raises(errors.IllegalOperationError):
        made.nodes.append(one)
    with pytest.raises(errors.IllegalOperationError):
        made.tag = one.tag
    with pytest.raises(errors.IllegalOperationError):
        realm.add(one)
    with pytest.raises(errors.ObjectAlreadyExistsError):
        realm.create(Node, id=10, link=one)
    realm.create(Node, id=11, link=one, update=ALL)
    realm.add(Node(id=12, link=two, tag=Tag(text="own")), update=MODIFIED)
    assert node(realm, 12).link == node(realm, 2)


def test_create_from_an_object(realm: Realm, other: Realm) -> None:
    copied = realm.create(Node, node(other, 1), name="renamed")
    assert (copied.id, copied.name, copied.link) == (1, "renamed", node(realm, 2))
    again = realm.create(Node, copied, id=20)
    assert (again.name, again.link, list(again.mixed["a"])) == ("renamed", node(realm, 2), [1])
    assert again.tag is not None
    assert (again.tag.text, again.tag == copied.tag) == ("t", False)
    assert set(again.words) == {"w"}
    unmanaged = Node(id=30, link=Node(id=31))
    assert realm.create(Node, unmanaged).link == node(realm, 31)
    assert not unmanaged.is_managed
    assert realm.create(Node, unmanaged, update=MODIFIED).id == 30
    with pytest.raises(errors.ObjectTypeMismatchError):
        realm.create(Node, Leaf(text="x"))


def test_what_add_refuses(realm: Realm) -> None:
    one = realm.create(Node, id=1)
    assert realm.add(one) is one
    realm.delete(one)
    with pytest.raises(errors.InvalidatedObjectError):
        realm.add(one)
    with pytest.raises(errors.IllegalOperationError):
        realm.add(Tag(text="alone"))
    with pytest.raises(errors.TypeMismatchError):
        realm.add("x")  # type: ignore[type-var]


def test_frozen_objects_are_refused(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x.realm", schema=SCHEMA)) as realm:
        with realm.write():
            realm.create(Node, id=1)
        with realm.freeze() as frozen, realm.write():
            with pytest.raises(errors.IllegalOperationError):
                realm.add(node(frozen))
            with pytest.raises(errors.IllegalOperationError):
                realm.create(Node, id=2, link=node(frozen))


# --- unknown names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", UpdateMode)
def test_unknown_names(realm: Realm, mode: UpdateMode) -> None:
    values = {"id": 1, "colour": "red", "link": {"id": 2, "colour": 1}, "tag": {"text": "t", "size": 2}}
    with pytest.raises(errors.InvalidPropertyError, match="colour"):
        realm.create(Node, values, update=mode)
    made = realm.create(Node, values, update=mode, ignore_unknown=True)
    assert made.link == node(realm, 2)
    again = realm.create(Node, values, update=ALL, ignore_unknown=True)
    assert again == made
    assert realm.create(Leaf, text="x", size=1, ignore_unknown=True).text == "x"
