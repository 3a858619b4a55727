"""Changesets that arrive from elsewhere: decoding them, and telling which one an error is about.

What goes wrong with a changeset after it was decoded (merging, applying) is reported by its instruction. Nobody notes
on the way where instructions were in the bytes: that is found out when an error happens, by decoding again.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, offset_of
from syncline.changesets.describe import source_text
from syncline.errors import BadChangesetError, InapplicableChangesetError

__all__ = ["Arrivals", "decode_arrival"]


def decode_arrival(data: bytes, *, version: int, base: int, timestamp: int, origin_file_ident: int) -> Changeset:
    """The changeset in ``data`` with what travels beside it (:class:`~syncline.changesets.changeset.Changeset`).

    Raises MalformedChangesetError, which names version and origin too.
    """
    try:
        changeset = decode(data)
    except BadChangesetError as error:
        error.source = source_text(version, origin_file_ident)
        raise
    changeset.version = version
    changeset.last_integrated_remote_version = base
    changeset.origin_timestamp = timestamp
    changeset.origin_file_ident = origin_file_ident
    return changeset


class Arrivals:
    """``with Arrivals(changesets, data):`` around merging and applying them: errors tell the place in ``data``.

    An InapplicableChangesetError from inside gets the number of the instruction as it arrived (merging moves
    instructions and drops some), its byte offset, and the changeset. An instruction that the merge made has no place.
    """

    def __init__(self, changesets: Sequence[Changeset], data: Sequence[bytes]) -> None:
        """``data``: what each of ``changesets``, which were not merged yet, was decoded from."""
        self._changesets = changesets
        self._data = data
        # merging gives a changeset that loses or gets instructions another list
        self._instructions = [changeset.instructions for changeset in changesets]

    def __enter__(self) -> Arrivals:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, InapplicableChangesetError):
            self._complete(error)

    def _complete(self, error: InapplicableChangesetError) -> None:
        error.instruction = None
        for changeset, data, instructions in zip(self._changesets, self._data, self._instructions, strict=True):
            for number, instruction in enumerate(instructions):
                if instruction is error.culprit:
                    error.instruction = number
                    error.offset = offset_of(data, number)
                    error.source = source_text(changeset.version, changeset.origin_file_ident)
                    return
