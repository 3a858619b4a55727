"""Operations described in JSON, carried out on a write transaction (tests/vectors/README.md, *Operations*).

One operation is an object with ``op`` and its operands. The vector runner replays the recorded ones with this module,
and the drivable peer (tests/vectors/PEER.md) executes those it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.changesets.json_form import key_from_json, key_to_json, payload_from_json, text_from_json
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Float32, Key, Link, kinds

__all__ = ["OPERATION_NAMES", "OperationError", "Operations", "execute", "execute_all"]

Json: TypeAlias = Any
Operation: TypeAlias = "Mapping[str, Json]"
#: What an operation reports: ``key`` and ``created`` of an object, ``changed`` of set and dictionary operations.
Result: TypeAlias = "dict[str, Json]"

_TYPES: Final[dict[str, int]] = {
    "int": kinds.INT,
    "bool": kinds.BOOL,
    "string": kinds.STRING,
    "binary": kinds.BINARY,
    "timestamp": kinds.TIMESTAMP,
    "float": kinds.FLOAT,
    "double": kinds.DOUBLE,
    "decimal": kinds.DECIMAL,
    "link": kinds.LINK,
    "objectid": kinds.OBJECT_ID,
    "uuid": kinds.UUID,
    "mixed": kinds.MIXED,
}
_COLLECTIONS: Final[dict[str, int]] = {
    "list": kinds.LIST_COLLECTION,
    "dict": kinds.DICTIONARY_COLLECTION,
    "set": kinds.SET_COLLECTION,
}


class OperationError(ValueError):
    """An operation that makes no sense: unknown, with a missing or unknown operand, or a path that leads nowhere."""


class _Place(NamedTuple):
    """Where a value stands: a property of an object, a list element, or a dictionary entry.

    ``at`` is the index or the dictionary key in ``collection``; for a property ``collection`` is None.
    """

    cls: ClassInfo | None
    object_key: int
    prop: PropertyInfo | None
    collection: CollectionRef | None
    at: int | str


def execute_all(tx: WriteTransaction, operations: Iterable[Operation]) -> list[Result]:
    """Carry out ``operations`` in order; what each reports. Raises what :func:`execute` raises."""
    return [execute(tx, operation) for operation in operations]


def execute(tx: WriteTransaction, operation: Operation) -> Result:
    """Carry out one operation.

    Raises OperationError for one that makes no sense, RealmError and its kin for what the database refuses, ValueError
    for values that are none. What was done before the error stays: use ``tx.savepoint()`` or roll back.
    """
    return Operations(tx).execute(operation)


class Operations:
    """The operations on one transaction; each method is one ``op``."""

    def __init__(self, tx: WriteTransaction) -> None:
        self._tx = tx

    def execute(self, operation: Operation) -> Result:
        """Carry out ``operation``; see :func:`execute`."""
        name = operation.get("op")
        entry = _OPERATIONS.get(name) if isinstance(name, str) else None
        if entry is None:
            raise OperationError(f"unknown operation {name!r}")
        method, required, optional = entry
        operands = operation.keys() - {"op"}
        if missing := required - operands:
            raise OperationError(f"{name} needs {', '.join(sorted(missing))}")
        if unknown := operands - required - optional:
            raise OperationError(f"{name} has no operand {', '.join(sorted(unknown))}")
        for operand, kinds_of_it in _OPERANDS.items():
            if operand in operands and type(operation[operand]) not in kinds_of_it:
                wanted = " or ".join(_JSON_NAMES[kind] for kind in kinds_of_it)
                raise OperationError(f"{name}: {operand} must be {wanted}, not {operation[operand]!r:.60}")
        return method(self, operation) or {}

    # --- schema -----------------------------------------------------------------------------------------------------

    def schema(self, operation: Operation) -> None:
        """Create what is missing: all classes in order, then all properties in order."""
        for form in operation["classes"]:
            self._add_class(form)
        for form in operation["classes"]:
            for prop in form.get("props", ()):
                self._add_property(text_from_json(form["name"]), prop)

    def erase_class(self, operation: Operation) -> None:
        self._tx.erase_class(self._class(operation["class"]))

    def erase_prop(self, operation: Operation) -> None:
        cls = self._class(operation["class"])
        self._tx.erase_property(cls, self._property(cls, operation["prop"]))

    def _add_class(self, form: Mapping[str, Json]) -> None:
        name = _name_of(form, _CLASS_FIELDS)
        if form.get("embedded") and form.get("asymmetric"):
            raise OperationError(f"schema: class {name!r} is embedded or asymmetric, not both")
        kind = (
            kinds.EMBEDDED if form.get("embedded") else kinds.ASYMMETRIC if form.get("asymmetric") else kinds.TOP_LEVEL
        )
        key = form.get("pk")
        key_name = "" if key is None else _name_of(key, _KEY_FIELDS)
        if self._tx.catalogue.find(name) is not None:
            return
        if key is None:
            self._tx.add_class(name, kind=kind)
            return
        self._tx.add_class(
            name,
            kind=kind,
            primary_key=key_name,
            key_type=_choice(_TYPES, key, "type"),
            key_nullable=bool(key.get("nullable")),
        )

    def _add_property(self, class_name: str, form: Mapping[str, Json]) -> None:
        self._tx.add_property(
            self._class(class_name),
            _name_of(form, _PROPERTY_FIELDS),
            _choice(_TYPES, form, "type"),
            nullable=bool(form.get("nullable")),
            collection=(
                _choice(_COLLECTIONS, form, "collection") if form.get("collection") else kinds.SINGLE_COLLECTION
            ),
            target=text_from_json(form["target"]) if form.get("target") is not None else None,
        )

    # --- objects ----------------------------------------------------------------------------------------------------

    def create(self, operation: Operation) -> Result:
        """Create an object, then set the defaults, then the values, each in the order of their names."""
        cls = self._class(operation["class"])
        if ("pk" in operation) != (cls.primary_key is not None):
            told = "no primary key: leave 'pk' out" if "pk" in operation else "a primary key: give 'pk'"
            raise OperationError(f"create: class {cls.name!r} has {told}")
        if "pk" in operation:
            object_key, created = self._tx.create(cls, key_from_json(operation["pk"]))
            result: Result = {"created": created}
        else:
            object_key, _ = self._tx.create(cls)
            result = {}
        result["key"] = key_to_json(self._tx.key_of(cls, object_key))
        self._set_properties(cls, object_key, operation.get("defaults", {}), is_default=True)
        self._set_properties(cls, object_key, operation.get("values", {}))
        return result

    def erase(self, operation: Operation) -> None:
        cls = self._class(operation["class"])
        self._tx.erase(cls, self._object(cls, operation["obj"]))

    def clear_class(self, operation: Operation) -> None:
        self._tx.clear_class(self._class(operation["class"]))

    def _set_properties(
        self, cls: ClassInfo, object_key: int, values: Mapping[str, Json], *, is_default: bool = False
    ) -> None:
        for name in sorted(values):
            place = _Place(cls, object_key, self._property(cls, name), None, 0)
            self._put(place, values[name], is_default)

    # --- single values ----------------------------------------------------------------------------------------------

    def set(self, operation: Operation) -> None:
        self._put(self._place(operation), operation["value"], bool(operation.get("is_default")))

    def add_int(self, operation: Operation) -> None:
        place = self._place(operation)
        if place.cls is None or place.prop is None:
            raise OperationError("add_int needs a path to a property")
        kind, value = payload_from_json(operation["value"])
        if kind != kinds.INT or not isinstance(value, int):
            raise OperationError("add_int needs an integer")
        self._tx.add_integer(place.cls, place.object_key, place.prop, value)

    # --- lists ------------------------------------------------------------------------------------------------------

    def list_insert(self, operation: Operation) -> None:
        ref = self._collection(operation, kinds.LIST_COLLECTION)
        index = operation.get("index")
        self._insert(ref, self._tx.size(ref) if index is None else index, operation["value"])

    def list_set(self, operation: Operation) -> None:
        ref = self._collection(operation, kinds.LIST_COLLECTION)
        self._put(_Place(None, 0, None, ref, operation["index"]), operation["value"])

    def list_erase(self, operation: Operation) -> None:
        self._tx.list_erase(self._collection(operation, kinds.LIST_COLLECTION), operation["index"])

    def list_move(self, operation: Operation) -> None:
        ref = self._collection(operation, kinds.LIST_COLLECTION)
        self._tx.list_move(ref, operation["from"], operation["to"])

    def list_clear(self, operation: Operation) -> None:
        self._tx.list_clear(self._collection(operation, kinds.LIST_COLLECTION))

    # --- sets -------------------------------------------------------------------------------------------------------

    def set_insert(self, operation: Operation) -> Result:
        ref = self._collection(operation, kinds.SET_COLLECTION)
        return {"changed": self._tx.set_insert(ref, self._value(operation["value"]))}

    def set_erase(self, operation: Operation) -> Result:
        ref = self._collection(operation, kinds.SET_COLLECTION)
        return {"changed": self._tx.set_erase(ref, self._value(operation["value"]))}

    def set_clear(self, operation: Operation) -> None:
        self._tx.set_clear(self._collection(operation, kinds.SET_COLLECTION))

    # --- dictionaries -----------------------------------------------------------------------------------------------

    def dict_set(self, operation: Operation) -> None:
        ref = self._collection(operation, kinds.DICTIONARY_COLLECTION)
        self._put(_Place(None, 0, None, ref, text_from_json(operation["key"])), operation["value"])

    def dict_erase(self, operation: Operation) -> Result:
        ref = self._collection(operation, kinds.DICTIONARY_COLLECTION)
        return {"changed": self._tx.dict_erase(ref, text_from_json(operation["key"]))}

    def dict_clear(self, operation: Operation) -> None:
        self._tx.dict_clear(self._collection(operation, kinds.DICTIONARY_COLLECTION))

    # --- finding places ---------------------------------------------------------------------------------------------

    def _class(self, form: Json) -> ClassInfo:
        name = text_from_json(form)
        cls = self._tx.catalogue.find(name)
        if cls is None:
            raise OperationError(f"there is no class {name!r}")
        return cls

    def _property(self, cls: ClassInfo, form: Json) -> PropertyInfo:
        name = text_from_json(form)
        prop = cls.properties.get(name)
        if prop is None:
            raise OperationError(f"class {cls.name!r} has no property {name!r}")
        return prop

    def _object(self, cls: ClassInfo, form: Json) -> int:
        return self._find(cls, key_from_json(form))

    def _find(self, cls: ClassInfo, key: Key) -> int:
        object_key = self._tx.find(cls, key)
        if object_key is None:
            raise OperationError(f"class {cls.name!r} has no object {key!r}")
        return object_key

    def _place(self, operation: Operation) -> _Place:
        """The place that ``class``, ``obj`` and ``path`` lead to."""
        cls = self._class(operation["class"])
        path: Sequence[Json] = operation["path"]
        if not path:
            raise OperationError("an empty path leads nowhere")
        place = _Place(cls, self._object(cls, operation["obj"]), self._property(cls, path[0]), None, 0)
        for element in path[1:]:
            place = self._step(place, element)
        return place

    def _step(self, place: _Place, element: Json) -> _Place:
        """From a place into what it holds: an embedded object's property, a list element, a dictionary entry."""
        held = self._read(place)
        if isinstance(held, ObjectRef):
            cls = self._tx.catalogue.by_id[held.class_id]
            if cls.kind != kinds.EMBEDDED:
                raise OperationError(f"the path ends at a link, before {element!r}")
            return _Place(cls, held.object_key, self._property(cls, element), None, 0)
        if not isinstance(held, CollectionRef):
            raise OperationError(f"there is nothing to go on with at {element!r}")
        at: int | str = element if type(element) is int else text_from_json(element)
        if isinstance(at, int) != (held.kind == kinds.LIST_COLLECTION):
            raise OperationError(f"{element!r} does not fit the collection there")
        return _Place(None, 0, None, held, at)

    def _read(self, place: _Place) -> object:
        if place.cls is not None and place.prop is not None:
            return self._tx.get(place.cls, place.object_key, place.prop)
        assert place.collection is not None  # the other two kinds of places are in a collection
        if isinstance(place.at, int):
            return self._tx.list_get(place.collection, place.at)
        return self._tx.dict_get(place.collection, place.at)

    def _collection(self, operation: Operation, kind: int) -> CollectionRef:
        """The collection at the end of ``path``, which must be of ``kind``."""
        held = self._read(self._place(operation))
        if not isinstance(held, CollectionRef) or held.kind != kind:
            raise OperationError(f"{operation['op']}: there is no such collection at {operation['path']}")
        return held

    # --- putting values ---------------------------------------------------------------------------------------------

    def _put(self, place: _Place, form: Json, is_default: bool = False) -> None:
        """Set a place to a value, an embedded object with its properties, or a collection with its elements."""
        shape = _shape(form)
        if shape == "obj":
            self._fill_object(self._make_object(place, is_default), form["obj"])
            return
        if shape is not None:
            self._fill(self._make_collection(place, _COLLECTIONS[shape], is_default), form[shape])
            return
        value = self._value(form)
        if place.cls is not None and place.prop is not None:
            self._tx.set(place.cls, place.object_key, place.prop, value, is_default)
        elif place.collection is not None and isinstance(place.at, int):
            self._tx.list_set(place.collection, place.at, value)
        elif place.collection is not None and isinstance(place.at, str):
            self._tx.dict_set(place.collection, place.at, value)

    def _make_object(self, place: _Place, is_default: bool) -> ObjectRef:
        if place.cls is not None and place.prop is not None:
            return self._tx.set_embedded(place.cls, place.object_key, place.prop, is_default)
        assert place.collection is not None
        if isinstance(place.at, int):
            return self._tx.list_set_embedded(place.collection, place.at)
        return self._tx.dict_set_embedded(place.collection, place.at)

    def _make_collection(self, place: _Place, kind: int, is_default: bool) -> CollectionRef:
        """The collection of a property of that type, or a new one in a Mixed place."""
        if place.cls is not None and place.prop is not None:
            if place.prop.collection == kind:
                return self._tx.collection(place.cls, place.object_key, place.prop)
            return self._tx.set_collection(place.cls, place.object_key, place.prop, kind, is_default)
        assert place.collection is not None
        if isinstance(place.at, int):
            return self._tx.list_set_collection(place.collection, place.at, kind)
        return self._tx.dict_set_collection(place.collection, place.at, kind)

    def _fill(self, ref: CollectionRef, content: Json) -> None:
        """Add elements: to the end of a list, to a set, or in the order of the keys to a dictionary."""
        if not isinstance(content, dict if ref.kind == kinds.DICTIONARY_COLLECTION else list):
            raise OperationError(f"a collection cannot be filled with {content!r:.60}")
        if ref.kind == kinds.DICTIONARY_COLLECTION:
            for key in sorted(content):
                self._put(_Place(None, 0, None, ref, key), content[key])
        elif ref.kind == kinds.LIST_COLLECTION:
            for form in content:
                self._insert(ref, self._tx.size(ref), form)
        else:
            for form in content:
                self._tx.set_insert(ref, self._value(form))

    def _insert(self, ref: CollectionRef, index: int, form: Json) -> None:
        """Insert a value, embedded object or collection into a list."""
        shape = _shape(form)
        if shape == "obj":
            self._fill_object(self._tx.list_insert_embedded(ref, index), form["obj"])
            return
        if shape is not None:
            self._fill(self._tx.list_insert_collection(ref, index, _COLLECTIONS[shape]), form[shape])
            return
        self._tx.list_insert(ref, index, self._value(form))

    def _fill_object(self, ref: ObjectRef, values: Json) -> None:
        if not isinstance(values, dict):
            raise OperationError(f"an embedded object cannot be filled with {values!r:.60}")
        self._set_properties(self._tx.catalogue.by_id[ref.class_id], ref.object_key, values)

    def _value(self, form: Json) -> Any:
        """A value as storage takes it: links by object key, a float as Float32 (a mixed place keeps it apart)."""
        kind, value = payload_from_json(form)
        if isinstance(value, Link):
            cls = self._class(value.table)
            return ObjectRef(cls.id, self._find(cls, value.key))
        if kind == kinds.FLOAT and isinstance(value, float):
            return Float32(value)
        return value


