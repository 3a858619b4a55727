"""Writes of every kind at once on one event loop, with observers that write and fail: nothing is lost or doubled.

``SYNCLINE_SEEDS=50`` tries more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncline import CollectionChange, Field, Model, Realm, RealmConfiguration


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0


class Mix:
    """One run: what was promised to be there, and a mirror that only change sets keep up to date."""

    def __init__(self, realm: Realm, other: Realm, seed: int) -> None:
        self.realm = realm
        self.other = other
        self.random = Random(seed)
        self.promised: set[str] = set()
        self.waiting: list[asyncio.Future[Any]] = []
        self.mirror: list[str] = []
        self.reported: list[Exception] = []
        self.dogs = realm.objects(Dog).sort("age")

    def happens(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def make(self, name: str, realm: Realm | None = None) -> str:
        (realm or self.realm).create(Dog, name=name, age=self.random.randrange(50))
        return name

    def observe(self, dogs: Any, change: CollectionChange) -> None:
        now = [dog.name for dog in dogs]
        if change.initial:
            self.mirror[:] = now
            return
        for index in reversed(change.deletions):
            del self.mirror[index]
        for index in change.insertions:
            self.mirror.insert(index, now[index])
        assert self.mirror == now
        if self.happens(10):
            raise ValueError("an observer")
        if self.happens(10):
            with self.realm.write():
                self.promised.add(self.make(f"observer {len(now)} {self.random.random()}"))

    async def awaits(self, name: str) -> str | None:
        async with self.realm.write_async() as transaction:
            self.make(name)
            await asyncio.sleep(0.001)
            if self.happens(20):
                transaction.cancel()
                return None
            if self.happens(10):
                raise KeyError(name)
        return name

    def block(self, name: str) -> Callable[[], str]:
        fails = self.happens(15)

        def run() -> str:
            self.make(name)
            if fails:
                raise KeyError(name)
            return name

        return run

    def begin(self, name: str) -> None:
        grouped = self.happens(50)

        def run() -> None:
            self.make(name)
            self.realm.async_commit(lambda error: self.promised.add(name), allow_grouping=grouped)

        self.realm.async_begin(run)

    async def step(self, name: str) -> None:
        kind = self.random.randrange(6)
        if kind == 0:
            future = self.realm.write_soon(self.block(name), allow_grouping=self.happens(70))
            self.waiting.append(asyncio.wrap_future(future))
        elif kind == 1:
            self.waiting.append(asyncio.ensure_future(self.awaits(name)))
        elif kind == 2:
            self.begin(name)
        elif kind == 3:
            await asyncio.sleep(0.002)
        elif not self.realm.in_write:
            realm = self.realm if kind == 4 else self.other
            try:
                with realm.write(timeout=20):
                    self.make(name, realm)
                self.promised.add(name)
            except ValueError:
                assert not realm.in_write

    async def run(self) -> None:
        self.realm.on_callback_error = self.reported.append
        with self.dogs.observe(self.observe):
            for number in range(60):
                await self.step(f"{number}")
            outcomes = await asyncio.gather(*self.waiting, return_exceptions=True)
            while self.realm.has_pending_async_work:
                await asyncio.sleep(0.002)
            self.promised |= {outcome for outcome in outcomes if isinstance(outcome, str)}
            assert {type(each) for each in outcomes} <= {str, type(None), KeyError}
            for _ in range(50):  # observers may write again
                try:
                    if not self.realm.refresh() and len(self.mirror) == len(self.dogs):
                        break
                except ValueError:
                    continue
        assert self.mirror == [dog.name for dog in self.dogs]
        assert set(self.mirror) == self.promised
        assert {type(error) for error in self.reported} <= {ValueError, KeyError}


@pytest.mark.parametrize("seed", range(int(os.environ.get("SYNCLINE_SEEDS", "3"))))
def test_nothing_is_lost_whoever_writes(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog])
        with Realm.open(config) as realm, Realm.open(config) as other:
            await asyncio.wait_for(Mix(realm, other, seed).run(), 60)

    asyncio.run(main())
    with Realm.open(tmp_path / "test.realm", schema=[Dog]) as realm, realm.write(timeout=5):
        assert not realm.is_empty
