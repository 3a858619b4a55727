"""The words of merge errors: both changes, both changesets, and nothing that users wrote."""

from __future__ import annotations

import pytest

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import AddColumn, AddTable, ArrayErase, ArrayInsert, Instruction, Update
from syncline.errors import TransformError
from syncline.merge.transform import transform
from syncline.values.kinds import DICTIONARY, GLOBAL_KEY, INT, LINK, STRING, TOP_LEVEL

SECRET = "secret"


def refusal(ours: Instruction, theirs: Instruction) -> str:
    """What the merge of two changesets says that cannot be merged."""
    sides = [[Changeset([ours], [], 4, 1, 10, 2)], [Changeset([theirs], [], 9, 3, 20, 5)]]
    with pytest.raises(TransformError) as caught:
        transform(*sides)
    return str(caught.value)


def test_lists_of_different_sizes() -> None:
    text = refusal(
        ArrayErase("Person", SECRET, "dogs", (2,), 3), ArrayInsert("Person", SECRET, "dogs", (0,), STRING, SECRET, 4)
    )
    assert "ArrayErase of Person[…].dogs[2] (list of 3) in version 4 (client file 2)" in text
    assert "ArrayInsert of Person[…].dogs[0] (list of 4) in version 9 (client file 5)" in text
    assert SECRET not in text


def test_keys_of_dictionaries_are_left_out() -> None:
    text = refusal(
        ArrayInsert("Person", 7, "any", (SECRET, 0), INT, 1, 0),
        Update("Person", 7, "any", (SECRET, SECRET), DICTIONARY, None),
    )
    assert "ArrayInsert of Person[7].any[…][0]" in text
    assert "Update of Person[7].any[…][…]" in text
    assert SECRET not in text


def test_classes_and_properties() -> None:
    text = refusal(AddTable("A", TOP_LEVEL, "id", INT, False), AddTable("A", TOP_LEVEL, "", GLOBAL_KEY, False))
    assert "primary key 'id' (int) in version 4 (client file 2), no primary key in version 9 (client file 5)" in text
    text = refusal(AddColumn("A", "p", INT, False, 0, "", STRING), AddColumn("A", "p", LINK, True, 0, "B\n", STRING))
    assert "single int in version 4 (client file 2)" in text
    assert "single nullable link to 'B\\n' in version 9 (client file 5)" in text
