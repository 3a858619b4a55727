"""Snapshots: membership and order of results for good, the objects live (spec/sdk.md §8)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncline import Model, OutOfBoundsError, Realm, RealmConfiguration


class Note(Model):
    number: int


def test_they_keep_which_objects_and_their_order() -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Note])) as realm:
        with realm.write():
            for number in (3, 1, 2):
                realm.create(Note, {"number": number})
        snapshot = realm.objects(Note).filter("number < 3").sort("number").snapshot()
        one, two = realm.objects(Note).filter("number < 3").sort("number")
        assert isinstance(snapshot, Sequence)
        assert list(snapshot) == [one, two]
        assert (snapshot[0], snapshot[-1], snapshot[1:], len(snapshot)) == (one, two, [two], 2)
        with realm.write():
            for note in snapshot:
                assert note is not None
                note.number += 10  # none of them matches any more
            realm.create(Note, {"number": 0})
        assert [note and note.number for note in snapshot] == [11, 12]
        with realm.write():
            realm.delete(one)
        assert list(snapshot) == [None, two]
        assert snapshot[0] is None
        assert repr(snapshot) == "<Snapshot of 2 Note objects>"
        with pytest.raises(OutOfBoundsError):
            snapshot[2]
