"""Instructions and values as JSON, in the form of the test vectors, both ways (tests/vectors/README.md).

For tools, logs and tests: the vector runner, the drivable peer, the canonical dump. Readers raise ValueError for JSON
that does not have the form; the message quotes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isinf, isnan, nan
from struct import pack
from typing import Any, Final, TypeAlias, TypeVar, cast
from uuid import UUID

from syncline.changesets import instructions as ins
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

__all__ = [
    "decimal_text",
    "instruction_from_json",
    "instruction_to_json",
    "key_from_json",
    "key_to_json",
    "payload_from_json",
    "payload_to_json",
    "text_from_json",
    "text_to_json",
]

#: A JSON value as ``json.loads`` makes it.
Json: TypeAlias = Any
Payload: TypeAlias = "tuple[int, object]"
_T = TypeVar("_T")

_TYPE_NAMES: Final[dict[int, str]] = {
    kinds.MIXED: "Mixed",
    kinds.INT: "Int",
    kinds.BOOL: "Bool",
    kinds.STRING: "String",
    kinds.BINARY: "Binary",
    kinds.TIMESTAMP: "Timestamp",
    kinds.FLOAT: "Float",
    kinds.DOUBLE: "Double",
    kinds.DECIMAL: "Decimal",
    kinds.LINK: "Link",
    kinds.OBJECT_ID: "ObjectId",
    kinds.UUID: "UUID",
    kinds.GLOBAL_KEY: "GlobalKey",
}
_SPECIAL_NAMES: Final[dict[int, str]] = {
    kinds.OBJECT: "ObjectValue",
    kinds.DICTIONARY: "Dictionary",
    kinds.ERASED: "Erased",
    kinds.LIST: "List",
    kinds.SET: "Set",
}
_COLLECTION_NAMES: Final = ("Single", "List", "Dictionary", "Set")

_TYPES: Final = {name: code for code, name in _TYPE_NAMES.items()}
_SPECIALS: Final = {name: code for code, name in _SPECIAL_NAMES.items()}
_COLLECTIONS: Final = {name: code for code, name in enumerate(_COLLECTION_NAMES)}
_INSTRUCTIONS: Final = {name: code for code, name in enumerate(ins.INSTRUCTION_NAMES)}

#: Both may be given: two spellings of one value.
_DECIMAL_NAMES: Final = {"dec", "bid"}
_NUMBERS: Final = {"nan": nan, "inf": inf, "-inf": -inf}


# --- values -----------------------------------------------------------------------------------------------------------


def text_to_json(text: str) -> Json:
    """A string itself; ``{"strhex": …}`` for one with bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"strhex": text.encode("utf-8", "surrogateescape").hex()}
    return text


def text_from_json(form: Json) -> str:
    """The inverse of :func:`text_to_json`."""
    if isinstance(form, str):
        return form
    if isinstance(form, dict) and isinstance(form.get("strhex"), str):
        return bytes.fromhex(form["strhex"]).decode("utf-8", "surrogateescape")
    raise ValueError(f"not a string: {form!r}")


def key_to_json(key: Key) -> Json:
    """An object's key, or the key of a link's target."""
    if key is None:
        return None
    if isinstance(key, int):
        return {"int": key}
    if isinstance(key, str):
        return _string_to_json(key)
    if isinstance(key, GlobalKey):
        return {"gk": [key.hi, key.lo]}
    if isinstance(key, ObjectId):
        return {"oid": str(key)}
    return {"uuid": str(key)}


def key_from_json(form: Json) -> Key:
    """A key; a plain number or string stands for itself."""
    if isinstance(form, dict) and set(form) == {"gk"}:
        return _global_key_from_json(form)
    kind, value = payload_from_json(form)
    if kind not in (kinds.NULL, kinds.INT, kinds.STRING, kinds.OBJECT_ID, kinds.UUID):
        raise ValueError(f"not a key: {form!r}")
    return cast(Key, value)


