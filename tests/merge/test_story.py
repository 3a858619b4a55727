"""Stories of objects: repeated merges give what the log has, and what was replaced, moved or dropped is told so."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.merge.histories import TABLE, random_transaction
from tests.merge.model import State
from tests.merge.notation import NothingEmbedded, instructions
from tests.merge.peers import Client, Server

from syncline.changesets.changeset import Changeset, UploadChangeset, UploadCursor
from syncline.changesets.codec import decode
from syncline.changesets.instructions import CreateObject, Instruction, ObjectInstruction, Path
from syncline.merge.explain import Subject
from syncline.merge.story import Entry, Event, concerning, tell
from syncline.values import Key

_few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


# --- by hand ----------------------------------------------------------------------------------------------------------


def entry(version: int, author: int, base: int, text: str, logged: str | None = None) -> Entry:
    """An entry of a server's log, its time being ten times its version unless the text begins with ``@``."""
    time = 10 * version
    if text.startswith("@"):
        stamp, text = text[1:].split(" ", 1)
        time = int(stamp)
    made = Changeset(instructions(text), [], version, origin_timestamp=time, origin_file_ident=author)
    kept = None if logged is None else Changeset(instructions(logged), [], version)
    return Entry(version, author, base, made, kept, 100 + version)


def story(*entries: Entry, field: str | None = None, path: Path = (), shifts: bool = False) -> list[Event]:
    return tell(entries, Subject("T", 1, field, path), shifts=shifts)


def lines(events: list[Event]) -> list[str]:
    """``version: text -> fate`` of every change, and the rules that decided."""
    found = []
    for event in events:
        for outcome in event.outcomes:
            fate = "dropped" if outcome.result is None else "stands" if outcome.stands else f"by {outcome.replaced_by}"
            became = "" if outcome.result in (None, outcome.change.text) else f" = {outcome.result}"
            found.append(f"{event.version}: {outcome.change.text}{became} -> {fate}")
        found += [f"{event.version}: rule {decision.rule}" for decision in event.decisions]
    return found


def test_who_set_it_first_who_lost_and_what_stands() -> None:
    events = story(
        entry(1, 2, -1, "Create 1; Set 1.i=1"),
        entry(2, 3, -1, "@30 Set 1.i=3"),
        entry(3, 2, 1, "@20 Set 1.i=2; Set 1.j=2"),
        field="i",
    )
    assert lines(events) == [
        "1: create T[1] -> stands",
        "1: set i to 1 -> by 2",
        "2: set i to 3 -> stands",
        "3: set i to 2 -> dropped",
        "3: rule 5.6 Update × Update",
    ]
    assert (events[2].author, events[2].timestamp, events[2].remote_version) == (2, 20, 103)
    assert events[2].when == "2015-01-01 00:00:00.020 UTC"


def test_the_earlier_in_the_log_may_lose() -> None:
    events = story(entry(1, 2, -1, "Set 1.i=1"), entry(2, 3, 0, "Set 1.i=2"))
    assert lines(events) == [
        "1: set i to 1 -> by 2",
        "2: set i to 2 -> stands",
        "2: rule 5.6 Update × Update",
    ]


def test_what_lost_towards_a_client_stays_lost_there() -> None:
    """The reciprocal (spec/merge.md E62): client 3's second upload meets what its first has left of version 1."""
    events = story(entry(1, 2, -1, "Set 1.i=1"), entry(2, 3, 0, "Set 1.i=2"), entry(3, 3, 0, "@5 Set 1.i=3"), field="i")
    assert lines(events)[-1] == "3: set i to 3 -> stands"
    assert events[-1].decisions == []


def test_places_in_lists_are_those_of_then() -> None:
    events = story(
        entry(1, 2, -1, "Ins 1.l[0]=1 ⟨0⟩; Ins 1.l[1]=2 ⟨1⟩"),
        entry(2, 2, -1, "Ins 1.l[0]=3 ⟨2⟩"),
        entry(3, 3, 1, "Set 1.l[1]=9 ⟨2⟩"),
        shifts=True,
    )
    assert lines(events)[-2:] == ["3: set l[1] to 9 = set l[2] to 9 -> stands", "3: rule 5.7 ArrayInsert × Update"]
    quiet = story(entry(2, 2, -1, "Ins 1.l[0]=3 ⟨2⟩"), entry(3, 3, 1, "Set 1.l[1]=9 ⟨2⟩"))
    assert all(not event.decisions for event in quiet)


def test_what_stands_in_the_log_counts_where_repeating_gives_something_else() -> None:
    (event,) = story(entry(1, 2, -1, "Set 1.i=1", logged="Set 1.i=2"))
    assert not event.is_exact
    assert lines([event]) == ["1: set i to 1 -> dropped", "1: set i to 2 -> stands"]


