"""``syncline why``: what it says about client files and servers, and about what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.server.test_commit_group import files, run, upload
from tests.server.wire import dogs, rename
from tests.storage.test_history import at, download, make_schema, set_age, set_dog
from typer.testing import CliRunner

from syncline import (
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
)
from syncline.changesets.instructions import CreateObject
from syncline.cli.commands import build_app
from syncline.cli.why_place import PlaceError, find_class, read_key, read_place
from syncline.cli.why_report import value_words
from syncline.server.database import Database
from syncline.server.realm_directory import RealmDirectory
from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.catalogue import Catalogue
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.testing.processes import ServerProcess
from syncline.values import GlobalKey, ObjectId
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    EMBEDDED,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    OBJECT_ID,
    SET_COLLECTION,
    STRING,
    UUID,
)

KEY = bytes(range(64))


def why(*arguments: object, **environment: str) -> Any:
    """Run the command; its result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(build_app(), ["why", *map(str, arguments)], env={"COLUMNS": "400", **environment})


def said(*arguments: object) -> str:
    result = why(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def refused(*arguments: object, **environment: str) -> str:
    result = why(*arguments, **environment)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return str(result.stderr).removeprefix("syncline why: ").rstrip("\n")


# --- a client's file --------------------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A client file (ident 3) whose own age lost to that of client file 2, and whose name is not yet uploaded."""
    path = tmp_path / "dogs.realm"
    file = RealmFile.open(path)
    make_schema(file)
    history = ClientHistory(file)
    history.set_file_ident(3, 99)
    set_dog(file, 1, "age", 5, timestamp=20)
    history.integrate(at(5, 3), [download(5, 3, CreateObject("Dog", 1), set_age(1, 7))], 0)
    set_dog(file, 1, "name", "Rex", timestamp=200)
    file.close()
    return path


def test_a_client_tells_what_met_and_what_waits(client: Path) -> None:
    assert said(client, "Dog", 1).splitlines() == [
        "Dog[1] exists now  (dogs.realm, version 6)",
        "",
        "version 4 · this file · 2015-01-01 00:00:00.020 UTC",
        "  create Dog[1] — stands",
        "  set age to 5 — replaced by version 5",
        "",
        "version 5 · client file 2 · 2015-01-01 00:00:00.100 UTC",
        "  create Dog[1] — stands",
        "  set age to 7 — stands",
        "    This file wanted to set age to 5 (2015-01-01 00:00:00.020 UTC), client file 2 wanted to set age to 7"
        " (2015-01-01 00:00:00.100 UTC).",
        "    The later change wins: the change of client file 2 stands; that of this file is dropped."
        " (Rule 5.6 Update × Update)",
        "",
        "version 6 · this file · 2015-01-01 00:00:00.200 UTC",
        '  set name to "Rex" — stands',
        "",
        "This file knows only its own changes that the server has not taken in yet, and what met what when downloads"
        " were merged. What others changed otherwise, the server knows: syncline why --data FOLDER REALM …",
    ]


def test_one_property(client: Path) -> None:
    text = said(client, "Dog", 1, "name")
    assert text.startswith('Dog[1].name is now "Rex"  (dogs.realm, version 6)\n')
    assert "age" not in text


def test_json(client: Path) -> None:
    answer = json.loads(said(client, "Dog", 1, "age", "--json"))
    assert answer["realm"] == "dogs.realm"
    assert (answer["version"], answer["place"], answer["exists"]) == (6, "Dog[1].age", True)
    assert answer["value"] == {"int": 7}
    assert answer["authors"] == {"3": "this file"}
    assert [event["version"] for event in answer["events"]] == [4, 5]
    (decision,) = answer["events"][1]["decisions"]
    assert (decision["rule"], decision["winner"]) == ("5.6 Update × Update", 2)
    assert [change["result"] for change in decision["changes"]] == [None, "set age to 7"]


def test_a_limit_and_a_start(client: Path) -> None:
    text = said(client, "Dog", 1, "--limit", 1)
    assert "… 2 older events (--limit 0 shows all)" in text
    assert "version 4 ·" not in text
    assert "version 4 ·" in said(client, "Dog", 1, "--limit", 0)
    for since in ("5", "2015-01-01T00:00:00.050", "2015-01-01T01:00:00.050+01:00"):
        text = said(client, "Dog", 1, "--since", since)
        assert "version 4 ·" not in text
        assert "version 5 ·" in text
    assert "takes a version or a time" in refused(client, "Dog", 1, "--since", "yesterday")


def test_what_was_forgotten_is_said(tmp_path: Path) -> None:
    path = tmp_path / "dogs.realm"
    file = RealmFile.open(path)
    make_schema(file)
    history = ClientHistory(file, keep_bytes=400)
    history.set_file_ident(3, 99)
    for version in range(5, 15):
        set_dog(file, 1, "age", version, timestamp=20)
        base = file.version - 1
        history.integrate(at(version, base), [download(version, base, set_age(1, 7))], 0)
    file.close()
    assert "was forgotten (setting kept_conflict_bytes)." in said(path, "Dog", 1)


def test_an_object_that_was_deleted(client: Path) -> None:
    file = RealmFile.open(client)
    with file.write(origin_timestamp=300) as tx:
        info = tx.catalogue.classes["Dog"]
        k = tx.find(info, 1)
        assert k is not None
        tx.erase(info, k)
    file.close()
    text = said(client, "Dog", 1, "age")
    assert text.startswith("Dog[1].age does not exist now")
    assert "delete Dog[1] — stands" in text


def test_a_file_that_is_not_synced(tmp_path: Path) -> None:
    path = tmp_path / "local.realm"
    file = RealmFile.open(path, history=False)
    make_schema(file)
    set_dog(file, 1, "age", 5)
    file.close()
    text = said(path, "Dog", 1, "age")
    assert "Dog[1].age is now 5" in text
    assert "Nothing is known of how it came about." in text
    assert "This file is not synced: it keeps no history." in text


def test_an_encrypted_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.realm"
    file = RealmFile.open(path, encryption_key=KEY)
    make_schema(file)
    set_dog(file, 1, "age", 5)
    file.close()
    assert "is now 5" in said(path, "Dog", 1, "age", "--encryption-key", KEY.hex())
    assert why(path, "Dog", 1, SYNCLINE_ENCRYPTION_KEY=KEY.hex()).exit_code == 0
    assert "is encrypted; open it with its encryption key" in refused(path, "Dog", 1)
    assert "the encryption key is wrong" in refused(path, "Dog", 1, "--encryption-key", bytes(64).hex())
    assert "has exactly 64 bytes" in refused(path, "Dog", 1, "--encryption-key", "00")
    assert "is not hexadecimal" in refused(path, "Dog", 1, "--encryption-key", "xyz")


def test_the_file_is_never_changed(client: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in client.parent.iterdir() if p.suffix != ".lock"}

    before = contents()
    said(client, "Dog", 1)
    said(client, "Dog", 1, "age", "--json", "--all")
    assert contents() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dog", 1), "there is no class 'dog' in this Realm; did you mean Dog?"),
        (("Cat", 1), "there is no class 'Cat' in this Realm; there are: Dog"),
        (("Dog", 2), "there is no Dog[2], and nothing is known of it; there are, for example: 1"),
        (("Dog", "x"), "'x' is no key of Dog: _id is of type int"),
        (("Dog", 1, "aeg"), "Dog has no property 'aeg'; did you mean age?"),
        (("Dog", 1, "age.x"), "age.x: there is nothing inside age that .x could name"),
        (("Dog", 1, "age]"), "Dog has no property 'age]'; did you mean age?"),
        (("Dog", 1, "age["), "cannot read 'age[' from '[' on: write for example walks[2].title"),
    ],
)
def test_what_does_not_exist(client: Path, arguments: tuple[object, ...], message: str) -> None:
    assert refused(client, *arguments) == message