def payload_to_json(kind: int, value: object) -> Json:
    """The value of an instruction: ``kind`` is one of ``values.kinds``."""
    if kind in _SPECIAL_NAMES:
        return {"special": _SPECIAL_NAMES[kind]}
    if kind == kinds.NULL:
        return None
    return _WRITERS[kind](value)


def payload_from_json(form: Json) -> Payload:
    """Kind and value; a plain number, string or boolean stands for an int, a string or a bool."""
    if form is None:
        return kinds.NULL, None
    if isinstance(form, bool):
        return kinds.BOOL, form
    if isinstance(form, int):
        return kinds.INT, form
    if isinstance(form, str):
        return kinds.STRING, form
    if isinstance(form, dict):
        for name, (kind, read) in _READERS.items():
            if name in form and (len(form) == 1 or form.keys() == _DECIMAL_NAMES):
                return kind, _checked(read, form[name], form)
        special = form.get("special")
        if isinstance(special, str) and special in _SPECIALS and len(form) == 1:
            return _SPECIALS[special], None
    raise ValueError(f"not a value: {form!r}")


def decimal_text(value: Decimal128) -> str:
    """As realm-core prints a decimal: ``1.50``, ``1E2``, ``-Inf``; all digits and a sign beyond 64 bits."""
    if value.is_nan():
        return "NaN"
    sign = "-" if value.negative else ""
    if value.is_infinite():
        return f"{sign}Inf"
    digits = str(value.coefficient)
    if value.coefficient >> 64:
        return f"{sign or '+'}{digits}E{value.exponent:+d}"
    # digits move behind the point until the exponent is zero or one digit is left before it
    fraction = len(digits) - 1 if value.exponent > 0 else min(len(digits) - 1, -value.exponent)
    exponent = value.exponent + fraction
    text = sign + digits[: len(digits) - fraction]
    if fraction:
        text += "." + digits[-fraction:]
    return f"{text}E{exponent}" if exponent else text


def _checked(read: Callable[[Json], object], content: Json, form: Json) -> object:
    try:
        return read(content)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"not a value: {form!r} ({error})") from None


def _string_to_json(text: str) -> Json:
    form = text_to_json(text)
    return {"str": text} if isinstance(form, str) else form


def _number_to_json(value: float) -> Json:
    if isnan(value):
        return "nan"
    if isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def _number_from_json(form: Json) -> float:
    if isinstance(form, str):
        return _NUMBERS[form]
    if isinstance(form, bool):
        raise ValueError("expected a number")
    return float(form)


def _float_from_json(form: Json) -> float:
    value = _number_from_json(form)
    pack("<f", value)  # raises OverflowError beyond the range of 32 bits
    return value


def _global_key_from_json(form: Json) -> GlobalKey:
    parts = form["gk"]
    if not isinstance(parts, list) or [type(part) for part in parts] != [int, int]:
        raise ValueError(f"not a key: {form!r}")
    high, low = parts
    if not (0 <= high < 1 << 64 and 0 <= low < 1 << 64):
        raise ValueError(f"not a key: {form!r}")
    return GlobalKey(high, low)


def _decimal_to_json(value: Decimal128) -> Json:
    return {"dec": decimal_text(value), "bid": value.to_bytes().hex()}


def _link_from_json(form: Json) -> Link:
    table, key = form
    return Link(text_from_json(table), key_from_json(key))


def _timestamp_from_json(form: Json) -> Timestamp:
    seconds, nanoseconds = form
    return Timestamp(_instance(seconds, int), _instance(nanoseconds, int))


def _instance(form: Json, wanted: type[_T]) -> _T:
    """``form``, which must be a ``wanted`` (a bool is no int)."""
    if type(form) is not wanted:
        raise ValueError(f"expected {wanted.__name__}")
    return form


