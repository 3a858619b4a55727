"""Random transactions that are valid on a given state, for every kind of operation and type.

A driver that knows its peers only by their dumps asks for the next transaction with :func:`random_transaction`. A
:class:`~syncline.testing.domains.Domain` says what may occur: few objects, keys and values, so that concurrent
transactions meet; :func:`~syncline.testing.domains.focused` makes them meet often.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.changesets.json_form import key_to_json, text_to_json
from syncline.testing.choices import BytesChoices, Choices, pick_weighted
from syncline.testing.domains import KEYS, STANDARD, Domain, focused
from syncline.testing.model import Model, ModelError
from syncline.testing.model.schema import TYPE_NAMES, ClassDef, PropertyDef
from syncline.testing.model.state import Place, element_rules
from syncline.testing.model.values import Dictionary, Embedded, Fields, List, Scalar, Set, Value
from syncline.values import GlobalKey, Key, kinds

__all__ = ["STANDARD", "Domain", "Writer", "focused", "random_transaction"]

Json: TypeAlias = Any
Operation: TypeAlias = "dict[str, Json]"

#: Stands for this file in the model, where new objects without primary key get keys that no peer has.
_NOBODY: Final = 0x3FFF_FFFF
#: Which types values in a Mixed have.
_MIXED_WEIGHTS: Final = {"int": 6, "string": 4, "bool": 1, "double": 1, "float": 1, "decimal": 1, "binary": 1} | {
    "timestamp": 1,
    "objectid": 1,
    "uuid": 1,
}
_REMOVAL_WEIGHTS: Final = {"erase_prop": 2, "erase_class": 1, "restore": 3}


def random_transaction(choices: Choices, domain: Domain, dump: Mapping[str, Json], operations: int) -> list[Operation]:
    """Operations that are valid one after the other on the state that ``dump`` shows.

    The state may hide more than the dump shows (links to objects that were erased elsewhere): they are valid all the
    same. Objects without primary key that the transaction makes are not used in it: their keys are not known.

    Parameters:
        choices: where the decisions come from.
        domain: what may occur.
        dump: canonical dump of the state before (``{"schema": …, "objects": …}``); one without classes gives a
            transaction that creates the schema of ``domain``.
        operations: how many. Fewer are made where the domain leaves nothing to do.
    """
    if not dump["schema"]:
        return [{"op": "schema", "classes": list(domain.classes)}]
    writer = Writer(domain, dump)
    made = [writer.operation(choices) for _ in range(operations)]
    return [operation for operation in made if operation is not None]


class _Where(NamedTuple):
    """A place as operations name it, and as the model has it."""

    table: str
    key: Json
    path: tuple[Json, ...]
    place: Place

    def operation(self, name: str, **operands: Json) -> Operation:
        return {"op": name, "class": self.table, "obj": self.key, "path": list(self.path), **operands}


class Writer:
    """Chooses operations and carries them out on a model of the state."""

    def __init__(self, domain: Domain, dump: Mapping[str, Json]) -> None:
        asymmetric = {form["name"] for form in (*domain.classes, *domain.additions) if form.get("asymmetric")}
        self.domain = domain
        self.model = Model.of(dump, ident=_NOBODY, asymmetric=asymmetric)
        self.state = self.model.state
        self.known = {name: set(objects) for name, objects in self.state.objects.items()}
        self.choices: Choices = BytesChoices(b"")
        self.weights = {**domain.weights, **(_REMOVAL_WEIGHTS if domain.schema_removal else {})}

    def operation(self, choices: Choices) -> Operation | None:
        """The next operation, carried out on the model; None if there is nothing to do."""
        self.choices = choices
        first = pick_weighted(self.choices, self.weights)
        for name in dict.fromkeys((first, "change", "create", "schema")):
            operation: Operation | None = getattr(self, name)()
            if operation is not None:
                self.model.execute(operation)
                return operation
        return None

    # --- objects ----------------------------------------------------------------------------------------------------

    def create(self) -> Operation | None:
        """Create an object, or find one with that key, and set some of its properties."""
        classes = [info for info in self.state.classes.values() if not info.embedded and self.in_focus(info.name)]
        if not classes:
            return None
        info = self.choices.pick(classes)
        operation: Operation = {"op": "create", "class": text_to_json(info.name)}
        if info.primary_key is not None:
            keys = list(KEYS[TYPE_NAMES[info.primary_key.type]][: self.domain.keys])
            operation["pk"] = self.choices.pick([*keys, None] if info.primary_key.nullable else keys)
        for part, percent in (("values", 60), ("defaults", 20)):
            if self.choices.chance(percent):
                operation[part] = self.properties(info, 0, info.kind != kinds.ASYMMETRIC)
        return operation

    def properties(self, info: ClassDef, depth: int, links: bool) -> dict[str, Json]:
        """Values for some properties of a new object."""
        values = {}
        props = self.usable(info)
        for _ in range(self.choices.integer(0, 3) if props else 0):
            prop = self.choices.pick(props)
            values[prop.name] = self.content(prop, depth, links)
        return values

    def usable(self, info: ClassDef) -> list[PropertyDef]:
        """The properties to work with."""
        focus = self.domain.focus
        wanted = focus[info.name] if focus is not None and info.name in focus else info.properties
        return [
            prop
            for prop in info.properties.values()
            if prop.name in wanted
            and (
                self.domain.embedded_dictionaries
                or prop.collection != kinds.DICTIONARY_COLLECTION
                or not self.holds_embedded(prop)
            )
        ]

    def in_focus(self, name: str) -> bool:
        """May objects of the class be used?"""
        focus = self.domain.focus
        return focus is None or name in focus or all(form["name"] != name for form in self.domain.classes)

    def holds_embedded(self, rules: PropertyDef) -> bool:
        """Do embedded objects stand there?"""
        return rules.type == kinds.LINK and self.state.classes[rules.target or ""].embedded

    def objects(self, table: str) -> list[Key]:
        """Keys of objects that can be named: those of which the key is known."""
        return [key for key in self.state.objects[table] if not isinstance(key, GlobalKey) or key.hi != _NOBODY]

    def erase(self) -> Operation | None:
        """Erase an object that was there before the transaction: a new one may have brought back hidden links."""
        found = [
            (name, key) for name, keys in self.known.items() for key in keys & self.state.objects.get(name, {}).keys()
        ]
        if not found:
            return None
        name, key = self.choices.pick(sorted(found, key=repr))
        return {"op": "erase", "class": text_to_json(name), "obj": key_to_json(key)}

    def clear_class(self) -> Operation | None:
        """Erase all objects of a class, or all embedded objects of it."""
        names = [name for name, info in self.state.classes.items() if info.embedded or self.cleared(name)]
        return {"op": "clear_class", "class": text_to_json(self.choices.pick(names))} if names else None

    def cleared(self, name: str) -> bool:
        objects = self.state.objects[name].keys()
        return bool(objects) and objects <= self.known.get(name, set())

    # --- schema -----------------------------------------------------------------------------------------------------

    def schema(self) -> Operation | None:
        """Add a class or property of ``domain.additions``."""
        return self.addition([*self.domain.additions])

    def restore(self) -> Operation | None:
        """Add a class or property again that was erased."""
        return self.addition([*self.domain.classes])

    def addition(self, forms: list[Json]) -> Operation | None:
        """Create a class that is missing, with its properties, or a missing property of one that exists."""
        found = []
        for form in forms:
            info = self.state.classes.get(form["name"])
            props = [
                prop for prop in form.get("props", ()) if prop.get("target", form["name"]) in self.known_classes(form)
            ]
            if info is None and ("pk" in form or form.get("embedded") or form in self.domain.classes):
                found.append({**form, "props": props})
            elif info is not None:
                missing = [prop for prop in props if prop["name"] not in info.properties]
                found += [{"name": form["name"], "props": [prop]} for prop in missing]
        return {"op": "schema", "classes": [self.choices.pick(found)]} if found else None

    def known_classes(self, form: Json) -> set[str]:
        return {*self.state.classes, form["name"]}

    def erase_prop(self) -> Operation | None:
        """Erase a property, with its values."""
        found = [(name, prop.name) for name, info in self.state.classes.items() for prop in self.usable(info)]
        if not found:
            return None
        name, prop = self.choices.pick(found)
        return {"op": "erase_prop", "class": text_to_json(name), "prop": text_to_json(prop)}

    def erase_class(self) -> Operation | None:
        """Erase a class that nothing links to."""
        found = []
        for name in self.state.classes:
            operation = {"op": "erase_class", "class": text_to_json(name)}
            if self.is_possible(operation):
                found.append(operation)
        return self.choices.pick(found) if found else None

    def is_possible(self, operation: Operation) -> bool:
        """Does the model accept it?"""
        try:
            self.model.copy().execute(operation)
        except ModelError:
            return False
        return True

    # --- changing what an object holds ------------------------------------------------------------------------------

    def change(self) -> Operation | None:
        """Change something in an object that exists."""
        tables = [table for table in self.state.objects if self.objects(table) and self.changeable(table)]
        if not tables:
            return None
        info = self.state.classes[self.choices.pick(tables)]
        key = self.choices.pick(self.objects(info.name))
        place = self.pick_property(self.state.objects[info.name][key])
        where = _Where(text_to_json(info.name), key_to_json(key), (text_to_json(place.rules.name),), place)
        return self.change_place(where)

    def pick_property(self, fields: Fields) -> Place:
        """A property of an object to change: rather one that there is something in, plain ones more seldom."""
        weights = {}
        for prop in self.usable(self.state.class_of(fields)):
            plain = prop.collection == kinds.SINGLE_COLLECTION and not self.has_inside(prop)
            weights[prop] = 1 if plain else 3 + 7 * richness(fields[prop.name])
        prop = pick_weighted(self.choices, weights)
        return Place(fields, prop.name, prop)

    def changeable(self, table: str) -> bool:
        return self.state.classes[table].kind != kinds.ASYMMETRIC and bool(self.usable(self.state.classes[table]))

    def change_place(self, where: _Where) -> Operation:
        """Change what stands at a place, or something inside it."""
        held = where.place.get()
        own = where.place.is_property and where.place.rules.collection != kinds.SINGLE_COLLECTION
        inside = own or (not isinstance(held, Scalar) and not self.choices.chance(20))
        if isinstance(held, Embedded) and inside:
            if self.usable(self.state.class_of(held)):
                place = self.pick_property(held)
                return self.change_place(self.enter(where, text_to_json(place.rules.name), place))
        elif isinstance(held, List) and inside:
            return self.change_list(where, held)
        elif isinstance(held, Dictionary) and inside:
            return self.change_dictionary(where, held)
        elif isinstance(held, Set):
            return self.change_set(where, held)
        elif (
            isinstance(held, Scalar) and held.kind == kinds.INT and where.place.is_property and self.choices.chance(40)
        ):
            return where.operation("add_int", value=self.choices.pick(self.domain.values["int"]))
        return self.set_value(where)

    def enter(self, where: _Where, step: Json, place: Place) -> _Where:
        return _Where(where.table, where.key, (*where.path, step), place)

    def set_value(self, where: _Where) -> Operation:
        """Set a property, an element or an entry."""
        operation = where.operation("set", value=self.content(where.place.rules, len(where.path)))
        if where.place.is_property and self.choices.chance(10):
            operation["is_default"] = True
        return operation

    def change_list(self, where: _Where, elements: List) -> Operation:
        """Change a list, or something in an element of it. Indices given are those that show."""
        rules = element_rules(where.place)
        shown = [at for at, element in enumerate(elements) if not self.state.hidden(rules, element)]
        size = len(shown)
        nested = [index for index in range(size) if not isinstance(elements[shown[index]], Scalar)]
        fillable = self.is_fillable(rules)
        weights = {"list_insert": 6 if fillable and size < self.domain.max_size else 0, "list_clear": 1}
        if size:
            weights |= {"list_erase": 2, "list_set": 2 * fillable, "inside": 1 * self.has_inside(rules)}
            weights["nested"] = 8 if nested else 0
            weights["list_move"] = 3 if size > 1 and self.may_move(rules) else 0
        name = pick_weighted(self.choices, weights)
        if name == "list_clear":
            return where.operation(name)
        if name == "list_insert":
            index = self.choices.integer(0, size)
            value = self.content(rules, len(where.path) + 1)
            if index == size and self.choices.chance(50):
                return where.operation(name, value=value)
            return where.operation(name, index=index, value=value)
        if name == "nested":
            index = self.choices.pick(nested)
            return self.change_place(self.enter(where, index, Place(elements, shown[index], rules)))
        index = self.choices.integer(0, size - 1)
        if name == "list_move":
            other = self.choices.integer(0, size - 2)
            return where.operation(name, **{"from": index, "to": other + (other >= index)})
        if name == "list_set":
            return where.operation(name, index=index, value=self.content(rules, len(where.path) + 1))
        if name == "list_erase":
            return where.operation(name, index=index)
        return self.change_place(self.enter(where, index, Place(elements, shown[index], rules)))

    def has_inside(self, rules: PropertyDef) -> bool:
        """Can there be something in an element?"""
        return rules.type == kinds.MIXED or self.holds_embedded(rules)

    def is_fillable(self, rules: PropertyDef) -> bool:
        """Is there anything that could stand there?"""
        return (
            rules.type != kinds.LINK
            or rules.nullable
            or self.holds_embedded(rules)
            or bool(self.objects(rules.target or ""))
        )

    def may_move(self, rules: PropertyDef) -> bool:
        return self.domain.nested_moves or not self.has_inside(rules)

    def change_dictionary(self, where: _Where, entries: Dictionary) -> Operation:
        """Change a dictionary, or something in an entry of it."""
        rules = element_rules(where.place)
        nested = [key for key, held in entries.items() if not isinstance(held, Scalar)]
        weights = {"dict_set": 4, "inside": 8 if nested else 0, "dict_erase": 2, "dict_clear": 1}
        name = pick_weighted(self.choices, weights)
        if name == "dict_clear":
            return where.operation(name)
        key = self.choices.pick(nested if name == "inside" else self.domain.entries)
        if name == "dict_erase":
            return where.operation(name, key=key)
        if name == "inside":
            return self.change_place(self.enter(where, text_to_json(key), Place(entries, key, rules)))
        return where.operation("dict_set", key=key, value=self.content(rules, len(where.path) + 1))

    def change_set(self, where: _Where, members: Set) -> Operation:
        rules = element_rules(where.place)
        fillable = self.is_fillable(rules)
        insertable = fillable and len(members) < self.domain.max_size
        name = pick_weighted(self.choices, {"set_insert": 5 * insertable, "set_erase": 4 * fillable, "set_clear": 1})
        if name == "set_clear":
            return where.operation(name)
        return where.operation(name, value=self.scalar(rules))

    # --- values -----------------------------------------------------------------------------------------------------

    def content(self, rules: PropertyDef, depth: int, links: bool = True) -> Json:
        """A value for a place: plain, an embedded object, a collection with elements."""
        if rules.collection != kinds.SINGLE_COLLECTION:
            return self.elements(rules, depth, links)
        if self.holds_embedded(rules):
            if rules.nullable and self.choices.chance(20):
                return None
            embedded = self.state.classes[rules.target or ""]
            return {"obj": self.properties(embedded, depth + 1, links) if depth < 4 else {}}
        if rules.type == kinds.MIXED and depth <= self.domain.max_depth and self.choices.chance(35):
            collection = self.choices.pick((kinds.LIST_COLLECTION, kinds.DICTIONARY_COLLECTION))
            return self.elements(rules._replace(collection=collection), depth + 1, links)
        return self.scalar(rules, links)

    def elements(self, rules: PropertyDef, depth: int, links: bool) -> Json:
        """A collection with up to two elements."""
        element = rules._replace(collection=kinds.SINGLE_COLLECTION)
        count = self.choices.integer(0, 2) if self.is_fillable(element) else 0
        if rules.collection == kinds.SET_COLLECTION:
            return {"set": [self.scalar(element, links) for _ in range(count)]}
        if rules.collection == kinds.LIST_COLLECTION:
            return {"list": [self.content(element, depth + 1, links) for _ in range(count)]}
        return {"dict": {key: self.content(element, depth + 1, links) for key in self.domain.entries[:count]}}

    def scalar(self, rules: PropertyDef, links: bool = True) -> Json:
        """A plain value: null, a link, or one of the type."""
        if rules.nullable and self.choices.chance(15):
            return None
        if rules.type == kinds.LINK:
            return self.link([rules.target or ""])
        if rules.type == kinds.MIXED:
            if links and self.choices.chance(25):
                return self.link([name for name, info in self.state.classes.items() if info.kind == kinds.TOP_LEVEL])
            return self.choices.pick(self.domain.values[pick_weighted(self.choices, _MIXED_WEIGHTS)])
        return self.choices.pick(self.domain.values[TYPE_NAMES[rules.type]])

    def link(self, tables: list[str]) -> Json:
        """A link to an object of one of the classes; null if there is none."""
        targets = [(table, key) for table in tables for key in self.objects(table)]
        if not targets:
            return None
        table, key = self.choices.pick(targets)
        return {"link": [text_to_json(table), key_to_json(key)]}


def richness(value: Value) -> int:
    """How much there is inside: 0 nothing, 1 plain values, 2 collections or embedded objects with something inside."""
    if isinstance(value, Scalar) or not value:
        return 0
    if isinstance(value, Embedded):
        return 2
    return (
        2 if any(not isinstance(held, Scalar) for held in (value if isinstance(value, List) else value.values())) else 1
    )
