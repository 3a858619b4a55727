import threading
from pathlib import Path

import pytest

from syncline.errors import FileError, SynclineError
from syncline.server.log_store import LogStore
from syncline.server.realm_directory import RealmRecord
from syncline.server.store_pool import StorePool


class Store:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Opener:
    def __init__(self) -> None:
        self.opened: dict[str, list[Store]] = {}

    def __call__(self, realm: RealmRecord) -> LogStore:
        store = Store()
        self.opened.setdefault(realm.key, []).append(store)
        return store  # type: ignore[return-value]


def realm(name: str) -> RealmRecord:
    return RealmRecord("app", name, None, name, Path(name))


def test_the_one_unused_for_longest_is_closed() -> None:
    opener = Opener()
    pool = StorePool(opener, 2)
    for name in "abac":
        with pool.use(realm(name)):
            pass
    assert pool.open_files == 2
    assert not opener.opened["a"][0].closed
    assert opener.opened["b"][0].closed
    with pool.use(realm("b")):
        pass
    assert len(opener.opened["b"]) == 2


def test_a_store_in_use_is_not_closed_until_its_user_is_done() -> None:
    opener = Opener()
    pool = StorePool(opener, 1)
    with pool.use(realm("a")):
        with pool.use(realm("b")):
            assert pool.open_files == 2
        assert not opener.opened["a"][0].closed
        pool.close()
        assert [store.closed for store in opener.opened["a"]] == [False]
    assert [store.closed for store in opener.opened["a"]] == [True]
    with pytest.raises(SynclineError, match="shutting down"), pool.use(realm("a")):
        pass


def test_one_file_is_opened_once_by_many_threads() -> None:
    opener = Opener()
    pool = StorePool(opener, 4)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        with pool.use(realm("a")):
            pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opener.opened["a"]) == 1


def test_a_file_that_does_not_open_can_be_tried_again() -> None:
    attempts = []

    def open_store(record: RealmRecord) -> LogStore:
        attempts.append(record.key)
        if len(attempts) == 1:
            raise FileError("no space left")
        return Store()  # type: ignore[return-value]

    pool = StorePool(open_store, 4)
    with pytest.raises(FileError), pool.use(realm("a")):
        pass
    with pool.use(realm("a")) as store:
        assert store is not None
