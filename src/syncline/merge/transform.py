"""Merging two lists of concurrent changesets: operational transformation (spec/merge.md §3)."""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.merge.driver import merge
from syncline.merge.footprint import Footprint
from syncline.merge.observer import MergeObserver
from syncline.merge.schema import Schema

__all__ = ["transform"]


def transform(
    ours: list[Changeset],
    theirs: list[Changeset],
    observer: MergeObserver | None = None,
    schema: Schema | None = None,
) -> None:
    """Rewrite both sides in place, so that ``ours + theirs`` and ``theirs + ours`` lead to the same state.

    Afterwards ``theirs`` can be applied on top of ``ours``, and ``ours`` on top of ``theirs``. A changeset that was
    changed in any way has ``dirty`` set; the bytes of the others are still right and need no re-encoding. The result
    does not depend on which side is called ours, except for equal (timestamp, ident) pairs, which must not occur.

    Parameters:
        ours: the receiver's own changesets, in history order, with real ``origin_file_ident`` (never 0).
        theirs: the incoming changesets; they take part in the order of (``version``, ``sequence``).
        observer: told every rule that decided something.
        schema: the receiver's, with all that ``ours`` did; without it, the rules are those of the original, under which
            changes of an embedded object that is replaced under its dictionary key do not converge (spec/merge.md
            trap 9), nor do those of an embedded class's property that is erased (trap 6), nor does a plain value that
            loses to a list or dictionary in a Mixed (``merge/resets.py``). With it, whoever applies ``theirs`` must
            carry out resets (``storage/resetting.py``), and whoever keeps a result must spell them out or write it as
            a reciprocal.

    Raises:
        TransformError: the two sides contradict each other (spec/merge.md §6). Both are then half merged: drop them.
    """
    if not ours or not theirs:
        return
    our_footprint = Footprint.of(ours)
    their_footprint = Footprint.of(theirs)
    if our_footprint.may_meet(their_footprint):
        ordered = sorted(theirs, key=_order)
        merge(ours, ordered, our_footprint, their_footprint, observer, schema)


def _order(changeset: Changeset) -> tuple[int, int]:
    return changeset.version, changeset.sequence