def test_what_is_no_realm(tmp_path: Path) -> None:
    text = tmp_path / "text.realm"
    text.write_text("this is text, and long enough for a header of a file")
    assert refused(text, "Dog", 1) == f"{text} is not a Realm file"
    missing = tmp_path / "missing.realm"
    assert refused(missing, "Dog", 1) == (
        f"there is no Realm at {missing}; for a Realm of a server, say where its data is: --data FOLDER"
    )
    assert not missing.exists()
    assert "is not the data folder of a server" in refused("/a", "Dog", 1, "--data", tmp_path)


def test_places_in_embedded_objects(tmp_path: Path) -> None:
    path = tmp_path / "dogs.realm"
    file = RealmFile.open(path)
    with file.write() as tx:
        tx.add_property(tx.add_class("Walk", kind=EMBEDDED), "title", STRING)
        dog = tx.add_property(tx.add_class("Dog", primary_key="_id", key_type=INT), "walk", LINK, target="Walk")
        k, _ = tx.create(tx.catalogue.classes["Dog"], 1)
        tx.create(tx.catalogue.classes["Dog"], 2)
        walk = tx.set_embedded(tx.catalogue.classes["Dog"], k, dog)
        info = tx.catalogue.classes["Walk"]
        tx.set(info, walk.object_key, info.properties["title"], "park")
    file.close()
    assert 'Dog[1].walk.title is now "park"' in said(path, "Dog", 1, "walk.title")
    assert "Dog[2].walk.title does not exist now" in said(path, "Dog", 2, "walk.title")


