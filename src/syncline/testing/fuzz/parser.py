"""The parser target: any bytes either are a changeset, which survives every way through the codec, or they are refused.

A refusal is a MalformedChangesetError that names a byte, an instruction and what that is.
"""

from __future__ import annotations

import json

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode, encode_recorded, offset_of
from syncline.changesets.describe import describe
from syncline.changesets.instructions import Instruction, fields_of
from syncline.changesets.json_form import instruction_from_json, instruction_to_json
from syncline.errors import BadChangesetError, MalformedChangesetError
from syncline.testing.fuzz.outcome import FuzzFailureError, Outcome

__all__ = ["check", "check_refusal"]

#: A longer text of an error would be a way to fill logs.
_MAX_TEXT = 1500


def check(data: bytes) -> Outcome:
    """Whether ``data`` is a changeset. Raises FuzzFailureError."""
    try:
        changeset = decode(data)
    except MalformedChangesetError as error:
        check_refusal(data, error)
        return Outcome.MALFORMED
    _check_codec(data, changeset)
    for instruction in changeset.instructions:
        _check_forms(instruction)
    return Outcome.READ


def check_refusal(data: bytes, error: BadChangesetError) -> None:
    """The error of a bad changeset must tell the place. Raises FuzzFailureError."""
    if error.offset is None or not 0 <= error.offset <= len(data):
        raise FuzzFailureError(f"no byte of the changeset is named: {error!r} {error}")
    if error.instruction is None or not error.subject:
        raise FuzzFailureError(f"no instruction is named: {error!r} {error}")
    if len(str(error)) > _MAX_TEXT:
        raise FuzzFailureError(f"an error with a text of {len(str(error))} characters")


def _contents(instructions: list[Instruction]) -> list[str]:
    return [repr(fields_of(instruction)) for instruction in instructions]


def _check_codec(data: bytes, changeset: Changeset) -> None:
    contents = _contents(changeset.instructions)
    canonical = encode(changeset)
    again = decode(canonical)
    if _contents(again.instructions) != contents or (contents and again.strings != changeset.strings):
        raise FuzzFailureError("encoding and decoding again gives other instructions or strings")
    if encode(again) != canonical:
        raise FuzzFailureError("encoding again gives other bytes")
    if _contents(decode(encode_recorded(changeset.instructions)).instructions) != contents:
        raise FuzzFailureError("the recording style gives other instructions")
    for number in range(0, len(contents), 1 + len(contents) // 4):
        start = offset_of(data, number)
        if start is None or _contents(decode(data[:start]).instructions) != contents[:number]:
            raise FuzzFailureError(f"instruction {number} does not begin at byte {start}")


def _check_forms(instruction: Instruction) -> None:
    form = json.loads(json.dumps(instruction_to_json(instruction)))
    if _contents([instruction_from_json(form)]) != _contents([instruction]):
        raise FuzzFailureError(f"the JSON form gives another instruction: {form}")
    words = describe(instruction)
    if not words.isprintable() or len(words) > _MAX_TEXT:
        raise FuzzFailureError(f"a description that cannot be logged: {words!r}")
