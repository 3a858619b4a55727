"""Changesets without a database: ``transform``, ``changeset2json``, ``json2changeset`` (tests/vectors/README.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.json_form import instruction_from_json, instruction_to_json, text_from_json, text_to_json
from syncline.merge.transform import transform
from syncline.testing.peer.commands import CommandError

__all__ = ["changeset_to_json", "json_to_changeset", "transform_sides"]

Json: TypeAlias = Any

_INT64_MAX: Final = (1 << 63) - 1
_NUMBERS: Final = ("version", "last_integrated_remote_version", "origin_timestamp", "origin_file_ident")
#: What a merge cannot do without: it decides who wins.
_NEEDED: Final = ("changeset", "origin_timestamp", "origin_file_ident")
#: Shown in the vectors, and not read.
_IGNORED: Final = ("instructions", "changed")


def transform_sides(left: Sequence[Json], right: Sequence[Json]) -> dict[str, Json]:
    """Both sides merged, in the form of ``left_transformed`` and ``right_transformed``.

    Raises CommandError for a changeset without what a merge needs, BadChangesetError and TransformError.
    """
    sides = {"left": _read_side(left), "right": _read_side(right)}
    transform(sides["left"], sides["right"])
    return {name: [_transformed(changeset) for changeset in side] for name, side in sides.items()}


def changeset_to_json(data: bytes) -> dict[str, Json]:
    """The strings and instructions of an encoded changeset. Raises BadChangesetError."""
    changeset = decode(data)
    return {
        "strings": [text_to_json(text) for text in changeset.strings],
        "instructions": [instruction_to_json(instruction) for instruction in changeset.instructions],
    }


def json_to_changeset(instructions: Sequence[Json], strings: Sequence[Json]) -> str:
    """The changeset of ``instructions`` in hexadecimal digits, all its strings defined first; those given lead.

    Raises ValueError for what is no instruction, CommandError for a field that it does not have, BadChangesetError for
    what no peer could read.
    """
    changeset = Changeset([instruction_from_json(form) for form in instructions], [text_from_json(s) for s in strings])
    data = encode(changeset)
    # The encoder trusts its callers: ranges, and what a key may be, are checked by whoever reads.
    for form, instruction in zip(instructions, decode(data).instructions, strict=True):
        if unknown := form.keys() - instruction_to_json(instruction).keys():
            raise CommandError(f"{form['type']} has no field {', '.join(sorted(unknown))}")
    return data.hex()


def _read_side(forms: Sequence[Json]) -> list[Changeset]:
    return [_read(form, sequence) for sequence, form in enumerate(forms)]


def _read(form: Json, sequence: int) -> Changeset:
    if unknown := form.keys() - {*_NEEDED, *_NUMBERS, *_IGNORED}:
        raise CommandError(f"a changeset has no field {', '.join(sorted(unknown))}")
    if missing := set(_NEEDED) - form.keys():
        raise CommandError(f"a changeset needs the field {', '.join(sorted(missing))}")
    for name in _NUMBERS:
        if type(form.get(name, 0)) is not int or not 0 <= form.get(name, 0) <= _INT64_MAX:
            raise CommandError(f"{name} of a changeset must be an integer from 0 to 2^63 - 1, not {form[name]!r}")
    if not isinstance(form["changeset"], str):
        raise CommandError(f"a changeset is given in hexadecimal digits, not as {form['changeset']!r}")
    changeset = decode(bytes.fromhex(form["changeset"]))
    changeset.version = form.get("version", 1)
    changeset.last_integrated_remote_version = form.get("last_integrated_remote_version", 0)
    changeset.origin_timestamp = form["origin_timestamp"]
    changeset.origin_file_ident = form["origin_file_ident"]
    changeset.sequence = sequence
    return changeset


def _transformed(changeset: Changeset) -> dict[str, Json]:
    return {
        "changeset": encode(changeset).hex(),
        "instructions": [instruction_to_json(instruction) for instruction in changeset.instructions],
        "changed": changeset.dirty,
    }
