"""Links by key: an object named by its primary key where a link is assigned, in bulk writes and imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.realm.converters import Converter
from syncline.realm.models import Model
from syncline.values import kinds

__all__ = ["ByKey", "link_by_key", "links_by_key"]


class ByKey:
    """The object that has the primary key ``key``; it has to exist when it is assigned.

    ``target`` is the name of its class where the place does not tell it, in a Mixed value.
    """

    __slots__ = ("key", "target")

    def __init__(self, key: Any, target: str | None = None) -> None:
        self.key = key
        self.target = target

    def __repr__(self) -> str:
        return f"the object with the primary key {self.key!r}"


def link_by_key(value: Any) -> Any:
    """A value under a link: objects, mappings and None stay, anything else is a primary key."""
    return value if value is None or isinstance(value, Model | Mapping | ByKey) else ByKey(value)


def links_by_key(converter: Converter, value: Any) -> Any:
    """The same for a property of any form: one link, or a list, set or dictionary of links."""
    if converter.kind != kinds.LINK or value is None:
        return value
    if converter.type.collection == kinds.SINGLE_COLLECTION:
        return link_by_key(value)
    if converter.type.collection == kinds.DICTIONARY_COLLECTION:
        return {key: link_by_key(each) for key, each in value.items()} if isinstance(value, Mapping) else value
    return [link_by_key(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else value
