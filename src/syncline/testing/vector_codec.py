"""Vectors of the codec: changesets and invalid changesets (tests/vectors/README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.changesets.instructions import Instruction, PathInstruction, fields_of
from syncline.changesets.json_form import instruction_from_json, instruction_to_json, text_from_json, text_to_json
from syncline.errors import BadChangesetError
from syncline.testing.vector_files import Mismatch, compare

__all__ = ["check_changeset", "check_invalid_changeset", "instruction_list"]


def check_changeset(case: Mapping[str, Any]) -> None:
    """Decode, compare strings and instructions, read the JSON form back, encode again."""
    data = bytes.fromhex(case["changeset"])
    changeset = decode(data)
    compare("instructions", case["instructions"], instruction_list(changeset.instructions))
    if "strings" in case:
        compare("strings", case["strings"], [text_to_json(text) for text in changeset.strings])
    read_back = [instruction_from_json(form) for form in case["instructions"]]
    _compare_instructions("instructions read from JSON", changeset.instructions, read_back)
    if case.get("style") == "re-encoded":
        strings = [text_from_json(form) for form in case.get("strings", changeset.strings)]
        compare("re-encoding", data.hex(), encode(Changeset(read_back, strings)).hex())
    else:
        _compare_instructions("re-encoding", changeset.instructions, decode(encode(changeset)).instructions)
    if case.get("style") == "recorded":
        recorded = encode_recorded(read_back)
        _compare_instructions("recording", changeset.instructions, decode(recorded).instructions)
        if not any(map(_may_be_embedded, changeset.instructions)):
            compare("recording", data.hex(), recorded.hex())


def check_invalid_changeset(case: Mapping[str, Any]) -> None:
    """Decoding must be refused, in whatever words."""
    try:
        changeset = decode(bytes.fromhex(case["changeset"]))
    except BadChangesetError:
        return
    expected = case.get("error", "an error")
    raise Mismatch("decoding an invalid changeset", expected, instruction_list(changeset.instructions))


def instruction_list(instructions: list[Instruction]) -> list[dict[str, Any]]:
    """The JSON form of instructions."""
    return [instruction_to_json(instruction) for instruction in instructions]


def _compare_instructions(what: str, expected: list[Instruction], actual: list[Instruction]) -> None:
    # by representation, so that a NaN is equal to itself, and 1.0 is not 1
    compare(what, [repr(fields_of(i)) for i in expected], [repr(fields_of(i)) for i in actual])


def _may_be_embedded(instruction: Instruction) -> bool:
    """Could it act inside an embedded object? Then a name that nothing refers to may precede it (§4.5)."""
    return isinstance(instruction, PathInstruction) and any(isinstance(element, str) for element in instruction.path)
