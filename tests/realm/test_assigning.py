"""Creating, adding and updating (spec/sdk.md §6.1–6.3, spec/changesets.md §9.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    InvalidDictionaryKeyError,
    InvalidPropertyError,
    List,
    MissingPrimaryKeyError,
    MissingPropertyValueError,
    Model,
    ModifyPrimaryKeyError,
    ObjectAlreadyExistsError,
    ObjectId,
    PropertyNotNullableError,
    Realm,
    RealmConfiguration,
    Set,
    TypeMismatchError,
    UpdateMode,
)
from syncline.changesets.instructions import (
    ArrayErase,
    ArrayInsert,
    Clear,
    CreateObject,
    Instruction,
    SetInsert,
    Update,
)

MODIFIED, ALL = UpdateMode.MODIFIED, UpdateMode.ALL


class Tag(EmbeddedModel):
    text: str
    inner: List[int]


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int | None = None
    kind: str = "dog"
    born: datetime = Field(name="birth", default_factory=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    tag: Tag | None
    tags: List[Tag]
    best: Dog | None
    friends: List[Dog]
    colours: Set[str]
    scores: Dictionary[int]
    extra: Any


class Note(Model):
    text: str
    dog: Dog | None
    lines: List[str] = ["first"]  # noqa: RUF012 - copied for each object


class Numbered(Model):
    id: int | None = Field(primary_key=True)


class Owner(Model):
    id: ObjectId = Field(primary_key=True, default_factory=ObjectId)
    name: str | None = None
    pet: Dog | None = None
    score: Counter | None


@pytest.fixture
def realm(open_realm: OpenRealm) -> Iterator[Realm]:
    opened = open_realm(Dog, Note, Tag, Numbered, Owner)
    opened.begin_write()
    yield opened
    opened.cancel_write()


def recorded(realm: Realm, since: int = 0) -> list[str]:
    """What the open transaction recorded, in short."""

    def short(instruction: Instruction) -> str:
        match instruction:
            case CreateObject():
                return f"create {instruction.table} {instruction.key}"
            case Update():
                path = "".join(f"[{step}]" for step in instruction.path)
                default = " default" if instruction.is_default else ""
                return f"set {instruction.field}{path}={instruction.value}{default}"
            case ArrayInsert():
                return f"insert {instruction.field}{list(instruction.path)}={instruction.value}"
            case ArrayErase():
                return f"erase {instruction.field}{list(instruction.path)}"
            case SetInsert():
                return f"add {instruction.field}={instruction.value}"
            case Clear():
                return f"clear {instruction.field}"
        return type(instruction).__name__

    return [short(each) for each in realm._context.writing().instructions[since:]]


def mark(realm: Realm) -> int:
    return len(realm._context.writing().instructions)


# --- create -----------------------------------------------------------------------------------------------------------


def test_defaults_are_recorded_as_defaults(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex", age=3)
    assert (dog.kind, dog.born) == ("dog", datetime(2020, 1, 1, tzinfo=UTC))
    assert recorded(realm) == [
        "create Dog Rex",
        "set age=3",
        "set kind=dog default",
        "set birth=Timestamp(seconds=1577836800, nanoseconds=0) default",
    ]


def test_values_come_as_mapping_or_keywords(realm: Realm) -> None:
    assert realm.create(Dog, {"name": "A", "age": 1}).age == 1
    assert realm.create(Dog, {"name": "B"}, age=2).age == 2
    assert realm.create("Dog", name="C", age=3).age == 3
    assert realm.create(Dog, {"name": "D", "birth": datetime(2000, 1, 1, tzinfo=UTC)}).born.year == 2000
    with pytest.raises(TypeMismatchError, match=r"create: expected a mapping of values or an object, got list"):
        realm.create(Dog, ["x"])  # type: ignore[call-overload]


def test_unknown_and_missing_values(realm: Realm) -> None:
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'nmae': did you mean 'name'?"):
        realm.create(Dog, nmae="Rex")
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 5: it has name, "):
        Dog(name="E")[5]  # type: ignore[index]
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'agee': did you mean 'age'?"):
        realm.create(Dog, name="Rex", agee=3)
    with pytest.raises(InvalidPropertyError, match=r"Note has no property 'txt': did you mean 'text'?"):
        realm.create(Note, txt="x")
    with pytest.raises(MissingPropertyValueError, match=r"Dog.name: the primary key needs a value"):
        realm.create(Dog, age=3)
    with pytest.raises(
        MissingPropertyValueError, match=r"Note.text: a value is needed; give one, a default, or declare '\| None'"
    ):
        realm.create(Note)
    with pytest.raises(PropertyNotNullableError, match=r"Note.text: cannot be None"):
        realm.create(Note, text=None)
    with pytest.raises(TypeMismatchError, match=r"Dog.age: expected int, got str 'x'"):
        realm.create(Dog, name="Rex", age="x")
    assert recorded(realm) == []


def test_keys_are_taken_once(realm: Realm) -> None:
    realm.create(Dog, name="Rex", age=1)
    before = mark(realm)
    with pytest.raises(
        ObjectAlreadyExistsError, match=r"a Dog with the primary key 'Rex' exists already; use update=UpdateMode.MODIF"
    ):
        realm.create(Dog, name="Rex", age=2)
    assert recorded(realm, before) == []
    assert realm.get(Dog, "Rex").age == 1  # type: ignore[union-attr]
    realm.create(Numbered, id=None)
    with pytest.raises(ObjectAlreadyExistsError, match=r"primary key None exists already"):
        realm.create(Numbered)


def test_keys_do_not_change(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex")
    with pytest.raises(
        ModifyPrimaryKeyError, match=r"Dog.name: a primary key cannot be changed; create another object"
    ):
        dog.name = "Bo"
    with pytest.raises(ModifyPrimaryKeyError, match=r"Dog.name: a primary key cannot be changed"):
        realm.objects(Dog).update(name="Bo")


def test_nested_values_become_objects(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    before = mark(realm)
    bo = realm.create(
        Dog,
        name="Bo",
        best={"name": "Fido", "best": {"name": "Ada"}},
        friends=[rex, Dog(name="Max", age=5), {"name": "Kim"}],
        tag={"text": "x", "inner": [1, 2]},
        tags=[Tag(text="y"), {"text": "z"}],
        colours=["red", "red", "blue"],
        scores={"a": 1},
        extra=[1, {"k": rex}],
    )
    assert bo.best is not None
    assert bo.best.best is not None
    assert bo.best.best.name == "Ada"
    assert [friend.name for friend in bo.friends] == ["Rex", "Max", "Kim"]
    assert bo.tag is not None
    assert (bo.tag.text, bo.tag.inner) == ("x", [1, 2])
    assert [tag.text for tag in bo.tags] == ["y", "z"]
    assert bo.colours == {"red", "blue"}
    assert bo.scores == {"a": 1}
    assert bo.extra[1]["k"] is rex
    assert bo.tag.parent is bo
    lines = recorded(realm, before)
    created = [line for line in lines if line.startswith("create")]
    assert created == ["create Dog Bo", "create Dog Fido", "create Dog Ada", "create Dog Max", "create Dog Kim"]
    assert lines.index("create Dog Fido") < lines.index("set best=Link(table='Dog', key='Fido')")


def test_collection_defaults_are_filled_in(realm: Realm) -> None:
    note = realm.create(Note, text="x")
    assert note.lines == ["first"]
    assert realm.create(Note, text="y", lines=[]).lines == []
    assert realm.create(Note, text="z", lines=None).lines == []


def test_embedded_objects_are_not_created_alone(realm: Realm) -> None:
    with pytest.raises(
        IllegalOperationError, match=r"Tag objects are embedded: they come into being by assigning them"
    ):
        realm.create(Tag, text="x")
    with pytest.raises(IllegalOperationError, match=r"is embedded: assign it to the property of its parent"):
        realm.add(Tag(text="x"))
    dog = realm.create(Dog, name="Rex", tag={"text": "x"})
    bo = realm.create(Dog, name="Bo", tag=dog.tag)
    assert bo.tag is not None
    assert (bo.tag.text, bo.tag == dog.tag) == ("x", False)
    with pytest.raises(IllegalOperationError, match=r"has a parent already; embedded objects have one"):
        bo.tag = dog.tag
    with pytest.raises(TypeMismatchError, match=r"Dog.tag: expected Tag, got int 5"):
        dog.tag = 5  # type: ignore[assignment]
    with pytest.raises(TypeMismatchError, match=r"Dog.tag: expected Tag, got Note"):
        dog.tag = Note(text="x")  # type: ignore[assignment]


def test_embedded_objects_go_with_their_place(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex", tag={"text": "x"}, tags=[{"text": "a"}, {"text": "b"}])
    tag, first = dog.tag, dog.tags[0]
    assert tag is not None
    assert tag.text == "x"
    dog.tag = Tag(text="y")
    assert not tag.is_valid
    assert dog.tag is not None
    assert dog.tag.text == "y"
    assert first.text == "a"
    dog.tags[0] = Tag(text="c")
    assert not first.is_valid
    second = dog.tags[1]
    assert second.is_valid
    del dog.tags[1]
    assert not second.is_valid
    dog.tag = None
    assert dog.tag is None


def test_keys_may_have_defaults(realm: Realm) -> None:
    one, two = realm.create(Owner), realm.create(Owner, name="x")
    assert one.id != two.id
    assert realm.get(Owner, one.id) is one
    three = Owner()
    key = three.id
    assert three.name is None
    assert three.score is None
    realm.add(three)
    assert (three.id, three.pet, three.score) == (key, None, None)
    assert [line for line in recorded(realm) if line.startswith("set")] == ["set name=x"]
    three.score = 5  # type: ignore[assignment]
    assert three.score is not None
    three.score.increment()
    assert three.score == 6


# --- update modes -----------------------------------------------------------------------------------------------------


def test_update_all_writes_what_is_given(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex", age=3, kind="cat", colours=["red"], scores={"a": 1}, friends=[{"name": "Bo"}])
    before = mark(realm)
    again = realm.create(Dog, {"name": "Rex", "age": 3, "colours": ["blue"], "scores": {"b": 2}}, update=ALL)
    assert again is dog
    assert (dog.kind, dog.colours, dog.scores, len(dog.friends)) == ("cat", {"blue"}, {"b": 2}, 1)
    assert recorded(realm, before) == [
        "set age=3",
        "clear colours",
        "add colours=blue",
        "clear scores",
        "set scores[b]=2",
    ]


def test_update_modified_writes_what_differs(realm: Realm) -> None:
    values: dict[str, Any] = {
        "name": "Rex",
        "age": 3,
        "kind": "cat",
        "tag": {"text": "x", "inner": [1, 2]},
        "friends": [{"name": "Bo", "age": 1}],
        "colours": ["red"],
        "scores": {"a": 1},
        "extra": 1,
    }
    dog = realm.create(Dog, values)
    before = mark(realm)
    realm.create(Dog, values, update=MODIFIED)
    assert recorded(realm, before) == []
    tag = dog.tag
    changed = {**values, "age": None, "tag": {"text": "y", "inner": [1]}, "extra": 1.0, "scores": {"b": 2}}
    changed |= {"friends": [{"name": "Bo", "age": 2}, {"name": "Kim"}], "colours": ["blue"]}
    realm.create(Dog, changed, update=MODIFIED)
    assert dog.tag is tag
    assert (dog.tag.text, dog.tag.inner) == ("y", [1])  # type: ignore[union-attr]
    assert (dog.age, dog.extra, type(dog.extra)) == (None, 1.0, float)
    assert (dog.colours, dog.scores) == ({"red", "blue"}, {"a": 1, "b": 2})
    assert [(friend.name, friend.age) for friend in dog.friends] == [("Bo", 2), ("Kim", None)]
    assert "set kind=cat" not in recorded(realm, before)


def test_update_modified_in_all_places(realm: Realm) -> None:
    class_values = {"name": "Rex", "tag": Tag(text="x"), "extra": [1], "scores": {"a": 1, "b": 2}}
    dog = realm.create(Dog, class_values, update=MODIFIED)
    tag = dog.tag
    assert tag is not None
    before = mark(realm)
    realm.create(Dog, {"name": "Rex", "tag": Tag(text="y"), "extra": [1, 2], "scores": {"a": 1}}, update=MODIFIED)
    assert (tag.text, dog.tag, dog.extra) == ("y", tag, [1, 2])
    assert "set scores[a]=1" not in recorded(realm, before)
    realm.create(Dog, {"name": "Rex", "tag": None}, update=MODIFIED)
    before = mark(realm)
    realm.create(Dog, {"name": "Rex", "tag": None}, update=MODIFIED)
    assert recorded(realm, before) == []
    realm.create(Dog, {"name": "Rex", "tag": {"text": "z"}}, update=MODIFIED)
    assert dog.tag is not None
    assert dog.tag.text == "z"
    kim = realm.create(Dog, {"name": "Kim", "tag": {"text": "k"}})
    tag = kim.tag
    realm.create(Dog, {"name": "Kim", "tag": dog.tag}, update=MODIFIED)
    assert tag is not None
    assert kim.tag == tag
    assert tag.text == dog.tag.text
    realm.create(Dog, {"name": "Kim", "tag": kim.tag}, update=UpdateMode.ALL)
    assert not tag.is_valid
    assert kim.tag.text == dog.tag.text


def test_update_modified_compares_lists_by_position(realm: Realm) -> None:
    note = realm.create(Note, text="x", lines=["a", "b", "c"])
    realm.create(Dog, name="Rex", friends=[{"name": "A"}, {"name": "B"}])
    friends = [realm.get(Dog, "A"), realm.get(Dog, "C") or realm.create(Dog, name="C")]
    before = mark(realm)
    realm.create(Dog, {"name": "Rex", "friends": friends}, update=MODIFIED)
    assert recorded(realm, before) == ["set friends[1]=Link(table='Dog', key='C')"]
    note.lines = ["a"]
    assert note.lines == ["a"]


def test_updates_need_a_key(realm: Realm) -> None:
    for action in (
        lambda: realm.create(Note, text="x", update=ALL),
        lambda: realm.add(Note(text="x"), update=MODIFIED),
    ):
        with pytest.raises(MissingPrimaryKeyError, match=r"Note has no primary key, so there is nothing to update"):
            action()


def test_updates_create_what_is_missing(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex", update=MODIFIED)
    assert dog.kind == "dog"


# --- add --------------------------------------------------------------------------------------------------------------


def test_add_takes_objects_over(realm: Realm) -> None:
    rex = Dog(name="Rex", friends=[Dog(name="Bo"), Dog(name="Bo2")], tag=Tag(text="x"))
    rex.best = rex.friends[0]
    rex.friends.append(rex)
    rex.best.best = rex
    kind = rex.kind
    assert realm.add(rex) is rex
    assert rex.is_managed
    assert rex.best is rex.friends[0]
    assert rex.friends[2] is rex
    assert rex.best is not None
    assert rex.best.best is rex
    assert rex.kind == kind
    assert len(realm.objects(Dog)) == 3
    assert "set kind=dog default" in recorded(realm)
    assert realm.add(rex) is rex
    assert len(realm.objects(Dog)) == 3


def test_add_updates_by_key(realm: Realm) -> None:
    old = realm.create(Dog, name="Rex", age=1, kind="cat")
    assert old.age == 1
    new = realm.add(Dog(name="Rex", age=2), update=MODIFIED)
    assert (old.age, new.age, new.kind) == (2, 2, "cat")
    assert old == new
    old.age = 3
    assert new.age == 3
    new.age = 4
    assert old.age == 4


def test_add_all(realm: Realm) -> None:
    realm.add_all(Dog(name=name) for name in "abc")
    assert [dog.name for dog in realm.objects(Dog)] == ["a", "b", "c"]


def test_what_cannot_be_added(realm: Realm) -> None:
    with pytest.raises(TypeMismatchError, match=r"add: expected an object of a model class, got dict"):
        realm.add({"name": "Rex"})  # type: ignore[type-var]
    with pytest.raises(MissingPropertyValueError, match=r"Note.text: a value is needed"):
        realm.add(Note())
    rex = realm.create(Dog, name="Rex")
    realm.delete(rex)
    with pytest.raises(InvalidatedObjectError, match=r"this Dog was deleted"):
        realm.add(rex)
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Numbered])) as other, other.write():
        stranger = other.create(Numbered, id=1)
        with pytest.raises(IllegalOperationError, match=r"belongs to another Realm"):
            realm.add(stranger)


def test_assigning_adds_unmanaged_objects(realm: Realm) -> None:
    note = realm.create(Note, text="x")
    note.dog = Dog(name="Rex")
    assert note.dog is not None
    assert note.dog.is_managed
    note.dog = {"name": "Bo"}  # type: ignore[assignment]
    assert note.dog.name == "Bo"
    with pytest.raises(ObjectAlreadyExistsError, match=r"exists already"):
        note.dog = Dog(name="Rex")
    assert note.dog.name == "Bo"


# --- what is refused leaves everything as it was (6.6) ----------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Dog, Note], object], type[Exception]]] = {
    "a list": (lambda dog, note: setattr(note, "lines", ["a", 5]), TypeMismatchError),
    "a list of objects": (lambda dog, note: setattr(dog, "friends", [Dog(name="new"), 5]), TypeMismatchError),
    "a set": (lambda dog, note: setattr(dog, "colours", ["a", 5]), TypeMismatchError),
    "a dictionary": (lambda dog, note: setattr(dog, "scores", {"b": 1, "c": "x"}), TypeMismatchError),
    "a key": (lambda dog, note: setattr(dog, "scores", {"b": 1, "$c": 1}), InvalidDictionaryKeyError),
    "embedded": (lambda dog, note: setattr(dog, "tag", {"text": 5}), TypeMismatchError),
    "embedded, missing": (lambda dog, note: setattr(dog, "tag", {}), MissingPropertyValueError),
    "embedded, in memory": (lambda dog, note: setattr(dog, "tag", Tag()), MissingPropertyValueError),
    "embedded, unknown": (lambda dog, note: setattr(dog, "tag", {"text": "x", "size": 1}), InvalidPropertyError),
    "embedded, inside": (lambda dog, note: setattr(dog, "tag", {"text": "x", "inner": ["y"]}), TypeMismatchError),
    "embedded in a list": (lambda dog, note: setattr(dog, "tags", [{"text": "x"}, {"text": 1}]), TypeMismatchError),
    "one of a list": (lambda dog, note: dog.tags.__setitem__(0, {"text": 1}), TypeMismatchError),  # type: ignore[call-overload]
    "one more": (lambda dog, note: dog.tags.append({"text": 1}), TypeMismatchError),  # type: ignore[arg-type]
    "several more": (lambda dog, note: dog.tags.extend([{"text": "x"}, {"text": 1}]), TypeMismatchError),  # type: ignore[list-item]
    "a slice": (lambda dog, note: note.lines.__setitem__(slice(0, 1), ["a", 5]), TypeMismatchError),
    "members": (lambda dog, note: dog.colours.update(["a", 5]), TypeMismatchError),  # type: ignore[list-item]
    "Mixed": (lambda dog, note: setattr(dog, "extra", [1, {"a": [object()]}]), TypeMismatchError),
    "Mixed, a key": (lambda dog, note: setattr(dog, "extra", {"a": 1, "b": {"c.d": 1}}), InvalidDictionaryKeyError),
    "Mixed, a set": (lambda dog, note: setattr(dog, "extra", [1, [{2}]]), IllegalOperationError),
    "Mixed, a new object": (lambda dog, note: setattr(dog, "extra", [Dog(name="new"), object()]), TypeMismatchError),
    "inside a Mixed": (lambda dog, note: dog.extra.append([object()]), TypeMismatchError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(realm: Realm, what: str) -> None:
    values = {"tag": {"text": "t", "inner": [1]}, "tags": [{"text": "a"}, {"text": "b"}], "extra": ["old"]}
    dog = realm.create(Dog, name="Rex", colours=["red"], scores={"a": 1}, friends=[{"name": "Bo"}], **values)
    note = realm.create(Note, text="x")
    tag, extra, before = dog.tag, dog.extra, mark(realm)
    action, error = REFUSED[what]
    with pytest.raises(error):
        action(dog, note)
    assert recorded(realm, before) == []
    assert len(realm.objects(Dog)) == 2
    assert (dog.tag is tag, tag and tag.text, list(extra)) == (True, "t", ["old"])
    assert ([each.text for each in dog.tags], dog.scores, list(note.lines)) == (["a", "b"], {"a": 1}, ["first"])


def test_what_fails_in_the_middle_is_seen_as_it_is(realm: Realm) -> None:
    dog = realm.create(Dog, name="Rex", extra=["old"], tags=[{"text": "a"}])
    old = dog.extra
    with pytest.raises(ObjectAlreadyExistsError):
        dog.extra = [[1], Dog(name="Rex")]
    assert (len(dog.extra), len(old), list(old[0])) == (1, 1, [1])


def test_dictionaries_have_text_keys(realm: Realm) -> None:
    with pytest.raises(TypeMismatchError, match=r"Dog.scores: the keys of a dictionary are str, got int 1"):
        realm.create(Dog, name="Rex", scores={1: 1})
    with pytest.raises(TypeMismatchError, match=r"Dog.scores: expected a dictionary, got list"):
        realm.create(Dog, name="Bo", scores=[1])