_WRITERS: Final[dict[int, Callable[[Any], Json]]] = {
    kinds.INT: lambda value: {"int": value},
    kinds.BOOL: lambda value: {"bool": value},
    kinds.STRING: _string_to_json,
    kinds.BINARY: lambda value: {"bin": value.hex()},
    kinds.TIMESTAMP: lambda value: {"ts": [value.seconds, value.nanoseconds]},
    kinds.FLOAT: lambda value: {"float": _number_to_json(value)},
    kinds.DOUBLE: lambda value: {"double": _number_to_json(value)},
    kinds.DECIMAL: _decimal_to_json,
    kinds.LINK: lambda value: {"link": [text_to_json(value.table), key_to_json(value.key)]},
    kinds.OBJECT_ID: lambda value: {"oid": str(value)},
    kinds.UUID: lambda value: {"uuid": str(value)},
}
#: "bid" stands before "dec": where both are given the bits decide.
_READERS: Final[dict[str, tuple[int, Callable[[Json], object]]]] = {
    "int": (kinds.INT, lambda form: _instance(form, int)),
    "bool": (kinds.BOOL, lambda form: _instance(form, bool)),
    "str": (kinds.STRING, lambda form: _instance(form, str)),
    "strhex": (kinds.STRING, lambda form: text_from_json({"strhex": form})),
    "bin": (kinds.BINARY, lambda form: bytes.fromhex(form)),
    "ts": (kinds.TIMESTAMP, _timestamp_from_json),
    "float": (kinds.FLOAT, _float_from_json),
    "double": (kinds.DOUBLE, _number_from_json),
    "bid": (kinds.DECIMAL, lambda form: Decimal128.from_bytes(bytes.fromhex(form))),
    "dec": (kinds.DECIMAL, lambda form: Decimal128.from_text(form)),
    "link": (kinds.LINK, _link_from_json),
    "oid": (kinds.OBJECT_ID, lambda form: ObjectId(_instance(form, str))),
    "uuid": (kinds.UUID, lambda form: UUID(form)),
}


# --- instructions -----------------------------------------------------------------------------------------------------


def instruction_to_json(instruction: ins.Instruction) -> dict[str, Json]:
    """An instruction as an object with ``type`` and its fields."""
    form: dict[str, Json] = {
        "type": ins.INSTRUCTION_NAMES[instruction.opcode],
        "table": text_to_json(instruction.table),
    }
    if isinstance(instruction, ins.ObjectInstruction):
        form["object"] = key_to_json(instruction.key)
    if isinstance(instruction, ins.PathInstruction):
        form["field"] = text_to_json(instruction.field)
        form["path"] = [text_to_json(e) if isinstance(e, str) else e for e in instruction.path]
        _add_value(form, instruction)
    elif isinstance(instruction, ins.AddTable):
        form["embedded"] = instruction.table_type == kinds.EMBEDDED
        if not form["embedded"]:
            form["asymmetric"] = instruction.table_type == kinds.ASYMMETRIC
            form["pk_field"] = text_to_json(instruction.pk_field)
            form["pk_type"] = _TYPE_NAMES[instruction.pk_type]
            form["pk_nullable"] = instruction.pk_nullable
    elif isinstance(instruction, ins.AddColumn):
        form["field"] = text_to_json(instruction.field)
        form["value_type"] = _TYPE_NAMES[instruction.value_type]
        form["nullable"] = instruction.nullable
        form["collection"] = _COLLECTION_NAMES[instruction.collection]
        if instruction.value_type == kinds.LINK:
            form["link_target_table"] = text_to_json(instruction.link_target)
        if instruction.collection == kinds.DICTIONARY_COLLECTION:
            form["key_type"] = _TYPE_NAMES[instruction.key_type]
    elif isinstance(instruction, ins.EraseColumn):
        form["field"] = text_to_json(instruction.field)
    return form


def _add_value(form: dict[str, Json], instruction: ins.PathInstruction) -> None:
    """The fields behind the path."""
    if isinstance(instruction, ins.Update | ins.ArrayInsert | ins.SetInsert | ins.SetErase):
        form["value"] = payload_to_json(instruction.kind, instruction.value)
    if isinstance(instruction, ins.AddInteger):
        form["value"] = instruction.value
    if isinstance(instruction, ins.Clear):
        form["collection"] = _COLLECTION_NAMES[instruction.collection]
    if isinstance(instruction, ins.ArrayMove):
        form["ndx_2"] = instruction.ndx_2
    if isinstance(instruction, ins.Update) and not (instruction.path and isinstance(instruction.path[-1], int)):
        form["is_default"] = instruction.is_default
    elif isinstance(instruction, ins.Update | ins.ArrayInsert | ins.ArrayMove | ins.ArrayErase):
        form["prior_size"] = instruction.prior_size


