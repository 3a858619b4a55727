"""Counters record by how much they change, so that concurrent changes add up (spec/sdk.md §1.14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline import Counter, Field, Model, Realm, RealmConfiguration, WrongTransactionStateError
from syncline.changesets.instructions import AddInteger, Instruction, Update


class Page(Model):
    id: int = Field(primary_key=True)
    hits: Counter = 0
    visits: Counter = 0


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(str(tmp_path / "pages.realm"), schema=[Page])) as realm:
        with realm.write():
            realm.create(Page, id=1, hits=5)
            realm.create(Page, id=2, hits=50)
        yield realm


def recorded(realm: Realm) -> list[Instruction]:
    tx = realm._context.tx
    assert tx is not None
    return list(tx.instructions)


def test_in_place_addition_records_an_addition(realm: Realm) -> None:
    page = realm.get(Page, 1)
    with realm.write():
        page.hits += 3
        page.hits -= 1
        additions = recorded(realm)
    assert [(type(i), i.value) for i in additions] == [(AddInteger, 3), (AddInteger, -1)]
    assert page.hits == 7


def test_increment_and_decrement(realm: Realm) -> None:
    page = realm.get(Page, 1)
    with realm.write():
        page.hits.increment(4)
        page.hits.decrement()
        assert [type(i) for i in recorded(realm)] == [AddInteger, AddInteger]
    assert page.hits == 8


def test_assigning_a_sum_records_the_sum(realm: Realm) -> None:
    page = realm.get(Page, 1)
    with realm.write():
        page.hits = page.hits + 1
        assert [(type(i), i.value) for i in recorded(realm)] == [(Update, 6)]


def test_a_counter_raised_elsewhere_is_assigned_as_a_number(realm: Realm) -> None:
    first, second = realm.get(Page, 1), realm.get(Page, 2)
    raised = first.hits
    raised += 1
    with realm.write():
        second.hits = raised
        first.visits = raised
        assert [(type(i), i.value) for i in recorded(realm)] == [(Update, 6), (Update, 6)]
    assert (second.hits, first.visits, first.hits) == (6, 6, 5)


def test_outside_a_transaction_nothing_changes(realm: Realm) -> None:
    page = realm.get(Page, 1)
    with pytest.raises(WrongTransactionStateError):
        page.hits += 1
    assert page.hits == 5


def test_an_object_in_no_realm_counts_too() -> None:
    page = Page(id=3)
    page.hits += 2
    page.hits.increment()
    assert page.hits == 3
