"""The hypothesis strategies: what they draw is valid (or not, as promised), merges converge on it, and it shrinks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from tests.testing.recorded import Peer, copied, play, play_base

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import (
    ARRAY_INSERT,
    CLEAR,
    UPDATE,
    AddColumn,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    Instruction,
    PathInstruction,
    Update,
    fields_of,
)
from syncline.errors import BadChangesetError, TransformError
from syncline.merge import transform
from syncline.merge.rules import OPCODES, REGULAR
from syncline.testing import strategies
from syncline.testing.domains import STANDARD, Domain
from syncline.testing.model import Model
from syncline.testing.strategies import History, histories
from syncline.values import kinds

#: Fixed examples in a fixed number: nothing here depends on the day.
few = settings(max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
REMOVAL = replace(STANDARD, schema_removal=True)


def shown(changeset: Changeset) -> list[str]:
    """For comparing: a NaN is equal to itself, and 1.0 is not 1."""
    return [repr(fields_of(instruction)) for instruction in changeset.instructions]


# --- changesets -------------------------------------------------------------------------------------------------------


@given(strategies.changesets())
@few
def test_changesets_are_what_was_encoded(changeset: Changeset) -> None:
    again = decode(encode(changeset))
    assert shown(again) == shown(changeset)
    assert again.strings == (changeset.strings if changeset.instructions else [])
    assert encode(again) == encode(changeset)


@given(strategies.invalid_changesets())
@few
def test_invalid_changesets_are_refused(data: bytes) -> None:
    with pytest.raises(BadChangesetError):
        decode(data)


@given(strategies.damaged_changesets())
@few
def test_damaged_changesets_are_read_or_refused(data: bytes) -> None:
    try:
        changeset = decode(data)
    except BadChangesetError:
        return
    assert shown(decode(encode(changeset))) == shown(changeset)


@given(strategies.keys(), strategies.texts(), strategies.payloads())
@few
def test_parts_of_instructions(key: Any, text: str, payload: tuple[int, Any]) -> None:
    instruction = Update(text, key, text, (), *payload)
    assert shown(decode(encode(Changeset([instruction], [])))) == shown(Changeset([instruction], []))


def test_a_kind_that_no_value_has() -> None:
    with pytest.raises(ValueError, match="no value has the kind"):
        strategies.values(kinds.GLOBAL_KEY)


# --- schemas and operations -------------------------------------------------------------------------------------------


@given(strategies.schemas(), st.data())
@few
def test_transactions_over_any_schema_are_valid(classes: list[Any], data: st.DataObject) -> None:
    """Storage and the model carry them out, record and apply them alike."""
    domain = Domain(classes)
    editor, reader = Peer(7), Peer(8)
    made = [{"op": "schema", "classes": classes}]
    for timestamp in range(4):
        reader.apply([editor.edit(strategies.Transaction(timestamp, made))])
        assert reader.dump() == editor.dump()
        made = data.draw(strategies.transactions(editor.dump(), domain))


@given(st.data())
@few
def test_single_operations_are_valid(data: st.DataObject) -> None:
    model = Model(7)
    model.execute({"op": "schema", "classes": list(STANDARD.classes)})
    for _ in range(3):
        model.execute(data.draw(strategies.operations(model.dump())))


# --- merging ----------------------------------------------------------------------------------------------------------


def merge(history: History) -> tuple[Peer, Peer]:
    """Both peers of a history after they exchanged everything."""
    base = play_base(history)
    (one, ours), (other, theirs) = [play(side, base) for side in history.sides]
    transform(ours, theirs, None, one.model)
    one.apply(theirs)
    other.apply(ours)
    return one, other


@given(histories())
@few
def test_two_peers_converge(history: History) -> None:
    one, other = merge(history)
    assert one.dump() == other.dump()


@given(histories(REMOVAL, max_transactions=2))
@few
def test_two_peers_converge_although_classes_and_properties_are_erased(history: History) -> None:
    one, other = merge(history)
    assert one.dump() == other.dump()


@given(strategies.schemas().flatmap(lambda classes: histories(Domain(classes, schema_removal=True))))
@few
def test_two_peers_converge_over_any_schema(history: History) -> None:
    one, other = merge(history)
    assert one.dump() == other.dump()


@given(histories(min_peers=3, max_peers=3, max_transactions=2, max_operations=3))
@few
def test_three_peers_converge_through_a_server(history: History) -> None:
    """Each sends everything at once, then receives what the server holds of the others."""
    base = play_base(history)
    server = Peer(1, base)
    played = [play(side, base) for side in history.sides]
    log: list[Changeset] = []
    for _, own in played:
        incoming, known = copied(own), copied(log)
        transform(known, incoming, None, server.model)
        log += incoming
        server.apply(incoming)
    for number, (peer, own) in enumerate(played):
        idents = {changeset.origin_file_ident for changeset in own}
        received = copied([changeset for changeset in log if changeset.origin_file_ident not in idents])
        for version, changeset in enumerate(received):
            changeset.version = version
        earlier = sum(len(others) for _, others in played[:number])
        sent, mine = copied(received), copied(own)
        transform(mine, sent[:earlier], None, peer.model)
        peer.apply(sent)
    assert [peer.dump() for peer, _ in played] == [server.dump()] * 3


# --- merging what contradicts itself ----------------------------------------------------------------------------------


def _disturbed(draw: st.DrawFn, instruction: Instruction) -> None:
    """Make an instruction say what it cannot have said."""
    if isinstance(instruction, (ArrayInsert, ArrayErase, ArrayMove)):
        instruction.prior_size = draw(st.integers(0, 6))
    if isinstance(instruction, ArrayMove):
        instruction.ndx_2 = draw(st.integers(0, 6))
    if isinstance(instruction, PathInstruction) and instruction.path and draw(st.booleans()):
        steps = list(instruction.path)
        steps[draw(st.integers(0, len(steps) - 1))] = draw(st.sampled_from([0, 1, 5, "a", "zip"]))
        if isinstance(instruction, (ArrayInsert, ArrayErase, ArrayMove)):
            steps[-1] = draw(st.integers(0, 6))
        instruction.path = tuple(steps)
    if isinstance(instruction, Update):
        ends_in_index = bool(instruction.path) and isinstance(instruction.path[-1], int)
        instruction.prior_size = draw(st.integers(0, 6)) if ends_in_index else -1
    if isinstance(instruction, Clear):
        instruction.collection = draw(st.integers(0, 3))
    if isinstance(instruction, AddTable):
        instruction.pk_nullable = draw(st.booleans())
    if isinstance(instruction, AddColumn):
        instruction.nullable = draw(st.booleans())


@given(st.data())
@few
def test_contradictions_are_transform_errors(data: st.DataObject) -> None:
    """Other sizes, indices beyond them, keys for indices, other types: merged, or TransformError, nothing else."""
    history = data.draw(histories(max_base=6, max_operations=3))
    base = play_base(history)
    (_, ours), (_, theirs) = [play(side, base) for side in history.sides]

    @st.composite
    def disturbing(draw: st.DrawFn) -> None:
        for changeset in theirs:
            for instruction in changeset.instructions:
                _disturbed(draw, instruction)

    data.draw(disturbing())
    for schema in (None, base.model):
        try:
            transform(copied(ours), copied(theirs), None, schema)
        except TransformError:
            continue


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AddTable("A", 0, "_id", kinds.INT, False), AddTable("A", 0, "id", kinds.INT, False)),
        (AddTable("A", 0, "_id", kinds.INT, False), AddTable("A", 0, "_id", kinds.STRING, False)),
        (AddTable("A", 0, "_id", kinds.INT, False), AddTable("A", 0, "_id", kinds.INT, True)),
        (AddTable("A", 0, "_id", kinds.INT, False), AddTable("A", 2, "_id", kinds.INT, False)),
        (AddTable("A", 0, "_id", kinds.INT, False), AddTable("A", 1, "", kinds.GLOBAL_KEY, False)),
        (AddColumn("A", "i", kinds.INT, False, 0, "", 0), AddColumn("A", "i", kinds.BOOL, False, 0, "", 0)),
        (AddColumn("A", "i", kinds.INT, False, 0, "", 0), AddColumn("A", "i", kinds.INT, True, 0, "", 0)),
        (AddColumn("A", "i", kinds.INT, False, 0, "", 0), AddColumn("A", "i", kinds.INT, False, 1, "", 0)),
        (AddColumn("A", "i", kinds.LINK, False, 0, "A", 0), AddColumn("A", "i", kinds.LINK, False, 0, "B", 0)),
        (ArrayErase("A", 1, "l", (0,), 2), ArrayErase("A", 1, "l", (0,), 3)),
        (ArrayErase("A", 1, "l", (5,), 2), ArrayErase("A", 1, "l", (0,), 2)),
        (ArrayInsert("A", 1, "l", (3,), kinds.INT, 1, 2), ArrayErase("A", 1, "l", (0,), 2)),
        (ArrayErase("A", 1, "l", (0,), 2), Update("A", 1, "l", ("a",), kinds.INT, 1)),
        (ArrayErase("A", 1, "l", (0,), 2), Update("A", 1, "l", ("a", "b"), kinds.INT, 1)),
    ],
    ids=repr,
)
def test_these_contradictions_are_not_merged(ours: Instruction, theirs: Instruction) -> None:
    for one, other in ((ours, theirs), (theirs, ours)):
        sides = [[Changeset([side], [], 1, 0, 1, ident)] for ident, side in ((2, one), (3, other))]
        with pytest.raises(TransformError):
            transform(*[copied(side) for side in sides])


# --- shrinking --------------------------------------------------------------------------------------------------------


def smallest(broken: Callable[[History], bool], **options: Any) -> History:
    """The example that hypothesis shows of a property that does not hold."""
    searching = settings(few, max_examples=1000, phases=[Phase.generate, Phase.shrink])
    return find(histories(**options), broken, settings=searching)


def _diverges(history: History) -> bool:
    try:
        one, other = merge(history)
    except (BadChangesetError, TransformError):
        return True
    return one.dump() != other.dump()


@pytest.mark.parametrize(
    ("left", "right", "prop"),
    [
        (UPDATE, UPDATE, {"type": "int"}),
        (ARRAY_INSERT, ARRAY_INSERT, {"type": "int", "collection": "list"}),
        (CLEAR, UPDATE, {"type": "mixed"}),
    ],
)
def test_a_missing_rule_shrinks_to_the_pair_that_needs_it(left: int, right: int, prop: dict[str, Any]) -> None:
    """An object, one edit on either side, or what else the pair needs."""
    classes = [{"name": "A", "pk": {"name": "_id", "type": "int"}, "props": [{"name": "p", **prop}]}]
    place = left * OPCODES + right
    rule = REGULAR[place]
    REGULAR[place] = None
    try:
        found = smallest(_diverges, domain=Domain(classes), max_base=3)
    finally:
        REGULAR[place] = rule
    assert found.size <= 6, found


def _elements(value: Any) -> int:
    """The longest list anywhere in a dump."""
    if isinstance(value, dict):
        own = len(value["list"]) if isinstance(value.get("list"), list) else 0
        return max([own, *map(_elements, value.values())])
    return max(map(_elements, value), default=0) if isinstance(value, list) else 0


def test_no_list_has_three_elements_shrinks_to_what_makes_one() -> None:
    found = smallest(lambda history: any(_elements(model.dump()) > 2 for model in history.models()))
    assert found.size <= 4, found


def test_an_erased_object_shrinks_to_one_erasure() -> None:
    found = smallest(lambda history: "'erase'" in str(history.sides))
    assert found.size <= 3
    assert "erase" in repr(found)


# --- the extra --------------------------------------------------------------------------------------------------------


def test_without_hypothesis_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import syncline.testing.strategies"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "needs the extra [testing]: pip install 'syncline[testing]'" in run.stderr