def test_a_contradiction_is_no_end() -> None:
    events = story(
        entry(1, 2, -1, "Ins 1.l[0]=1 ⟨0⟩"),
        entry(2, 3, 0, "Ins 1.l[0]=1 ⟨5⟩", logged="Ins 1.l[0]=1 ⟨1⟩"),
        entry(3, 2, -1, "Set 1.i=1"),
    )
    assert [event.is_exact for event in events] == [True, False, True]


def test_json() -> None:
    events = story(entry(1, 2, -1, "Set 1.i=1"), entry(2, 3, 0, "Set 1.i=2"))
    form = events[1].to_json()
    assert (form["version"], form["remote_version"], form["author"], form["exact"]) == (2, 102, 3, True)
    assert isinstance(form["decisions"], list)
    assert events[0].to_json()["changes"] == [
        {
            "object": "T[1]",
            "text": "set i to 1",
            "author": 2,
            "at": "2015-01-01 00:00:00.010 UTC",
            "version": 1,
            "result": "set i to 1",
            "replaced_by": 2,
        }
    ]


# --- what was replaced ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later", "is_replaced"),
    [
        ("Set 1.i=1", "Set 1.i=2", True),
        ("Set 1.i=1", "Add 1.i+2", False),
        ("Add 1.i+1", "Set 1.i=2", True),
        ("Set 1.i=1", "Set 1.j=2", False),
        ("Set 1.d.a=1", "Set 1.d.a=Erased", True),
        ("Set 1.d.a=1", "Set 1.d.b=2", False),
        ("Set 1.d.a=1", "Clr 1.d (Dict)", True),
        ("Set 1.e.v=1", "Set 1.e=null", True),
        ("Set 1.e.v=1", "Set 1.e=Object", False),
        ("Set 1.e=Object", "Set 1.e=Object", True),
        ("Ins 1.l[0]=1 ⟨0⟩", "Clr 1.l (List)", True),
        ("Set 1.m=List", "Clr 1.m (List)", False),
        ("Set 1.l[0]=1 ⟨1⟩", "Set 1.l[0]=2 ⟨1⟩", False),  # it may be another element
        ("S+ 1.s 1", "S− 1.s 1", True),
        ("S+ 1.s 1", "S− 1.s 2", False),
        ("S+ 1.s 1", "Clr 1.s (Set)", True),
        ("Set 1.i=1", "Erase 1", True),
        ("Create 1", "Erase 1", True),
        ("Set 1.i=1", "EraseColumn T.i", True),
        ("Set 1.j=1", "EraseColumn T.i", False),
        ("Set 1.i=1", "EraseTable T", True),
        ("Create 1", "Set 1.i=1", False),
    ],
)
def test_what_replaces_what(earlier: str, later: str, is_replaced: bool) -> None:
    events = story(entry(1, 2, -1, earlier), entry(2, 2, -1, later))
    (outcome,) = events[0].outcomes
    assert outcome.replaced_by == (2 if is_replaced else 0)
    assert outcome.stands is not is_replaced


# --- places -----------------------------------------------------------------------------------------------------------


def test_an_element_is_followed_back_through_the_list() -> None:
    """[1, 2, 3] with 2 changed; then something is put in front, the end comes to the front, the front goes."""
    entries = [
        entry(1, 2, -1, "Ins 1.l[0]=1 ⟨0⟩; Ins 1.l[1]=2 ⟨1⟩; Ins 1.l[2]=3 ⟨2⟩"),
        entry(2, 2, -1, "Set 1.l[1]=20 ⟨3⟩"),
        entry(3, 2, -1, "Ins 1.l[0]=0 ⟨3⟩"),  # 0 1 20 3
        entry(4, 2, -1, "Mov 1.l[3]⇒0 ⟨4⟩"),  # 3 0 1 20
        entry(5, 2, -1, "Del 1.l[1] ⟨4⟩"),  # 3 1 20
        entry(6, 2, -1, "Set 1.k[0]=5 ⟨1⟩; Ins 1.l[3]=9 ⟨3⟩"),  # 3 1 20 9
    ]
    assert lines(story(*entries, field="l", path=(0,))) == [
        "1: insert 3 at l[2] -> stands",
        "4: move l[3] to [0] -> stands",
    ]
    assert lines(story(*entries, field="l", path=(1,))) == ["1: insert 1 at l[0] -> stands"]
    assert lines(story(*entries, field="l", path=(2,))) == [
        "1: insert 2 at l[1] -> stands",
        "2: set l[1] to 20 -> stands",
    ]
    assert lines(story(*entries, field="l", path=(3,))) == ["6: insert 9 at l[3] -> stands"]