# --- a server's data --------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the Realms /a, which has a conflict, and /b, to which nothing was ever uploaded."""
    database = Database(tmp_path / "directory.sqlite")
    directory = RealmDirectory(database, tmp_path / "realms")
    place = directory.create("default", "p:/a", None).path
    directory.create("default", "p:/b", None)
    database.close()
    store = SqliteLogStore.open(place)
    one, two = files(store, 2)
    run(store, upload(one, (2, dogs(1))))
    run(store, upload(two, (20, rename(1, "later")), base=1), upload(one, (10, rename(1, "earlier")), base=1))
    store.close()
    return tmp_path


def log_of(data: Path) -> Path:
    (path,) = (data / "realms").rglob("*.realm")
    return path


def test_a_realm_without_uploads(data: Path) -> None:
    assert refused("/b", "Dog", 1, "--data", data) == "the Realm /b is empty: nothing was ever uploaded to it"


def test_what_a_server_did_not_keep_is_said(data: Path) -> None:
    assert said("/a", "Dog", 1, "name", "--data", data).endswith("(Rule 5.6 Update × Update)\n")
    SqliteLogStore.open(log_of(data), keeps_originals=False).close()
    assert "This server does not keep what merging changed" in said("/a", "Dog", 1, "--data", data)
    SqliteLogStore.open(log_of(data)).close()
    assert "Before server version 4 it was not kept what merging changed." in said("/a", "Dog", 1, "--data", data)


def test_what_is_not_exact_is_said(data: Path) -> None:
    file = RealmFile.open(log_of(data))
    with file.write() as tx:
        tx.connection.execute("UPDATE rlm_log SET changeset = ? WHERE version = 3", (rename(1, "other"),))
    file.close()
    assert "What it was merged with is not known exactly any more." in said("/a", "Dog", 1, "--data", data)


def test_a_machine_without_the_server(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "syncline.server.chronicle", None)
    assert "needs the extra [server]" in refused("/a", "Dog", 1, "--data", data)


# --- keys and places --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue() -> Iterator[Catalogue]:
    """Classes with every type of key, and a class with every kind of place."""
    file = RealmFile.in_memory()
    with file.write() as tx:
        for name, kind in (("I", INT), ("S", STRING), ("O", OBJECT_ID), ("U", UUID)):
            tx.add_class(name, primary_key="id", key_type=kind, key_nullable=name == "S")
        tx.add_class("G")
        tx.add_property(tx.add_class("Walk", kind=EMBEDDED), "title", STRING)
        tx.add_property(tx.catalogue.classes["Walk"], "marks", STRING, collection=LIST_COLLECTION)
        tx.add_class("Nobody", kind=EMBEDDED)
        for name, kind, collection in (
            ("a.b", INT, 0),
            ("any", MIXED, 0),
            ("tags", STRING, DICTIONARY_COLLECTION),
            ("set", INT, SET_COLLECTION),
            ("walks", LINK, LIST_COLLECTION),
            ("walk", LINK, 0),
        ):
            target = "Walk" if kind == LINK else None
            tx.add_property(
                tx.catalogue.classes["I"], name, kind, nullable=name == "walk", collection=collection, target=target
            )
        found = tx.catalogue
    yield found
    file.close()