def instruction_from_json(form: Mapping[str, Json]) -> ins.Instruction:
    """The instruction that ``form`` describes. Raises ValueError for an unknown type or a missing or wrong field."""
    try:
        code = _INSTRUCTIONS[form["type"]]
        table = text_from_json(form["table"])
        if code in (ins.ADD_TABLE, ins.ERASE_TABLE, ins.ADD_COLUMN, ins.ERASE_COLUMN):
            return _schema_instruction(code, table, form)
        key = key_from_json(form["object"])
        if code == ins.CREATE_OBJECT:
            return ins.CreateObject(table, key)
        if code == ins.ERASE_OBJECT:
            return ins.EraseObject(table, key)
        return _path_instruction(code, table, key, form)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an instruction: {form!r} ({type(error).__name__}: {error})") from None


def _schema_instruction(code: int, table: str, form: Mapping[str, Json]) -> ins.Instruction:
    if code == ins.ERASE_TABLE:
        return ins.EraseTable(table)
    if code == ins.ERASE_COLUMN:
        return ins.EraseColumn(table, text_from_json(form["field"]))
    if code == ins.ADD_COLUMN:
        value_type = _TYPES[form["value_type"]]
        target = text_from_json(form["link_target_table"]) if value_type == kinds.LINK else ""
        collection = _COLLECTIONS[form["collection"]]
        key_type = _TYPES[form.get("key_type", "String")]
        field = text_from_json(form["field"])
        nullable = _instance(form["nullable"], bool)
        return ins.AddColumn(table, field, value_type, nullable, collection, target, key_type)
    if _instance(form["embedded"], bool):
        return ins.AddTable(table, kinds.EMBEDDED, "", kinds.GLOBAL_KEY, False)
    table_type = kinds.ASYMMETRIC if _instance(form.get("asymmetric", False), bool) else kinds.TOP_LEVEL
    field = text_from_json(form["pk_field"])
    return ins.AddTable(table, table_type, field, _TYPES[form["pk_type"]], _instance(form["pk_nullable"], bool))


def _path_instruction(code: int, table: str, key: Key, form: Mapping[str, Json]) -> ins.Instruction:
    field = text_from_json(form["field"])
    path = _path_from_json(form["path"])
    if code == ins.ADD_INTEGER:
        return ins.AddInteger(table, key, field, path, _instance(form["value"], int))
    if code == ins.CLEAR:
        return ins.Clear(table, key, field, path, _COLLECTIONS[form["collection"]])
    if code == ins.ARRAY_MOVE:
        return ins.ArrayMove(table, key, field, path, _instance(form["ndx_2"], int), _prior_size(form))
    if code == ins.ARRAY_ERASE:
        return ins.ArrayErase(table, key, field, path, _prior_size(form))
    kind, value = payload_from_json(form["value"])
    if code == ins.ARRAY_INSERT:
        return ins.ArrayInsert(table, key, field, path, kind, value, _prior_size(form))
    if code == ins.SET_INSERT:
        return ins.SetInsert(table, key, field, path, kind, value)
    if code == ins.SET_ERASE:
        return ins.SetErase(table, key, field, path, kind, value)
    if path and isinstance(path[-1], int):
        return ins.Update(table, key, field, path, kind, value, False, _prior_size(form))
    return ins.Update(table, key, field, path, kind, value, _instance(form["is_default"], bool))


def _prior_size(form: Mapping[str, Json]) -> int:
    return _instance(form["prior_size"], int)


def _path_from_json(form: Json) -> ins.Path:
    if not isinstance(form, list):
        raise ValueError(f"a path is a list, not {form!r}")
    return tuple(element if type(element) is int else text_from_json(element) for element in form)