def test_places_inside_elements() -> None:
    entries = [
        entry(1, 2, -1, "Ins 1.ee[0]=Object ⟨0⟩; Set 1.ee[0].v=1; Set 1.ee[0].w=1"),
        entry(2, 2, -1, "Ins 1.ee[0]=Object ⟨1⟩; Set 1.ee[0].v=2"),
        entry(3, 2, -1, "Ins 1.ee[1].t[0]=7 ⟨0⟩"),
        entry(4, 2, -1, "Clr 1.ee[0].t (List)"),
    ]
    assert lines(story(*entries, field="ee", path=(1, "v"))) == [
        "1: insert a new embedded object at ee[0] -> stands",
        "1: set ee[0].v to 1 -> stands",
    ]
    assert "3: insert 7 at ee[1].t[0] -> stands" in lines(story(*entries, field="ee", path=(1,)))
    assert lines(story(*entries, field="ee", path=(1, "t", 0)))[-1] == "3: insert 7 at ee[1].t[0] -> stands"


def test_a_place_begins_with_what_made_its_list() -> None:
    entries = [
        entry(1, 2, -1, "Set 1.m=List; Ins 1.m[0]=1 ⟨0⟩"),
        entry(2, 2, -1, "Clr 1.m (List)"),
        entry(3, 2, -1, "Ins 1.m[0]=2 ⟨0⟩"),
    ]
    assert lines(story(*entries, field="m", path=(0,))) == ["3: insert 2 at m[0] -> stands"]


def test_what_lost_against_a_change_of_the_place_belongs_to_it() -> None:
    events = story(
        entry(1, 2, -1, "Ins 1.l[0]=1 ⟨0⟩; Ins 1.l[1]=2 ⟨1⟩"),
        entry(2, 2, -1, "Set 1.l[0]=8 ⟨2⟩; Set 1.l[1]=9 ⟨2⟩"),
        entry(3, 3, 1, "@5 Set 1.l[1]=5 ⟨2⟩; Set 1.l[0]=4 ⟨2⟩"),
        field="l",
        path=(1,),
    )
    assert lines(events) == [
        "1: insert 2 at l[1] -> stands",
        "2: set l[1] to 9 -> stands",
        "3: set l[1] to 5 -> dropped",
        "3: rule 5.6 Update × Update",
    ]


def test_entries_of_dictionaries_have_names() -> None:
    events = story(
        entry(1, 2, -1, "Set 1.d.a=1; Set 1.d.b=1"),
        entry(2, 2, -1, "Set 1.d.a=2"),
        entry(3, 3, 1, "@5 Set 1.d.a=3; Set 1.d.b=3"),
        field="d",
        path=("a",),
    )
    assert lines(events) == [
        "1: set d.a to 1 -> by 2",
        "2: set d.a to 2 -> stands",
        "3: set d.a to 3 -> dropped",
        "3: rule 5.6 Update × Update",
    ]


def test_a_place_that_was_in_another_kind_of_collection() -> None:
    entries = [
        entry(1, 2, -1, "Set 1.m=List; Ins 1.m[0]=1 ⟨0⟩"),
        entry(2, 2, -1, "Set 1.m=Dict; Set 1.m.a=1"),
        entry(3, 2, -1, "Ins 1.n[0]=1 ⟨0⟩; Ins 1.m.b[0]=1 ⟨0⟩"),
    ]
    assert "2: set m.a to 1 -> stands" in lines(story(*entries, field="m", path=("a",)))
    assert "3: insert 1 at m.b[0] -> stands" in lines(story(*entries, field="m", path=("b",)))


def test_a_dropped_creation_concerns_every_place() -> None:
    events = story(
        entry(1, 2, -1, "Create 1; Set 1.d.a=1"),
        entry(2, 2, -1, "Erase 1"),
        entry(3, 3, 1, "Create 1; Set 1.d.a=2"),
        field="d",
        path=("a",),
    )
    assert [line for line in lines(events) if line.startswith("3")] == [
        "3: create T[1] -> dropped",
        "3: set d.a to 2 -> dropped",
        "3: rule 5.5 EraseObject × CreateObject",
        "3: rule 5.2 EraseObject ⊃ any",
    ]


# --- resets (merge/resets.py) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "logged",
    ["∅", "Del 1.m[0] ⟨2⟩; Del 1.m[0] ⟨1⟩", "Clr 1.m (List)", "Set 1.m.b=Erased"],
    ids=["nothing was there", "elements", "too many elements", "an entry"],
)
def test_what_a_plain_value_removed_is_told_as_such(logged: str) -> None:
    kind = "Dict" if "Erased" in logged else "List"
    entries = [
        entry(1, 2, -1, f"@20 Set 1.m={kind}"),
        entry(2, 3, 0, "@10 Set 1.m=5; Set 1.i=1", logged=f"{logged.removesuffix('∅')}; Set 1.i=1".removeprefix("; ")),
        entry(3, 2, 1, "Set 1.i=2"),
    ]
    events = tell(entries, Subject("T", 1), NothingEmbedded())
    assert all(event.is_exact for event in events)
    assert lines(events)[:3] == [
        f"1: set m to a {'list' if kind == 'List' else 'dictionary'} -> stands",
        "2: set m to 5 = remove what was in m before -> stands",
        "2: set i to 1 -> by 3",
    ]


