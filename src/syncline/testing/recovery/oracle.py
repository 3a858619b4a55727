"""What must be there after a recovery, from the states before it alone (spec/sessions.md §12.11, *Net rules*).

It knows nothing of instructions and indexes. Every text is written once (``writing``), so it is enough to look where a
text turns up again. The rules, by number:

1. Objects: what the application created last is there, what it deleted last is not, otherwise as on the server.
2. A text that the application wrote and still has is at its place afterwards; or the server removed what it was in (an
   object, an embedded object, an entry, a collection), and the report names the place.
3. A text that the application removed is not there any more.
4. What the application did not touch, nor changed by deleting or creating what it links to, is as on the server.
5. Where it only inserted into a list, everything is there that the server's list has.
6. Of a property with one value the application's is there; a link to what the server deleted is null and reported.
   Additions to a number are added to the server's.
7. Links in lists that the application inserted are there, or their target is not and the report names the list.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.changesets.describe import key_text
from syncline.changesets.json_form import key_from_json
from syncline.storage.dump import compact
from syncline.testing.recovery.writing import PREFIX

__all__ = ["Object", "Reset", "object_of", "objects_of", "violations"]

Json: TypeAlias = Any
#: An object: class and key, as canonical text.
Object: TypeAlias = tuple[str, str]
#: A place: object, property, then names and keys up to the first list.
Place: TypeAlias = tuple[Object, str, tuple[str, ...]]

_WRAP: Final = 1 << 64
#: Types of properties with one value that holds no others.
_SINGLE: Final = ("string", "string?", "link:Item", "link:Loose")


class Reset(NamedTuple):
    """One recovery. All states are canonical dumps.

    ``base``: what both sides had; ``local``, ``fresh``: what each side made of it; ``final``: the result.
    ``operations``: of the application, in order; ``events``: which objects it made (True) and deleted; ``lost``: the
    places that the report names.
    """

    base: Json
    local: Json
    fresh: Json
    final: Json
    operations: Sequence[Json]
    events: Sequence[tuple[Object, bool]]
    lost: Sequence[str]


def violations(reset: Reset) -> list[str]:
    """Which rules do not hold, and where."""
    return list(_Check(reset).run())


class _Check:
    def __init__(self, reset: Reset) -> None:
        self.reset = reset
        self.base, self.local = objects_of(reset.base), objects_of(reset.local)
        self.fresh, self.final = objects_of(reset.fresh), objects_of(reset.final)
        self.came = dict(reset.events)
        self.erased = {one for one, created in reset.events if not created}
        self.schema = reset.final["schema"]
        self.touched: dict[tuple[Object, str], list[Json]] = {}
        self.clears_embedded = False
        for operation in reset.operations:
            self._note(operation)

    def _note(self, operation: Json) -> None:
        """Which properties an operation touches."""
        if operation["op"] == "clear_class" and self.schema[operation["class"]]["embedded"]:
            self.clears_embedded = True
        if operation["op"] == "create" and "pk" in operation:
            for name in {**operation.get("values", {}), **operation.get("defaults", {})}:
                set_it = {"op": "set", "path": [name]}
                self.touched.setdefault((object_of(operation["class"], operation["pk"]), name), []).append(set_it)
        elif "path" in operation:
            place = object_of(operation["class"], operation["obj"]), operation["path"][0]
            self.touched.setdefault(place, []).append(operation)

    def run(self) -> Iterator[str]:
        yield from self.rule_1()
        for found in (self.rule_2(), self.rule_3()):
            yield from found
        for one, values in self.final.items():
            for name, value in values.items():
                if one in self.fresh:
                    yield from self.property(one, name, value)

    def reported(self, one: Object, name: str) -> bool:
        """Does the report name the property?"""
        table, key = one
        place = re.escape(f"{table}{key_text(key_from_json(_parsed(key)))}.{name}")
        return any(re.search(rf"\b{place}(?!\w)", what) for what in self.reset.lost)

    # --- objects and texts --------------------------------------------------------------------------------------------

    def rule_1(self) -> Iterator[str]:
        expected = {one for one in self.fresh.keys() | self.came.keys() if self.came.get(one, one in self.fresh)}
        for one in sorted(expected ^ self.final.keys()):
            yield f"1: {one} is {'missing' if one in expected else 'there'}"

    def rule_2(self) -> Iterator[str]:
        there = set(_texts(self.final))
        for place, text in _texts(self.local):
            if text.startswith(PREFIX + "l") and (place, text) not in there and not self.is_excused(place):
                yield f"2: {text} is lost: {place}, reported: {self.reported(place[0], place[1])}"

    def is_excused(self, place: Place) -> bool:
        """Did the server remove what the application changed something in, and does the report say so?"""
        one, name, steps = place
        if not self.reported(one, name):
            return False
        if one not in self.fresh:
            return one not in self.final
        return any(
            _shape(self.base.get(one), name, steps[:end]) not in (None, _shape(self.fresh[one], name, steps[:end]))
            for end in range(len(steps) + 1)
        )

    def rule_3(self) -> Iterator[str]:
        kept, there = set(_texts(self.local)), set(_texts(self.final))
        for place, text in _texts(self.base):
            if (place, text) not in kept and (place, text) in there:
                yield f"3: {text} is back: {place}"

    # --- properties ---------------------------------------------------------------------------------------------------

    def property(self, one: Object, name: str, value: Json) -> Iterator[str]:
        """Rules 4 to 7, of an object that both the server and the result have."""
        if one in self.erased or one not in self.local:
            return
        form = self.schema[one[0]]["props"][name]
        operations = self.touched.get((one, name))
        fresh = self.fresh[one].get(name)
        local = self.local.get(one, {}).get(name)
        if operations is None:
            if name in self.fresh[one] and self.is_untouched(one, name) and self.untied(value) != self.untied(fresh):
                yield f"4: {one}.{name} is {value}, not {fresh}"
        elif form.endswith("[]"):
            yield from self.list(one, name, value["list"])
        elif form == "int?":
            yield from self.number(one, name, value, operations)
        elif form in _SINGLE and value != local:
            is_told = value is None and self.is_dead(local) and self.reported(one, name)
            if not is_told:
                yield f"6: {one}.{name} is {value}, not {local}"

    def is_untouched(self, one: Object, name: str) -> bool:
        """Did no operation that names other objects or a class change the property?"""
        if one in self.came or (self.clears_embedded and "Part" in self.schema[one[0]]["props"][name]):
            return False
        held = (side.get(one, {}).get(name) for side in (self.base, self.local))
        return all(self.untied(value) == value for value in held)

    def list(self, one: Object, name: str, value: list[Json]) -> Iterator[str]:
        base = self.base.get(one, {}).get(name, {"list": []})["list"]
        local = self.local[one][name]["list"]
        fresh = self.fresh[one].get(name, {"list": []})["list"]
        operations = self.touched[one, name]
        only_inserted = all(each["op"] == "list_insert" and len(each["path"]) == 1 for each in operations)
        if only_inserted and self.is_untouched(one, name):
            wanted, found = (Counter(_texts_in(each)) for each in (fresh, value))
            if wanted - found:
                yield f"5: {one}.{name} lacks {wanted - found}"
        if "link:" not in self.schema[one[0]]["props"][name] or "Part" in self.schema[one[0]]["props"][name]:
            return
        written = Counter(map(compact, local)) - Counter(map(compact, base))
        alive = Counter({text: count for text, count in written.items() if not self.is_dead(_parsed(text))})
        if alive - Counter(map(compact, value)):
            yield f"7: {one}.{name} lacks {alive - Counter(map(compact, value))}"
        if alive != written and not self.reported(one, name):
            yield f"7: {one}.{name}: no word about {written - alive}"

    def number(self, one: Object, name: str, value: Json, operations: Sequence[Json]) -> Iterator[str]:
        wanted = self.fresh[one].get(name)
        if any(each["op"] == "set" for each in operations):
            wanted = self.local[one][name]
        elif wanted is None:
            if not self.reported(one, name):
                yield f"6: {one}.{name}: no word about what was added"
        else:
            number = wanted["int"] + sum(each["value"]["int"] for each in operations)
            wanted = {"int": (number + _WRAP // 2) % _WRAP - _WRAP // 2}
        if value != wanted:
            yield f"6: {one}.{name} is {value}, not {wanted}"

    # --- links --------------------------------------------------------------------------------------------------------

    def is_dead(self, value: Json) -> bool:
        """Is it a link to an object that is not there?"""
        return isinstance(value, dict) and "link" in value and object_of(*value["link"]) not in self.final

    def untied(self, value: Json) -> Json:
        """A value without links to objects that the application created or deleted; those may come and go."""
        if isinstance(value, list):
            return [self.untied(each) for each in value if not self.is_moving(each)]
        if not isinstance(value, dict) or "link" in value:
            return None if self.is_moving(value) else value
        if "obj" in value:  # properties that only the application added hold nothing there
            known = self.reset.fresh["schema"]["Part"]["props"]
            return {"obj": {key: self.untied(each) for key, each in value["obj"].items() if key in known}}
        return {key: self.untied(each) for key, each in value.items()}

    def is_moving(self, value: Json) -> bool:
        return isinstance(value, dict) and "link" in value and object_of(*value["link"]) in self.came


# --- reading dumps ----------------------------------------------------------------------------------------------------


def object_of(table: str, key: Json) -> Object:
    """An object as the rules name it."""
    return table, compact(key)


def _parsed(text: str) -> Json:
    return json.loads(text)


def objects_of(dump: Json) -> dict[Object, dict[str, Json]]:
    """The properties of all objects of a dump."""
    return {object_of(table, form["key"]): form["props"] for table, forms in dump["objects"].items() for form in forms}


def _texts(objects: Mapping[Object, dict[str, Json]]) -> Iterator[tuple[Place, str]]:
    """Every unique text, and where it is."""
    for one, values in objects.items():
        for name, value in values.items():
            yield from _texts_at((one, name, ()), value, inside_list=False)


def _texts_at(place: Place, value: Json, inside_list: bool) -> Iterator[tuple[Place, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _texts_at(place, each, inside_list=True)
    elif isinstance(value, dict):
        if isinstance(text := value.get("str"), str) and text.startswith(PREFIX):
            yield place, text
        for shape in ("obj", "dict"):
            for key, each in value.get(shape, {}).items():
                inner = place if inside_list else (place[0], place[1], (*place[2], key))
                yield from _texts_at(inner, each, inside_list)
        for shape in ("list", "set"):
            yield from _texts_at(place, value.get(shape, []), inside_list=True)


def _texts_in(value: Json) -> Iterator[str]:
    for _, text in _texts_at((("", ""), "", ()), value, inside_list=True):
        yield text


def _shape(values: Mapping[str, Json] | None, name: str, steps: Sequence[str]) -> str | None:
    """What is at a place: ``obj``, ``dict``, ``list``, ``set``, ``""`` for anything else, None for nothing."""
    value: Json = None if values is None else values.get(name)
    for step in steps:
        held = value.get("obj", value.get("dict")) if isinstance(value, dict) else None
        value = held.get(step) if held is not None else None
    if value is None:
        return None
    return next((shape for shape in ("obj", "dict", "list", "set") if shape in value), "")
