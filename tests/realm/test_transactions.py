"""Write transactions: everything or nothing (spec/sdk.md §5.1)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.realm.conftest import OpenRealm

from syncline import DiskFullError, Field, InvalidatedObjectError, Model, Realm, WrongTransactionStateError


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0


def test_commit_and_rollback(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    version = realm.version
    with realm.write():
        assert realm.in_write
        rex = realm.create(Dog, name="Rex")
    assert not realm.in_write
    assert realm.version == version + 1
    created: list[Dog] = []

    def fail() -> None:
        with realm.write():
            rex.age = 5
            created.append(realm.create(Dog, name="Bo"))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    bo = created[0]
    assert rex.age == 0
    assert realm.version == version + 1
    assert not bo.is_valid
    with pytest.raises(InvalidatedObjectError, match=r"this Dog was deleted"):
        _ = bo.age


def test_a_transaction_can_be_cancelled_in_its_block(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write() as transaction:
        realm.create(Dog, name="Rex")
        transaction.cancel()
        assert len(realm.objects(Dog)) == 0
        with pytest.raises(WrongTransactionStateError, match=r"has ended already"):
            transaction.cancel()
    assert len(realm.objects(Dog)) == 0
    with realm.write():
        realm.create(Dog, name="Rex")
        realm.commit_write()
    assert len(realm.objects(Dog)) == 1


def test_explicit_begin_and_end(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    realm.begin_write()
    realm.create(Dog, name="Rex")
    realm.commit_write()
    realm.begin_write()
    realm.create(Dog, name="Bo")
    realm.cancel_write()
    assert [dog.name for dog in realm.objects(Dog)] == ["Rex"]
    for end in (realm.commit_write, realm.cancel_write):
        with pytest.raises(
            WrongTransactionStateError, match=r"changes need a write transaction: put them into 'with realm.write\(\):'"
        ):
            end()


def test_transactions_do_not_nest(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        realm.create(Dog, name="Rex")
        with pytest.raises(
            WrongTransactionStateError, match=r"is in a write transaction already; transactions do not nest"
        ):
            realm.begin_write()
    assert len(realm.objects(Dog)) == 1


def test_nothing_is_written_outside(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex")
    for change in (
        lambda: setattr(rex, "age", 1),
        lambda: realm.create(Dog, name="Bo"),
        lambda: realm.add(Dog(name="Bo")),
        lambda: realm.delete(rex),
        lambda: realm.delete_all(),
        lambda: realm.objects(Dog).delete_all(),
        lambda: realm.objects(Dog).update(age=1),
    ):
        with pytest.raises(WrongTransactionStateError, match=r"put them into 'with realm.write\(\):'"):
            change()
    assert rex.age == 0
    rex_is_alone = len(realm.objects(Dog)) == 1
    assert rex_is_alone


def test_a_transaction_without_changes_makes_no_version(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    version = realm.version
    with realm.write():
        pass
    assert realm.version == version


def test_reads_inside_see_what_was_written(open_realm: OpenRealm) -> None:
    realm, other = open_realm(Dog), open_realm(Dog)
    dogs = realm.objects(Dog).where(Dog.age > 2)
    with realm.write():
        rex = realm.create(Dog, name="Rex", age=3)
        assert dogs[:] == [rex]
        rex.age = 1
        assert len(dogs) == 0
        rex.age = 4
        assert dogs.first() == rex
        assert len(other.objects(Dog)) == 0
    assert dogs[:] == [rex]


def test_a_write_begins_at_the_newest_version(open_realm: OpenRealm) -> None:
    one, two = open_realm(Dog), open_realm(Dog)
    assert len(one.objects(Dog)) == 0
    with two.write():
        two.create(Dog, name="Rex", age=1)
    with one.write():
        rex = one.get(Dog, "Rex")
        assert rex is not None
        rex.age += 1
    two.refresh()
    assert two.get(Dog, "Rex").age == 2  # type: ignore[union-attr]


def test_what_was_deleted_stays_invalid_after_rollback(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex")
    with realm.write() as transaction:
        realm.delete(rex)
        transaction.cancel()
    assert not rex.is_valid
    again = realm.get(Dog, "Rex")
    assert again is not None
    assert again.age == 0


def test_writers_take_turns(open_realm: OpenRealm, tmp_path: Path) -> None:
    open_realm(Dog).close()

    def add(start: int) -> None:
        with Realm.open(tmp_path / "test.realm", schema=[Dog]) as realm:
            for number in range(start, start + 20):
                with realm.write():
                    realm.create(Dog, name=str(number), age=len(realm.objects(Dog)))

    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(dog.age for dog in open_realm(Dog).objects(Dog)) == list(range(60))


def test_a_full_disk_undoes_the_transaction(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex")
    connection = realm._context.file.writer.connection
    pages = connection.pragma("page_count")
    connection.pragma("max_page_count", pages)
    version = realm.version

    def fill_up() -> None:
        with realm.write():
            for number in range(2_000):
                realm.create(Dog, name=f"dog {number}" * 20)

    with pytest.raises(DiskFullError, match=r"no space left .* the write transaction was rolled back"):
        fill_up()
    assert not realm.in_write
    assert (realm.version, realm.objects(Dog)[:]) == (version, [rex])

    def fill_up_before_the_end() -> None:
        with realm.write():
            for number in range(2_000):
                realm.create(Dog, name=f"dog {number}" * 20)
            assert len(realm.objects(Dog)) == 2_001
            pytest.fail("the disk was full before")

    with pytest.raises(DiskFullError, match=r"no space left"):
        fill_up_before_the_end()
    assert (realm.version, realm.objects(Dog)[:]) == (version, [rex])
    connection.pragma("max_page_count", 1_000_000)
    with realm.write():
        realm.create(Dog, name="Bo")
    assert len(realm.objects(Dog)) == 2
