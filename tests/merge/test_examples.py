"""The worked examples of spec/merge.md §12, read from there: the text of the specification is the test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.merge.model import Embedded, State, Value
from tests.merge.notation import contents, expected, instructions, side, state

from syncline.errors import TransformError
from syncline.merge import transform

_SPEC = Path(__file__).parents[2] / "docs" / "spec" / "merge.md"


class Example(NamedTuple):
    name: str
    base: str
    ours: str
    theirs: str
    our_result: str
    their_result: str
    final: str


#: Where Syncline decided otherwise than realm-core, whose output the table shows (trap 1; trap 8; trap 9 for E67).
_DECIDED = {
    "E57": {"final": "1: d={a:{}}"},
    "E58": {
        "our_result": "Mov 1.ee[1]⇒2 ⟨3⟩",
        "their_result": "Set 1.ee[0].v=7",
        "final": "1: ee=[{v:7}, {v:2}, {v:1}]",
    },
    "E59": {"our_result": "Mov 1.ee[0]⇒1 ⟨2⟩", "their_result": "Set 1.ee[1].v=7", "final": "1: ee=[{}, {v:7}]"},
}
#: Embedded objects created concurrently under one dictionary key: the one example that does not converge (trap 9).
_DIVERGES = "E67"


def _examples() -> list[Example]:
    found = []
    for line in _SPEC.read_text().splitlines():
        if re.match(r"\| E\d+ \|", line):
            name, _, base, ours, theirs, our_result, their_result, final = [
                c.strip() for c in line.strip("|").split("|")
            ]
            example = Example(name, base, ours, theirs, our_result, their_result, final)
            found.append(example._replace(**_DECIDED.get(name, {})))
    return found


_EXAMPLES = _examples()


def test_the_specification_has_all_examples() -> None:
    assert [example.name for example in _EXAMPLES] == [f"E{n}" for n in [*range(1, 60), 67]]


@pytest.mark.parametrize("ours_are_major", [True, False], ids=["A major", "B major"])
@pytest.mark.parametrize("example", _EXAMPLES, ids=lambda example: example.name)
def test_two_clients(example: Example, ours_are_major: bool) -> None:
    ours, theirs = side(example.ours, 2), side(example.theirs, 3)
    base = State(state(example.base))
    after_ours, after_theirs = base.apply(ours), base.apply(theirs)
    if ours_are_major:
        transform(ours, theirs)
    else:
        transform(theirs, ours)
    assert contents(ours) == expected(example.our_result)
    assert contents(theirs) == expected(example.their_result)
    if example.name == _DIVERGES:
        return
    one, other = after_ours.apply(theirs), after_theirs.apply(ours)
    assert one.objects == other.objects
    shown = state(example.final)
    assert one.objects.keys() >= shown.keys()
    for key, fields in shown.items():
        assert {name: _plain(one.objects[key][name]) for name in fields} == fields


def _plain(value: Value) -> Value:
    """Leaves out, as the examples do, what is empty in an embedded object."""
    if isinstance(value, Embedded):
        return {name: _plain(part) for name, part in value.items() if part not in (None, [])}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return value


# --- schema (spec/merge.md §12.2) -------------------------------------------------------------------------------------

#: None stands for an error. E-S8, E-S9 and E-S12 are decided otherwise than by realm-core: an erased property discards
#: every change of it, and a value that links to an erased class becomes null (rules_schema.py).
_SCHEMA = {
    "E-S1": ("AddTable T pk _id int", "AddTable T pk _id int", "∅", "∅"),
    "E-S2": ("AddTable T pk _id int", "AddTable T pk id int", None, None),
    "E-S3": ("AddTable T pk _id int", "AddTable T embedded", None, None),
    "E-S4": ("AddColumn T.i int", "AddColumn T.i int nullable", None, None),
    "E-S5": ("EraseColumn T.i", "AddColumn T.i int", "EraseColumn T.i", "∅"),
    "E-S6": ("EraseColumn T.i", "Set 1.i=1", "EraseColumn T.i", "∅"),
    "E-S7": ("EraseColumn T.i", "Set 1.i.x=1", "EraseColumn T.i", "∅"),
    "E-S8": ("EraseColumn T.i", "Add 1.i+1", "EraseColumn T.i", "∅"),
    "E-S9": ("EraseColumn T.i", "Ins 1.i[0]=1 ⟨0⟩", "EraseColumn T.i", "∅"),
    "E-S10": ("EraseTable U", "AddColumn U.i; Create U/1", "EraseTable U", "∅"),
    "E-S11": ("EraseTable U", "AddColumn T.u link→U; Set 1.u=→U/1", "EraseColumn T.u; EraseTable U", "∅"),
    "E-S12": ("EraseTable U", "Set 1.u=→U/1", "EraseTable U", "Set 1.u=null"),
}


@pytest.mark.parametrize("ours_are_major", [True, False], ids=["A major", "B major"])
@pytest.mark.parametrize("name", _SCHEMA)
def test_schema(name: str, ours_are_major: bool) -> None:
    ours_text, theirs_text, our_result, their_result = _SCHEMA[name]
    ours, theirs = side(f"@1 {ours_text}", 2), side(f"@2 {theirs_text}", 3)
    pair = (ours, theirs) if ours_are_major else (theirs, ours)
    if our_result is None or their_result is None:
        with pytest.raises(TransformError):
            transform(*pair)
        return
    transform(*pair)
    assert contents(ours) == expected(our_result)
    assert contents(theirs) == expected(their_result)


def test_equal_discriminants_keep_what_is_major() -> None:
    """Not legal, and the peers diverge; but the outcome is defined (spec/merge.md §2.2, §12.2)."""
    ours, theirs = side("@5 Set 1.i=1", 2), side("@5 Set 1.i=2", 2)
    transform(ours, theirs)
    assert contents(ours) == expected("Set 1.i=1")
    assert contents(theirs) == [[]]
    assert instructions("∅") == []
