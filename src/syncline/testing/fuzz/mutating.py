"""Mutations of changesets that know what a changeset is: of instructions, not of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from syncline.changesets.codec import decode, encode_recorded, offset_of
from syncline.changesets.instructions import FIELDS, Instruction, PathInstruction, fields_of
from syncline.errors import MalformedChangesetError
from syncline.testing.choices import Choices
from syncline.testing.fuzz.making import NUMBERS, InstructionMaker
from syncline.testing.model.schema import ANYTHING, ClassDef
from syncline.values import Key, kinds

__all__ = ["Mutator", "readable_part"]

#: Larger changesets are cut: it is not their size that finds anything.
_MAX_INSTRUCTIONS: Final = 40
_MAX_CHANGES: Final = 3
_STEPS: Final[tuple[int | str, ...]] = (0, 1, 2, "a", "b", "sub", "any")


def readable_part(data: bytes) -> list[Instruction]:
    """The instructions of ``data`` in front of the first fault; none, if that is in the definition of a string."""
    try:
        return decode(data).instructions
    except MalformedChangesetError as error:
        number = error.instruction or 0
    try:
        return decode(data[: offset_of(data, number)]).instructions
    except MalformedChangesetError:
        return []


class Mutator:
    """Changes changesets for a Realm of a known schema (:class:`InstructionMaker`)."""

    def __init__(self, choices: Choices, classes: Mapping[str, ClassDef], keys: Mapping[str, Sequence[Key]]) -> None:
        self._choices = choices
        self._classes = classes
        self._make = InstructionMaker(choices, classes, keys)

    def mutate(self, data: bytes, max_size: int) -> bytes:
        """``data`` with a few instructions changed, added or taken away; at most ``max_size`` bytes."""
        instructions = readable_part(data)[:_MAX_INSTRUCTIONS]
        for _ in range(self._choices.integer(1, _MAX_CHANGES)):
            self._change(instructions)
        return _written(instructions, data, max_size)

    def cross(self, one: bytes, other: bytes, max_size: int) -> bytes:
        """The beginning of one changeset and the end of another."""
        first, second = readable_part(one), readable_part(other)
        head = first[: self._choices.integer(0, len(first))]
        tail = second[self._choices.integer(0, len(second)) :]
        return _written([*head, *tail], one, max_size)

    def _change(self, instructions: list[Instruction]) -> None:
        choices = self._choices
        what = choices.integer(0, 99)
        if not instructions or what < 50:
            instructions.insert(choices.integer(0, len(instructions)), self._make.instruction())
            return
        at = choices.integer(0, len(instructions) - 1)
        if what < 60:
            del instructions[at]
        elif what < 68:
            instructions.insert(choices.integer(0, len(instructions)), instructions[at])
        elif what < 75:
            instructions.insert(choices.integer(0, len(instructions) - 1), instructions.pop(at))
        else:
            instructions[at] = self._tweaked(instructions[at])

    def _tweaked(self, instruction: Instruction) -> Instruction:
        """The instruction with one field changed; kind and value of a payload go together."""
        names = FIELDS[instruction.opcode]
        fields: dict[str, Any] = dict(zip(names, fields_of(instruction)[1:], strict=True))
        name = self._choices.pick(names)
        if name in ("kind", "value") and "kind" in names:
            fields["kind"], fields["value"] = self._make.payload(ANYTHING)
        else:
            fields[name] = self._other(name, fields[name], instruction)
        if isinstance(instruction, PathInstruction) and "is_default" in names:
            ends_in_index = bool(fields["path"]) and isinstance(fields["path"][-1], int)
            fields["prior_size"] = max(int(fields["prior_size"]), 0) if ends_in_index else -1
        make: Any = type(instruction)
        made: Instruction = make(**fields)
        return made

    def _other(self, name: str, value: Any, instruction: Instruction) -> Any:
        choices = self._choices
        if name in ("table", "link_target"):
            return choices.pick(list(self._classes))
        if name == "key":
            return self._make.key(instruction.table)
        if name in ("field", "pk_field"):
            info = self._classes.get(instruction.table)
            return choices.pick([*info.properties, "_id", "x"] if info is not None else ["x"])
        if name == "path":
            return self._other_path(value)
        if name in ("nullable", "pk_nullable", "is_default"):
            return not value
        if name == "pk_type":
            return choices.pick(kinds.KEY_KINDS)
        if name in ("collection", "table_type"):
            return choices.integer(0, 3 if name == "collection" else 2)
        if name == "value_type":
            return choices.integer(kinds.MIXED, kinds.UUID)
        if name == "key_type":
            return kinds.STRING
        return abs(value + choices.pick((1, -1))) if choices.chance(80) else choices.pick(NUMBERS)

    def _other_path(self, path: tuple[int | str, ...]) -> tuple[int | str, ...]:
        choices = self._choices
        steps: list[int | str] = list(path)
        step = choices.pick(_STEPS)
        what = choices.integer(0, 2)
        if not steps or what == 0:
            steps.insert(choices.integer(0, len(steps)), step)
        elif what == 1:
            del steps[choices.integer(0, len(steps) - 1)]
        else:
            steps[choices.integer(0, len(steps) - 1)] = step
        return tuple(steps)


def _written(instructions: list[Instruction], otherwise: bytes, max_size: int) -> bytes:
    """The instructions as bytes; fewer of them, if need be, for ``max_size``."""
    while instructions:
        try:
            data = encode_recorded(instructions)
        except MalformedChangesetError:
            return otherwise[:max_size]
        if len(data) <= max_size:
            return data
        del instructions[len(instructions) // 2 :]
    return b""
