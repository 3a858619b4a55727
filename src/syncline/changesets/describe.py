"""Instructions in words, for errors and logs: ``ArrayErase of Person[…].dogs[2] (list of 3)``.

The words name the instruction, class, property and the shape of the path; of numbers they show keys and indices. What
users wrote is left out: values, keys that are strings, and names inside a path, which may be keys of dictionaries.
"""

from __future__ import annotations

from typing import Final

from syncline.changesets.instructions import (
    INSTRUCTION_NAMES,
    AddColumn,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    EraseColumn,
    Instruction,
    ObjectInstruction,
    Path,
    PathInstruction,
    Update,
)
from syncline.values import GlobalKey, Key

__all__ = ["describe", "key_text", "name_text", "place_text", "source_text"]

#: Longer names are cut; those that can exist are shorter (spec/changesets.md §7).
_MAX_NAME: Final = 64
#: So many steps of a path are shown.
_MAX_STEPS: Final = 8


def describe(instruction: Instruction) -> str:
    """What an instruction does, and where, without what users wrote."""
    text = f"{INSTRUCTION_NAMES[instruction.opcode]} of "
    if isinstance(instruction, PathInstruction):
        text += place_text(instruction.table, instruction.key, instruction.field, instruction.path)
        if isinstance(instruction, ArrayMove):
            text += f" to [{instruction.ndx_2}]"
        if isinstance(instruction, (ArrayInsert, ArrayMove, ArrayErase)) or (
            isinstance(instruction, Update) and instruction.prior_size >= 0
        ):
            text += f" (list of {instruction.prior_size})"
        return text
    text += name_text(instruction.table)
    if isinstance(instruction, ObjectInstruction):
        text += key_text(instruction.key)
    elif isinstance(instruction, (AddColumn, EraseColumn)):
        text += "." + name_text(instruction.field)
    return text


def source_text(version: int, origin_file_ident: int) -> str:
    """A changeset by its version, as its sender counts, and the file in which it was made."""
    return f"version {version} (client file {origin_file_ident})"


def place_text(table: str, key: Key, field: str, path: Path) -> str:
    """A place inside an object: ``Person[7].dogs[2]``."""
    steps = "".join([f"[{step}]" if isinstance(step, int) else "[…]" for step in path[:_MAX_STEPS]])
    more = "…" if len(path) > _MAX_STEPS else ""
    return f"{name_text(table)}{key_text(key)}.{name_text(field)}{steps}{more}"


def key_text(key: Key) -> str:
    """The key of an object, in brackets; of a string only that there is one."""
    if isinstance(key, str):
        return "[…]"
    if isinstance(key, GlobalKey):
        return f"[{key.hi}-{key.lo}]"
    return "[null]" if key is None else f"[{key}]"


def name_text(name: str) -> str:
    """The name of a class or property, cut and escaped: bad changesets have names of any length and content."""
    if len(name) > _MAX_NAME:
        name = name[:_MAX_NAME] + "…"
    return name if name.isprintable() else ascii(name)[1:-1]
