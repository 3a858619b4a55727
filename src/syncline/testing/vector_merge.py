"""Vectors of the merge: single instructions, and whole merges without a database (tests/vectors/README.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.errors import TransformError
from syncline.merge.transform import transform
from syncline.testing.vector_codec import instruction_list
from syncline.testing.vector_files import Mismatch, compare

__all__ = ["check_merge_rule", "check_transformed", "read_side", "transformed"]


def check_merge_rule(case: Mapping[str, Any]) -> None:
    """Two changesets of one instruction: the transformed pair, or an error, whichever side is ours."""
    for major, minor in (("left", "right"), ("right", "left")):
        sides = {side: [read_changeset(case[side])] for side in ("left", "right")}
        try:
            transform(sides[major], sides[minor])
        except TransformError as error:
            if "error" not in case:
                raise Mismatch(f"merge with {major} as ours", "no error", str(error)) from error
            continue
        if "error" in case:
            actual = {side: instruction_list(changesets[0].instructions) for side, changesets in sides.items()}
            raise Mismatch(f"merge with {major} as ours", case["error"], actual)
        for side, changesets in sides.items():
            expected = case[f"{side}_transformed"]
            compare(f"{side}_transformed ({major} is ours)", expected, instruction_list(changesets[0].instructions))


def read_changeset(form: Mapping[str, Any]) -> Changeset:
    """A changeset of a vector with its metadata; the instructions shown must be those encoded."""
    changeset = decode(bytes.fromhex(form["changeset"]))
    if "instructions" in form:
        compare("instructions", form["instructions"], instruction_list(changeset.instructions))
    changeset.version = form.get("version", 1)
    changeset.last_integrated_remote_version = form.get("last_integrated_remote_version", 0)
    changeset.origin_timestamp = form["origin_timestamp"]
    changeset.origin_file_ident = form["origin_file_ident"]
    return changeset


def read_side(forms: Sequence[Mapping[str, Any]]) -> list[Changeset]:
    """The changesets of one side, in order."""
    changesets = [read_changeset(form) for form in forms]
    for sequence, changeset in enumerate(changesets):
        changeset.sequence = sequence
    return changesets


def transformed(case: Mapping[str, Any], ours: str = "left") -> dict[str, list[Changeset]]:
    """Both sides of a merge, merged with the side ``ours`` as the receiver's own. Raises TransformError."""
    sides = {side: read_side(case[side]) for side in ("left", "right")}
    theirs = "right" if ours == "left" else "left"
    transform(sides[ours], sides[theirs])
    return sides


def check_transformed(case: Mapping[str, Any]) -> dict[str, list[Changeset]]:
    """Merge both sides, compare with the vector, and return them merged; the result must not depend on who is ours."""
    result: dict[str, list[Changeset]] = {}
    for ours in ("left", "right"):
        result = transformed(case, ours)
        for side, changesets in result.items():
            expected = case[f"{side}_transformed"]
            what = f"{side}_transformed ({ours} is ours)"
            compare(f"number of {what}", len(expected), len(changesets))
            for number, (form, changeset) in enumerate(zip(expected, changesets, strict=True)):
                compare(f"{what}[{number}]", form["instructions"], instruction_list(changeset.instructions))
                compare(f"{what}[{number}].changeset", form["changeset"], encode(changeset).hex())
                if form["instructions"] != case[side][number]["instructions"]:
                    # ``changed`` itself is not compared: realm-core also sets it for changes that cancel out
                    compare(f"{what}[{number}].dirty", True, changeset.dirty)
    return result