def _shape(form: Json) -> str | None:
    """Which of ``obj``, ``list``, ``dict``, ``set`` a value is; None for a plain one."""
    if not isinstance(form, Mapping):
        return None
    for shape in ("obj", *_COLLECTIONS):
        if shape in form:
            if len(form) > 1:
                raise OperationError(f"a value is one of {', '.join(sorted(form))}")
            return shape
    return None


def _name_of(form: Json, fields: Mapping[str, tuple[type, ...]]) -> str:
    """The name of a class, primary key or property in a schema; the other fields are checked too."""
    if not isinstance(form, dict) or "name" not in form:
        raise OperationError(f"schema: a class or property is an object with a name, not {form!r:.60}")
    name = text_from_json(form["name"])
    if unknown := form.keys() - fields.keys():
        raise OperationError(f"schema: {name!r} has no field {', '.join(sorted(unknown))}")
    for field, value in form.items():
        if fields[field] and type(value) not in fields[field]:
            wanted = " or ".join(_JSON_NAMES[kind] for kind in fields[field])
            raise OperationError(f"schema: {field} must be {wanted}, not {value!r:.60}")
    return name


def _choice(names: Mapping[str, int], form: Mapping[str, Json], field: str) -> int:
    """What ``field`` of a class or property in a schema stands for."""
    name = form.get(field)
    if not isinstance(name, str) or name not in names:
        raise OperationError(f"schema: {field} must be one of {', '.join(names)}, not {name!r:.60}")
    return names[name]


