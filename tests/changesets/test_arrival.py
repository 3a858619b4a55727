"""Errors of changesets that arrived tell which one it is, and where in its bytes."""

from __future__ import annotations

import pytest

from syncline.changesets.arrival import Arrivals, decode_arrival
from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import encode_recorded
from syncline.changesets.instructions import CreateObject, EraseTable, Instruction
from syncline.errors import InapplicableChangesetError, TruncatedChangesetError

MADE = [EraseTable("A"), CreateObject("B", 1), CreateObject("B", 2)]
DATA = encode_recorded(MADE)


def arrival(data: bytes = DATA, version: int = 5) -> Changeset:
    return decode_arrival(data, version=version, base=2, timestamp=77, origin_file_ident=4)


def refuse(culprit: Instruction, number: int) -> None:
    """What applying does."""
    error = InapplicableChangesetError("it does not fit", instruction=number, subject="the subject")
    error.culprit = culprit
    raise error


def test_metadata_is_set() -> None:
    changeset = arrival()
    assert (changeset.version, changeset.last_integrated_remote_version) == (5, 2)
    assert (changeset.origin_timestamp, changeset.origin_file_ident) == (77, 4)


def test_bytes_that_are_none_name_the_changeset() -> None:
    with pytest.raises(TruncatedChangesetError) as caught:
        arrival(DATA[:-1])
    assert str(caught.value) == (
        "the changeset ends inside a record at byte 17 (instruction 2: CreateObject of B) in version 5 (client file 4)"
    )


def test_an_instruction_is_found_where_it_arrived() -> None:
    first, second = arrival(), arrival(version=6)
    culprit = second.instructions[2]
    arrivals = Arrivals([first, second], [DATA, DATA])
    second.instructions = second.instructions[1:]  # the merge dropped one
    with pytest.raises(InapplicableChangesetError) as caught, arrivals:
        refuse(culprit, 1)
    error = caught.value
    assert (error.instruction, error.offset) == (2, 14)
    assert str(error) == "it does not fit at byte 14 (instruction 2: the subject) in version 6 (client file 4)"


def test_an_instruction_that_the_merge_made_has_no_place() -> None:
    changeset = arrival()
    with pytest.raises(InapplicableChangesetError) as caught, Arrivals([changeset], [DATA]):
        refuse(EraseTable("C"), 0)
    assert str(caught.value) == "it does not fit (the subject)"


def test_other_errors_pass_and_so_does_success() -> None:
    with Arrivals([arrival()], [DATA]) as arrivals:
        pass
    with pytest.raises(KeyError), arrivals:
        raise KeyError(1)
