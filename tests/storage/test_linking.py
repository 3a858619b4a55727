"""Who links to any of many objects: in one query what one query for each finds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.conftest import open_realm as open_realm

from syncline import Dictionary, EmbeddedModel, List, Model, Set
from syncline.storage import linking as module
from syncline.storage.linking import linking


class Part(EmbeddedModel):
    of: "Dog | None"  # noqa: UP037 - a class further down


class Dog(Model):
    number: int
    best: "Dog | None"  # noqa: UP037 - the class itself
    friends: List["Dog"]  # noqa: UP037
    pack: Set["Dog"]  # noqa: UP037
    roles: Dictionary["Dog | None"]  # noqa: UP037
    extra: Any = None
    part: Part | None
    parts: List[Part]


def test_many_at_once_are_each_of_them(open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch) -> None:
    realm, choose = open_realm(Dog, Part), random.Random(7)
    with realm.write():
        dogs = [realm.create(Dog, number=number) for number in range(60)]
        for each in dogs:
            a, b, c = choose.sample(dogs, 3)
            each.best, each.friends, each.pack = a, [a, b, a], {b, c}  # type: ignore[assignment]
            each.roles, each.extra = {"x": c, "y": None}, [a, {"z": b}]  # type: ignore[assignment]
            each.part, each.parts = Part(of=a), [Part(of=b), Part(of=c)]  # type: ignore[assignment,call-arg]
        for gone in dogs[:5]:
            realm.delete(gone)
    context = realm._context
    reader = context.reader()
    (info,) = (info for info in reader.catalogue.classes.values() if info.name == "Dog")
    (part,) = (info for info in reader.catalogue.classes.values() if info.name == "Part")
    every = list(range(60))
    compared = 0
    for owner in (info, part):
        for prop in owner.properties.values():
            target = reader.catalogue.by_id.get(prop.target_id, info if prop.name == "extra" else None)
            if target is None:
                continue
            for keys in (every, choose.sample(every, 30), []):
                at_once = linking(reader, target, keys, prop)
                with monkeypatch.context() as patched:
                    patched.setattr(module, "_FEW", 1000)
                    assert at_once == linking(reader, target, keys, prop), (prop.name, keys)
                compared += bool(at_once)
    assert compared >= 2 * 8
