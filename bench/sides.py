"""Two sides of a merge, of the kinds that the benchmarks measure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import (
    AddInteger,
    ArrayErase,
    ArrayInsert,
    CreateObject,
    Instruction,
    SetInsert,
    Update,
)
from syncline.values import kinds

__all__ = ["Sides", "new_objects", "offline_edits", "other_fields", "same_fields", "same_list", "typing"]

Sides = tuple[list[Changeset], list[Changeset]]


def side(ident: int, transactions: Sequence[list[Instruction]]) -> list[Changeset]:
    """One changeset per transaction, with times that interleave with the other side's; as decoded from bytes."""
    changesets = []
    for number, instructions in enumerate(transactions, 1):
        changeset = decode(encode(Changeset(instructions, [])))
        changeset.version = number
        changeset.origin_timestamp = number
        changeset.origin_file_ident = ident
        changesets.append(changeset)
    return changesets


def new_object(ident: int, number: int) -> list[Instruction]:
    """A created object with three values."""
    key = f"{ident}-{number}"
    values = [Update("Dog", key, field, (), kinds.INT, number) for field in ("age", "weight", "owner")]
    return [CreateObject("Dog", key), *values]


def new_objects(count: int) -> Sides:
    """Both sides create objects, one per transaction."""
    return (
        side(2, [new_object(2, number) for number in range(count)]),
        side(3, [new_object(3, number) for number in range(count)]),
    )


def other_fields(count: int) -> Sides:
    """Both sides change four values of the same objects, in different fields."""

    def change(fields: str, number: int) -> list[Instruction]:
        return [Update("Dog", number, field, (), kinds.INT, number) for field in fields]

    return (
        side(2, [change("abcd", number) for number in range(count)]),
        side(3, [change("efgh", number) for number in range(count)]),
    )


def same_fields(count: int) -> Sides:
    """Both sides change the same four values of the same objects."""

    def change(number: int) -> list[Instruction]:
        return [Update("Dog", number, field, (), kinds.INT, number) for field in "abcd"]

    return side(2, [change(number) for number in range(count)]), side(3, [change(number) for number in range(count)])


def typing(ident: int, count: int) -> list[Changeset]:
    """One insertion per transaction, each behind the one before, into a list of ten."""
    return side(ident, [[ArrayInsert("Text", 1, "letters", (5 + n,), kinds.INT, n, 10 + n)] for n in range(count)])


def same_list(count: int) -> Sides:
    """Both sides write into the middle of one list."""
    return typing(2, count), typing(3, count)


def offline_edits(count: int) -> Sides:
    """Two devices that were offline: edits of all kinds, three in ten of objects that the other edits too."""
    random = Random(1)

    def edit(ident: int, number: int, sizes: dict[str, int]) -> list[Instruction]:
        key = f"shared {random.randrange(count // 10)}" if random.random() < 0.3 else f"{ident}-{number}"
        size = sizes.get(key, 3)
        kind = random.randrange(6)
        if kind == 0:
            sizes[key] = size + 1
            return [ArrayInsert("Dog", key, "walks", (random.randrange(size + 1),), kinds.INT, number, size)]
        if kind == 1 and size:
            sizes[key] = size - 1
            return [ArrayErase("Dog", key, "walks", (random.randrange(size),), size)]
        if kind == 2:
            return [AddInteger("Dog", key, "age", (), 1)]
        if kind == 3:
            return [SetInsert("Dog", key, "tags", (), kinds.INT, random.randrange(5))]
        return [Update("Dog", key, random.choice(("age", "name", "owner")), (), kinds.INT, number)]

    def device(ident: int) -> list[Changeset]:
        sizes: dict[str, int] = {}
        return side(ident, [edit(ident, number, sizes) for number in range(count)])

    return device(2), device(3)