@pytest.mark.parametrize("logged", ["Set 1.i=1; Set 1.m=7", "Del 1.n[0] ⟨1⟩; Set 1.i=1", "Set 1.i=1; Set 1.j=1"])
def test_what_cannot_have_come_of_a_reset_is_not_exact(logged: str) -> None:
    entries = [entry(1, 2, -1, "@20 Set 1.m=List"), entry(2, 3, 0, "@10 Set 1.m=5; Set 1.i=1", logged=logged)]
    assert [event.is_exact for event in tell(entries, Subject("T", 1), NothingEmbedded())] == [True, False]


# --- what takes part --------------------------------------------------------------------------------------------------


def test_only_what_concerns_the_object_takes_part() -> None:
    def kept(text: str) -> int:
        part = concerning(Changeset(instructions(text), []), "T", 1)
        return 0 if part is None else len(part.instructions)

    assert kept("Set 1.i=1; Set 2.i=1; Create U/1; Erase 1") == 2
    assert kept("AddTable T; AddTable U; AddColumn T.i int; AddColumn U.i int; AddColumn U.u link→T") == 3
    assert kept("EraseTable U; EraseColumn U.i") == 2
    assert kept("Set 2.i=1") == 0


def test_an_erased_class_takes_links_along() -> None:
    events = tell([entry(1, 2, -1, "EraseTable U"), entry(2, 3, 0, "Set 1.u=→U/1")], Subject("T", 1, "u"))
    assert lines(events)[-2:] == [
        "2: set u to U[1] = set u to null -> stands",
        "2: rule 5.3 EraseTable × value that links to it",
    ]


def test_what_is_erased_elsewhere_is_not_told() -> None:
    events = story(entry(1, 2, -1, "Set 1.i=1"), entry(2, 2, -1, "EraseTable U; EraseColumn U.i; AddColumn T.j int"))
    assert lines(events) == ["1: set i to 1 -> stands"]


# --- whole histories --------------------------------------------------------------------------------------------------


class _Keeping(Server):
    """A server that keeps what was uploaded, with its base."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.uploaded: list[UploadChangeset] = []

    def integrate(self, ident: int, upload: list[UploadChangeset], progress: UploadCursor) -> None:
        known = self.file(ident).client_version
        super().integrate(ident, upload, progress)
        self.uploaded += [entry for entry in upload if entry.client_version > known]

    def entries(self, table: str, key: Key) -> list[Entry]:
        found = []
        for version, (upload, logged) in enumerate(zip(self.uploaded, self.log, strict=True), 1):
            made, kept = _decoded(upload.changeset), _decoded(logged.changeset)
            made.version, made.origin_file_ident, made.origin_timestamp = version, logged.origin, logged.timestamp
            kept = concerning(kept, table, key) or Changeset([], [])
            part = concerning(made, table, key)
            made.instructions = [] if part is None else part.instructions
            base = upload.last_integrated_server_version
            found.append(Entry(version, logged.origin, base, made, kept, upload.client_version))
        return found


def _decoded(data: bytes) -> Changeset:
    return decode(data) if data else Changeset([], [])


@given(st.randoms(use_true_random=False))
@_few
def test_repeated_merges_give_what_the_log_has(random: Random) -> None:
    server = _random_history(random)
    keys = {i.key for upload in server.uploaded for i in _objects(upload.changeset)}
    for key in keys:
        events = tell(server.entries(TABLE, key), Subject(TABLE, key), shifts=True)
        assert all(event.is_exact for event in events)
        assert all(event.outcomes or event.decisions for event in events)


def _objects(data: bytes) -> list[ObjectInstruction]:
    made: list[Instruction] = _decoded(data).instructions
    return [instruction for instruction in made if isinstance(instruction, ObjectInstruction)]


def _random_history(random: Random) -> _Keeping:
    """Three clients that send and receive as it comes."""
    server = _Keeping(State())
    clients = [Client(ident) for ident in (2, 3, 4)]
    clients[0].commit(1, [CreateObject(TABLE, 1)])
    clients[0].send(server)
    clock = 1
    for _ in range(random.randrange(5, 25)):
        client = random.choice(clients)
        clock += random.randrange(3)
        action = random.random()
        if action < 0.5:
            client.commit(clock, random_transaction(random, client.state.copy(), random.randrange(1, 4)))
        elif action < 0.75:
            client.send(server, random.randrange(1, 4))
        else:
            client.receive(server, random.randrange(1, 4))
    for client in clients:
        client.send(server)
    return server
