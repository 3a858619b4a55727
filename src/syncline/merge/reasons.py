"""Why a rule decided as it did: numbers that the rules return, and their words (spec/merge.md §5)."""

from __future__ import annotations

from typing import Final

#: The rule does not concern this pair.
NOTHING: Final = 0
BOTH_MADE: Final = 1
ERASED_CLASS: Final = 2
ERASED_COLUMN: Final = 3
ERASED_TARGET: Final = 4
ERASED_OBJECT: Final = 5
LATER_WINS: Final = 6
EXPLICIT_WINS: Final = 7
OBJECT_YIELDS: Final = 8
SAME_COLLECTION: Final = 9
OUTER_WINS: Final = 10
INCREMENT_ADDED: Final = 11
INCREMENT_LOST: Final = 12
INCREMENT_KEPT: Final = 13
CLEARED: Final = 14
SHIFTED: Final = 15
SAME_TARGET: Final = 16
ELEMENT_ERASED: Final = 17
LATER_MOVE: Final = 18
FOLLOWS_MOVE: Final = 19
LINK_LOST: Final = 20
RESET_LIST: Final = 21
RESET_ENTRY: Final = 22
RESET_NEEDLESS: Final = 23

WORDS: Final[tuple[str, ...]] = (
    "nothing to decide",
    "both sides did the same, so neither does it again",
    "the class was erased, which wins over any change in it",
    "the property was erased, which wins over any change of it",
    "the class that the new property links to was erased, so the property is erased too",
    "the object was erased, which wins over any other change of it",
    "the later change wins",
    "a value that was set wins over a default value, whatever their times",
    "creating an embedded object gives way to any other value",
    "both sides made it a collection of the same kind, so their contents are merged",
    "a change of the whole wins over a change inside it, whatever their times",
    "the increment is later, so it is added to the value set",
    "the increment is lost to a value that was set later or is no integer",
    "the increment is later than a null, on which it has no effect",
    "clearing the collection wins over a change in it, whatever their times",
    "the place in the list is shifted by the other side's change",
    "both are put at the same place of the list, so their times decide which comes first",
    "the list element was erased, which wins over a change or move of it",
    "the later move of the same list element wins",
    "the place in the list follows the moved element",
    "the class that the value links to was erased, so the value is null",
    "the list won over another value, which had removed the elements that were in it before",
    "the dictionary won over another value, which had removed all entries but those written since",
    "nothing is left that the other value had removed",
)
