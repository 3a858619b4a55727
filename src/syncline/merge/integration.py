"""The reciprocal step: merging what arrives with the receiver's own history (spec/merge.md §8.2).

Used by the client for what it downloads and by the server's hub for what a client uploads. The receiver's history is
reached through the small :class:`History` protocol; the changesets of the history itself are never modified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode
from syncline.merge.footprint import Footprint
from syncline.merge.observer import MergeObserver
from syncline.merge.resets import read_reciprocal, write_reciprocal
from syncline.merge.schema import Schema
from syncline.merge.transform import transform

__all__ = ["History", "WindowEntry", "integrate"]


class WindowEntry(NamedTuple):
    """One of the receiver's own history entries that an incoming changeset has to be merged with.

    ``version`` counts at the receiver. ``origin_file_ident`` is 0 where the entry was made at the receiver.
    ``changeset`` is the entry's reciprocal if one is stored (``b""`` where everything in it was discarded), otherwise
    the entry's original changeset; ``is_reciprocal`` tells which. ``footprint``, if the history remembers it, is that
    of ``changeset``: with it, an entry that cannot meet what arrives is not even decoded.
    """

    version: int
    origin_timestamp: int
    origin_file_ident: int
    changeset: bytes
    is_reciprocal: bool = False
    footprint: Footprint | None = None


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
    schema: Schema | None = None,
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
        schema: the receiver's, as of ``current_version``.

    Returns:
        The number of changesets integrated, counted from the front of ``incoming``.

    Raises:
        TransformError: a changeset contradicts the history (spec/merge.md §6).
        BadChangesetError: an entry of the history cannot be decoded.
    """
    for position, changeset in enumerate(incoming):
        changeset.sequence = position
    window = _Window(history, local_file_ident, current_version)
    done = 0
    going_on = True
    while going_on and done < len(incoming):
        base = incoming[done].last_integrated_remote_version
        group = _group_from(incoming, done)
        transform(window.meeting(base, group), group, observer, schema)
        must_finish = window.is_dirty_after(base)
        for changeset in group:
            going_on = apply(changeset) or must_finish
            done += 1
            if not going_on:
                break
    window.flush()
    return done


def _group_from(incoming: list[Changeset], start: int) -> list[Changeset]:
    """The changesets from ``start`` on that have the same base: they are merged together."""
    end = start + 1
    base = incoming[start].last_integrated_remote_version
    while end < len(incoming) and incoming[end].last_integrated_remote_version == base:
        end += 1
    return incoming[start:end]


class _Window:
    """The receiver's entries that one call merges with; each is read once and decoded at most once."""

    def __init__(self, history: History, local_file_ident: int, current_version: int) -> None:
        self._history = history
        self._local_file_ident = local_file_ident
        self._lowest = current_version
        self._entries: list[WindowEntry] = []
        self._decoded: dict[int, Changeset] = {}

    def meeting(self, base: int, group: list[Changeset]) -> list[Changeset]:
        """The entries after ``base`` that may meet the group, as they are by now."""
        if base < self._lowest:  # bases usually ascend, so that everything is read the first time
            self._entries = [*self._history.window(base, self._lowest), *self._entries]
            self._lowest = base
        if not self._entries:
            return []
        footprint = Footprint.of(group)
        found: list[Changeset] = []
        for entry in self._entries:
            if entry.version <= base:
                continue
            changeset = self._decoded.get(entry.version)
            if changeset is None:
                if not entry.changeset or (entry.footprint is not None and not entry.footprint.may_meet(footprint)):
                    continue
                changeset = self._decode(entry)
            found.append(changeset)
        return found

    def _decode(self, entry: WindowEntry) -> Changeset:
        changeset = read_reciprocal(entry.changeset) if entry.is_reciprocal else decode(entry.changeset)
        changeset.version = entry.version
        changeset.origin_timestamp = entry.origin_timestamp
        changeset.origin_file_ident = entry.origin_file_ident or self._local_file_ident
        self._decoded[entry.version] = changeset
        return changeset

    def is_dirty_after(self, base: int) -> bool:
        """True if the merge has rewritten an entry after ``base``."""
        return any(changeset.dirty for version, changeset in self._decoded.items() if version > base)

    def flush(self) -> None:
        """Store the rewritten entries as reciprocals, ascending by version."""
        dirty = [version for version, changeset in self._decoded.items() if changeset.dirty]
        if dirty:
            self._history.set_reciprocals(
                [(version, write_reciprocal(self._decoded[version])) for version in sorted(dirty)]
            )