def test_keys_of_every_type(catalogue: Catalogue) -> None:
    classes = catalogue.classes
    assert read_key(classes["I"], "-5") == -5
    assert read_key(classes["S"], "ann") == "ann"
    assert read_key(classes["S"], '"null"') == "null"
    assert read_key(classes["S"], "null") is None
    assert read_key(classes["O"], "64b0" * 6) == ObjectId("64b0" * 6)
    assert str(read_key(classes["U"], "00000000-0000-0000-0000-00000000000A")).endswith("0a")
    assert read_key(classes["G"], "3-17") == GlobalKey(3, 17)
    for name, text in (("I", "1.5"), ("I", "null"), ("O", "64b0"), ("U", "x"), ("G", "7")):
        with pytest.raises(PlaceError, match=rf"'{text}'"):
            read_key(classes[name], text)


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("a.b", "a.b", ()),
        ("walks[2].title", "walks", (2, "title")),
        ("walks[2].marks[0]", "walks", (2, "marks", 0)),
        ("walk.title", "walk", ("title",)),
        ("tags.color", "tags", ("color",)),
        (r'tags["a.b\"c"]', "tags", ('a.b"c',)),
        ("any.x[3].y", "any", ("x", 3, "y")),
    ],
)
def test_places(catalogue: Catalogue, text: str, name: str, path: tuple[object, ...]) -> None:
    place = read_place(catalogue, catalogue.classes["I"], text)
    assert (place.prop.name, place.path) == (name, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walks.title", "walks is a list: write"),
        ("tags[0]", "tags is a dictionary: write"),
        ("set[0]", "members of a set have no place; ask for set"),
        ("walks[0].titel", "Walk has no property 'titel'; did you mean title"),
        ("walk[0]", r"nothing inside walk that \[0\] could name"),
        ("tags.a.b", "nothing inside tags that .b could name"),
        ("walks[x]", "cannot read"),
    ],
)
def test_places_that_cannot_be(catalogue: Catalogue, text: str, message: str) -> None:
    with pytest.raises(PlaceError, match=message):
        read_place(catalogue, catalogue.classes["I"], text)


def test_embedded_classes_have_no_keys(catalogue: Catalogue) -> None:
    with pytest.raises(PlaceError, match=r"ask for the property that holds them \(I\.walk, I\.walks\)"):
        find_class(catalogue, "Walk")
    with pytest.raises(PlaceError, match=r"holds them \(there is none\)"):
        find_class(catalogue, "Nobody")


def test_values_as_people_write_them() -> None:
    form = {"list": [{"str": "a"}, None, {"link": ["Dog", {"int": 2}]}, {"dict": {"k": {"bool": True}}}]}
    assert value_words(form) == '["a", null, Dog[2], {k: true}]'
    assert value_words({"set": [{"int": 1}, {"int": 2}]}) == "{1, 2}"
    assert value_words({"obj": {"title": {"str": "x"}, "n": None}}) == '{n: null, title: "x"}'


# --- a real server and two devices ------------------------------------------------------------------------------------


class Walk(EmbeddedModel):
    title: str


class Dog(Model):
    id: str = Field(primary_key=True)
    name: str
    meals: Counter = 0
    tricks: List[str]
    walks: List[Walk]
    tags: Dictionary[str, str]
    friends: Set[int]


class Kennel:
    """A server, and the devices of ann and bob."""

    def __init__(self, folder: Path) -> None:
        self.manager = SyncManager(folder / "devices")
        self.folder = folder
        self.data = folder / "data"
        self.server = ServerProcess(self.data)
        self.ann, self.bob = self._device("ann"), self._device("bob")

    def _device(self, name: str) -> Any:
        credentials = SyncCredentials.username_password(name, "correct horse", register=True)
        user = self.manager.log_in(credentials, self.server.url)
        sync = SyncConfiguration(user, "/kennel/dogs", path=str(self.folder / f"{name}.realm"))
        return Realm.open(RealmConfiguration(schema=[Dog, Walk], sync=sync))

    def settle(self) -> None:
        for realm in (self.ann, self.bob, self.ann, self.bob):
            realm.sync_session.wait_for_upload(timeout=30)
            realm.sync_session.wait_for_download(timeout=30)
            realm.refresh()

    def disagree(self) -> None:
        """Both change the same dog offline; bob is the later one and is online first."""
        with self.ann.write():
            self.ann.create(Dog, id="rex", name="Rex", tricks=["sit"], walks=[Walk(title="park")])
        self.settle()
        for realm in (self.ann, self.bob):
            realm.sync_session.suspend()
        for realm, name, trick in ((self.ann, "Max", "roll"), (self.bob, "Bello", "jump")):
            with realm.write():
                dog = realm.get(Dog, "rex")
                dog.name = name
                dog.tricks.insert(0, trick)
                dog.meals += 1
                dog.tags["color"] = name
                dog.walks[0].title = name
                dog.friends.add(1)
        for realm in (self.bob, self.ann):
            realm.sync_session.resume()
            realm.sync_session.wait_for_upload(timeout=30)
        self.settle()

    def close(self) -> None:
        for realm in (self.ann, self.bob):
            realm.close()
        self.manager.close()
        self.server.stop()


