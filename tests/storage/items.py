"""Operations on the items of ``syncline.testing.recovery.writing.DOMAIN``, and looking at one, for tests."""

from __future__ import annotations

from typing import Any, TypeAlias

from syncline.changesets.codec import decode
from syncline.changesets.instructions import Instruction
from syncline.storage.recovery import Recovery
from syncline.testing.recovery.world import World

Json: TypeAlias = Any


def create(number: int, **values: Json) -> Json:
    return {"op": "create", "class": "Item", "pk": {"int": number}, "values": values}


def erase(number: int) -> Json:
    return {"op": "erase", "class": "Item", "obj": {"int": number}}


def at(op: str, *path: Json, obj: int = 1, **operands: Json) -> Json:
    return {"op": op, "class": "Item", "obj": {"int": obj}, "path": list(path), **operands}


def put(*path: Json, to: Json, obj: int = 1) -> Json:
    return at("set", *path, obj=obj, value=to)


def insert(*path: Json, index: int, value: Json, obj: int = 1) -> Json:
    return at("list_insert", *path, obj=obj, index=index, value=value)


def remove(*path: Json, index: int) -> Json:
    return at("list_erase", *path, index=index)


def text(value: str) -> Json:
    return {"str": value}


def number(value: int) -> Json:
    return {"int": value}


def link(key: int) -> Json:
    return {"link": ["Item", {"int": key}]}


def texts(*values: str) -> Json:
    return {"list": [text(value) for value in values]}


def part(**values: Json) -> Json:
    return {"obj": values}


def item(world: World, key: int = 1) -> Json:
    """The properties of an item, None if it is not there."""
    found = [form["props"] for form in world.own_state["objects"]["Item"] if form["key"] == {"int": key}]
    return found[0] if found else None


def recovered(world: World) -> Recovery:
    """Recover; what would be uploaded makes the server's state the same."""
    recovery = world.recover()
    assert world.uploaded_state() == world.own_state
    return recovery


def uploaded(recovery: Recovery) -> list[Instruction]:
    return [one for data in recovery.changesets.values() if data for one in decode(data).instructions]


def reasons(recovery: Recovery) -> list[str]:
    return [one.reason for one in recovery.lost]
