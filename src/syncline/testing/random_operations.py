"""Random transactions that are valid on a given state, for every kind of operation and type.

A driver that knows its peers only by their dumps asks for the next transaction with :func:`random_transaction`. A
:class:`Domain` says what may occur: few objects, keys and indices, so that concurrent transactions meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from syncline.testing.choices import Choices

__all__ = ["STANDARD", "Domain", "random_transaction"]

Json: TypeAlias = Any
Operation: TypeAlias = "dict[str, Json]"


@dataclass(frozen=True)
class Domain:
    """What random histories are made of; vary one with :func:`dataclasses.replace`."""

    #: the schema to begin with, in the form of the operation ``schema``
    classes: tuple[Json, ...]
    #: classes (or more properties of them) that may be added on the way, if ``schema_additions``
    additions: tuple[Json, ...] = ()
    #: may ``additions`` be made?
    schema_additions: bool = True
    #: may classes and properties be erased? (and added again)
    schema_removal: bool = False
    #: may list elements that hold collections or embedded objects be moved? realm-core loses what is in them
    nested_moves: bool = True
    #: may embedded objects be put into dictionaries?
    embedded_dictionaries: bool = True
    #: may a whole class be cleared?
    clear_class: bool = True
    #: collections grow no longer than this
    max_size: int = 5
    #: collections in a Mixed are nested no deeper than this
    max_depth: int = 2


STANDARD: Final = Domain(classes=())


def random_transaction(choices: Choices, domain: Domain, dump: Mapping[str, Json], operations: int) -> list[Operation]:
    """Operations that are valid one after the other on the state that ``dump`` shows.

    Parameters:
        choices: where the decisions come from.
        domain: what may occur.
        dump: canonical dump of the state before (``{"schema": …, "objects": …}``); one without classes gives a
            transaction that creates the schema of ``domain``.
        operations: how many; at least one is made.
    """
    if not dump["schema"]:
        return [{"op": "schema", "classes": list(domain.classes)}]
    return []
