"""Random transactions in which every text is written only once: it is known again wherever it turns up.

The schema has each kind of place: properties, lists, sets, dictionaries, values in a Mixed, embedded objects, links,
objects without primary key. Texts are the only values, but for ``count``, to which is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from syncline.testing.choices import Choices
from syncline.testing.domains import Domain, focused, properties
from syncline.testing.model.schema import PropertyDef
from syncline.testing.random_operations import Writer
from syncline.values import kinds

__all__ = ["DOMAIN", "PREFIX", "UniqueWriter", "narrowed"]

Json: TypeAlias = Any

#: What every text written here begins with, before the letter of its side and a number.
PREFIX: Final = "~"


_CLASSES: Final[tuple[Json, ...]] = (
    {
        "name": "Part",
        "embedded": True,
        "props": properties(
            text="string?",
            any="mixed",
            texts="string[]",
            sub="link:Part",
            items="link:Item[]",
            item_set="link:Item<>",
            subs="link:Part{}",
        ),
    },
    {
        "name": "Item",
        "pk": {"name": "_id", "type": "int"},
        "props": properties(
            name="string?",
            count="int?",
            any="mixed",
            item="link:Item",
            part="link:Part",
            texts="string?[]",
            anys="mixed[]",
            items="link:Item[]",
            parts="link:Part[]",
            text_set="string<>",
            item_set="link:Item<>",
            text_map="string?{}",
            any_map="mixed{}",
            item_map="link:Item{}",
            part_map="link:Part{}",
        ),
    },
    {"name": "Loose", "props": properties(text="string", any="mixed", items="link:Item[]", other="link:Loose")},
)
_ADDITIONS: Final[tuple[Json, ...]] = (
    {"name": "Item", "props": properties(more="mixed[]", nick="string?")},
    {"name": "Note", "pk": {"name": "_id", "type": "string"}, "props": properties(text="string", about="link:Item[]")},
    {"name": "Part", "props": properties(lines="string[]")},
)

DOMAIN: Final = Domain(
    _CLASSES, _ADDITIONS, weights={"change": 100, "create": 12, "erase": 6, "clear_class": 1, "schema": 3}, keys=4
)


def narrowed(choices: Choices) -> Domain:
    """A part of :data:`DOMAIN`, so that both sides meet; sometimes the whole; sometimes links whose targets go."""
    if choices.chance(15):
        return DOMAIN
    if choices.chance(30):
        properties = [choices.pick(("items", "any", "item_map", "anys")), "items"]
        weights = {**DOMAIN.weights, "create": 25, "erase": 20}
        return replace(DOMAIN, focus={"Item": properties}, weights=weights, max_size=6)
    domain = focused(choices, DOMAIN, choices.integer(1, 3))
    focus = {name: list(properties) for name, properties in (domain.focus or {}).items()}
    focus.setdefault("Item", []).append(choices.pick(("name", "count", "item", "texts")))
    return replace(domain, focus=focus, keys=choices.integer(2, 4))


class UniqueWriter(Writer):
    """Chooses operations whose texts nobody else writes, and notes which objects come and go.

    Parameters:
        side: a letter, the first of each text.
        numbers: how many texts the side has written: a list of one number, which grows.
    """

    def __init__(self, domain: Domain, dump: Mapping[str, Json], side: str, numbers: list[int]) -> None:
        super().__init__(domain, dump)
        self._side = side
        self._numbers = numbers
        #: class and key of objects with a primary key, and whether they came, in order
        self.events: list[tuple[str, Json, bool]] = []

    def operation(self, choices: Choices) -> Json:
        """See :meth:`Writer.operation`."""
        before = self._objects()
        made = super().operation(choices)
        after = self._objects()
        self.events += [(*one, False) for one in sorted(before - after, key=repr)]
        self.events += [(*one, True) for one in sorted(after - before, key=repr)]
        return made

    def _objects(self) -> set[tuple[str, Json]]:
        classes = self.state.classes
        return {
            (name, key)
            for name, objects in self.state.objects.items()
            if classes[name].primary_key is not None
            for key in objects
        }

    # null by default is not recorded where null is: nobody can tell afterwards, so it is not written

    def create(self) -> Json:
        """See :meth:`Writer.create`."""
        operation = super().create()
        if operation is not None and "defaults" in operation:
            operation["defaults"] = {name: value for name, value in operation["defaults"].items() if value is not None}
        return operation

    def set_value(self, where: Any) -> Json:
        """See :meth:`Writer.set_value`."""
        operation = super().set_value(where)
        if operation["value"] is None:
            operation.pop("is_default", None)
        return operation

    def scalar(self, rules: PropertyDef, links: bool = True) -> Json:
        """A new text, a link, null, or a small number to which may be added."""
        if rules.type == kinds.INT:
            return {"int": self.choices.integer(0, 9)}
        if rules.type not in (kinds.STRING, kinds.MIXED) or self.choices.chance(10 if rules.nullable else 0):
            return super().scalar(rules, links) if rules.type == kinds.LINK else None
        if rules.type == kinds.MIXED and links and self.choices.chance(20):
            return self.link([name for name, info in self.state.classes.items() if not info.embedded])
        self._numbers[0] += 1
        return {"str": f"{PREFIX}{self._side}{self._numbers[0]}"}
