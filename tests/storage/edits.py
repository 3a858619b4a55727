"""Instructions on the object Person["Ann"] in short form."""

from __future__ import annotations

from syncline.changesets.instructions import AddColumn, ArrayInsert, Update


def up(field: str, kind: int, value: object = None, *path: int | str, prior: int = -1) -> Update:
    return Update("Person", "Ann", field, path, kind, value, False, prior)


def insert(field: str, kind: int, value: object, *path: int | str, prior: int) -> ArrayInsert:
    return ArrayInsert("Person", "Ann", field, path, kind, value, prior)


def column(
    field: str, type: int, collection: int = 0, target: str = "", key_type: int = 0, table: str = "Dog"
) -> AddColumn:
    return AddColumn(table, field, type, False, collection, target, key_type)