@pytest.fixture(scope="module")
def kennel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kennel]:
    made = Kennel(tmp_path_factory.mktemp("kennel"))
    made.disagree()
    yield made
    made.close()


def at_server(kennel: Kennel, *arguments: object) -> str:
    return said("/kennel/dogs", "Dog", "rex", *arguments, "--data", kennel.data)


def test_a_running_server_tells_who_lost_to_whom_by_which_rule(kennel: Kennel) -> None:
    text = at_server(kennel, "name")
    assert text.startswith('Dog["rex"].name is now "Bello"  (/kennel/dogs, server version')
    assert "· user ann (client file 2) ·" in text
    assert 'set name to "Rex" — replaced by server version' in text
    assert 'set name to "Bello" — stands' in text
    assert 'set name to "Max" — dropped' in text
    assert (
        "The later change wins: the change of user bob (client file 3) stands; that of user ann (client file 2) is"
        " dropped. (Rule 5.6 Update × Update)" in text
    )


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("tricks", '["roll", "jump", "sit"]', "Both are put at the same place of the list"),
        ("tricks[0]", '"roll"', 'insert "roll" at tricks[0] — stands'),
        ("tricks[1]", '"jump"', 'now as: insert "jump" at tricks[1]'),
        ("tricks[2]", '"sit"', 'insert "sit" at tricks[0] — stands'),
        ("meals", "2", "add 1 to meals — stands"),
        ("tags.color", '"Bello"', 'set tags.color to "Max" — dropped'),
        ("walks[0].title", '"Bello"', "Rule 5.6 Update × Update"),
        ("friends", "{1}", "Rule 5.8 SetInsert × SetInsert"),
    ],
)
def test_every_kind_of_place(kennel: Kennel, place: str, value: str, told: str) -> None:
    text = at_server(kennel, place)
    assert text.startswith(f'Dog["rex"].{place} is now {value}  (')
    assert told in text


def test_the_device_that_lost_knows_why(kennel: Kennel) -> None:
    text = said(kennel.folder / "ann.realm", "Dog", "rex", "name")
    assert "that of this file is dropped. (Rule 5.6 Update × Update)" in text


def test_the_whole_story_is_exact(kennel: Kennel) -> None:
    answer = json.loads(at_server(kennel, "--json", "--all"))
    assert all(event["exact"] for event in answer["events"])
    assert answer["authors"]["2"] == "user ann (client file 2)"
    rules = {decision["rule"] for event in answer["events"] for decision in event["decisions"]}
    assert len(rules) >= 3


def test_a_place_that_is_not_there(kennel: Kennel) -> None:
    assert "tricks has no [9] now" in refused("/kennel/dogs", "Dog", "rex", "tricks[9]", "--data", kennel.data)
    assert at_server(kennel, "tags.none").startswith('Dog["rex"].tags.none does not exist now')


def test_realms_are_suggested(kennel: Kennel) -> None:
    message = refused("/kennel/dog", "Dog", "rex", "--data", kennel.data)
    assert message.endswith("; there are, for example: /kennel/dogs")


def test_the_servers_own_file_can_be_asked_directly(kennel: Kennel) -> None:
    (path,) = (kennel.data / "realms").rglob("*.realm")
    text = said(path, "Dog", "rex", "name")
    assert "the change of client file 3 stands; that of client file 2 is dropped" in text


def test_a_stopped_server_says_the_same(kennel: Kennel) -> None:
    before = at_server(kennel, "name")
    kennel.server.stop()
    try:
        assert at_server(kennel, "name") == before
    finally:
        kennel.server.start()


def test_the_command_is_part_of_the_command_line() -> None:
    app = build_app()
    assert isinstance(app, typer.Typer)
    assert "why" in [command.callback.__name__ for command in app.registered_commands if command.callback]


def test_what_a_command_needs_is_imported_when_it_runs() -> None:
    """``syncline doctor`` works on a machine where the database library is missing."""
    code = "import sys; from syncline.cli.commands import build_app; build_app(); print('apsw' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n"
