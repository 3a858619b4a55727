"""What a peer may do: a schema, a few objects that all peers start from, and a choice of named edits.

Everything is in the JSON form of ``testing/operations.py`` (tests/vectors/README.md, *Operations*)::

    shop = Domain(
        name="shop",
        schema=[{"name": "Item", "pk": {"name": "_id", "type": "int"}, "props": [{"name": "price", "type": "int"}]}],
        objects=[{"op": "create", "class": "Item", "pk": 1, "values": {"price": 5}}],
        edits=[
            Edit("set", [{"op": "set", "class": "Item", "obj": 1, "path": ["price"], "value": 7}]),
            Edit("erase", [{"op": "erase", "class": "Item", "obj": 1}]),
        ],
    )
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["Domain", "DomainError", "Edit", "Operation"]

Operation: TypeAlias = "Mapping[str, Any]"

#: What separates the parts of a case's name, so that no edit's or domain's name contains it.
_SEPARATORS: Final = frozenset("/|;+@#, ")


class DomainError(ValueError):
    """A domain, or a name in it, that cannot be: the message says what is wrong."""


class Edit:
    """Something a peer does in one transaction, by name: usually one operation. Equal only to itself."""

    def __init__(self, name: str, operations: Sequence[Operation]) -> None:
        self.name = name
        self.operations = operations

    @property
    def kind(self) -> str:
        """Which operation it is (``op`` of the first)."""
        return str(self.operations[0]["op"])

    def __repr__(self) -> str:
        return f"Edit({self.name!r}, {self.operations!r})"


class Domain:
    """A schema, objects on it, and edits that are possible there, each on its own.

    Parameters:
        name: begins the name of every case.
        schema: the classes.
        objects: operations of the transaction that makes the common state.
        edits: what there is to combine; their names must differ.

    Raises:
        DomainError: two edits have one name, an edit has no operation, or a name contains a separator.
    """

    def __init__(
        self, name: str, schema: Sequence[Mapping[str, Any]], objects: Sequence[Operation], edits: Sequence[Edit]
    ) -> None:
        self.name = name
        self.schema = schema
        self.objects = objects
        self.edits = {edit.name: edit for edit in edits}
        if len(self.edits) != len(edits):
            raise DomainError(f"domain {name!r} has two edits of one name")
        for text in (name, *self.edits):
            if not text or _SEPARATORS.intersection(text):
                raise DomainError(
                    f"{text!r} is no name: it is empty or contains one of {' '.join(sorted(_SEPARATORS))}"
                )
        for edit in edits:
            if not edit.operations:
                raise DomainError(f"edit {edit.name!r} of domain {name!r} does nothing")

    def edit(self, name: str) -> Edit:
        """The edit of that name. Raises DomainError."""
        found = self.edits.get(name)
        if found is None:
            raise DomainError(f"domain {self.name!r} has no edit {name!r}; it has {', '.join(self.edits)}")
        return found