def _entry(
    method: Callable[[Operations, Operation], Result | None], required: str = "", optional: str = ""
) -> tuple[Callable[[Operations, Operation], Result | None], frozenset[str], frozenset[str]]:
    return method, frozenset(required.split()), frozenset(optional.split())


#: Of each operation: its method, the operands it needs, those it may have.
_OPERATIONS: Final = {
    "schema": _entry(Operations.schema, "classes"),
    "erase_class": _entry(Operations.erase_class, "class"),
    "erase_prop": _entry(Operations.erase_prop, "class prop"),
    "create": _entry(Operations.create, "class", "pk defaults values"),
    "erase": _entry(Operations.erase, "class obj"),
    "clear_class": _entry(Operations.clear_class, "class"),
    "set": _entry(Operations.set, "class obj path value", "is_default"),
    "add_int": _entry(Operations.add_int, "class obj path value"),
    "list_insert": _entry(Operations.list_insert, "class obj path value", "index"),
    "list_set": _entry(Operations.list_set, "class obj path index value"),
    "list_erase": _entry(Operations.list_erase, "class obj path index"),
    "list_move": _entry(Operations.list_move, "class obj path from to"),
    "list_clear": _entry(Operations.list_clear, "class obj path"),
    "set_insert": _entry(Operations.set_insert, "class obj path value"),
    "set_erase": _entry(Operations.set_erase, "class obj path value"),
    "set_clear": _entry(Operations.set_clear, "class obj path"),
    "dict_set": _entry(Operations.dict_set, "class obj path key value"),
    "dict_erase": _entry(Operations.dict_erase, "class obj path key"),
    "dict_clear": _entry(Operations.dict_clear, "class obj path"),
}

_JSON_NAMES: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
#: What operands must be, where what they are used for does not tell.
_OPERANDS: Final[dict[str, tuple[type, ...]]] = {
    "class": (str, dict),
    "classes": (list,),
    "prop": (str, dict),
    "path": (list,),
    "index": (int,),
    "from": (int,),
    "to": (int,),
    "key": (str, dict),
    "is_default": (bool,),
    "defaults": (dict,),
    "values": (dict,),
}

#: What the fields of a schema must be; nothing is said where what they are used for tells.
_CLASS_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "name": (),
    "embedded": (bool,),
    "asymmetric": (bool,),
    "pk": (),
    "props": (list,),
}
_KEY_FIELDS: Final[dict[str, tuple[type, ...]]] = {"name": (), "type": (), "nullable": (bool,)}
_PROPERTY_FIELDS: Final[dict[str, tuple[type, ...]]] = {**_KEY_FIELDS, "collection": (), "target": ()}

#: All values of ``op``.
OPERATION_NAMES: Final = frozenset(_OPERATIONS)
