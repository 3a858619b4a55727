"""Types of the application in properties: what is stored of them, and how they come back (spec/sdk.md §14, row 17)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from syncline.errors import SchemaError

__all__ = ["CustomType", "custom_type", "register_type"]

C = TypeVar("C")
S = TypeVar("S")


@dataclass(frozen=True)
class CustomType:
    """A registered type: ``stored`` is the annotation of what is in the file."""

    python_type: type[Any]
    stored: type[Any]
    to_stored: Callable[[Any], Any]
    from_stored: Callable[[Any], Any]


_registered: Final[dict[type[Any], CustomType]] = {}


def register_type(type: type[C], stored: type[S], to_stored: Callable[[C], S], from_stored: Callable[[S], C]) -> None:
    """Let ``type`` stand in annotations of models, alone and in collections; before the models that do.

    The file, queries and other devices see what ``to_stored`` makes of a value: a ``stored``, one of the types that
    properties have (``str``, ``int``, ``bytes`` …). ``from_stored`` makes the value again when it is read. Enumerations
    need no registration: their values are stored. Raises SchemaError for a type that is registered already.
    """
    if type in _registered:
        raise SchemaError(f"{type.__name__} is registered already")
    _registered[type] = CustomType(type, stored, to_stored, from_stored)


def custom_type(annotation: Any) -> CustomType | None:
    """What an annotation was registered for; for an Enum of ``int`` or ``str`` values, these."""
    if not isinstance(annotation, type):
        return None
    found = _registered.get(annotation)
    if found is None and issubclass(annotation, Enum):
        kinds = {type(member.value) for member in annotation}
        if len(kinds) == 1:
            return CustomType(annotation, kinds.pop(), lambda member: member.value, annotation)
    return found
