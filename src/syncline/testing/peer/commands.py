"""What a line may say: the commands of tests/vectors/PEER.md, their fields, types and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.testing.operations import OPERATION_NAMES

__all__ = ["COMMANDS", "CommandError", "Field", "check"]

Json: TypeAlias = Any

_INT64_MAX: Final = (1 << 63) - 1
_MAX_SECONDS: Final = 1e6


class CommandError(ValueError):
    """A line that is no command: not a JSON object, an unknown command, a missing, unknown or ill-typed field."""


class Field(NamedTuple):
    """One field of a command: what it must be, in words, and a function that tells whether a value is that."""

    kind: str
    fits: Callable[[Json], bool]
    required: bool = True

    @property
    def optional(self) -> Field:
        """The same field, which may be absent."""
        return self._replace(required=False)


def _is_hex(value: Json) -> bool:
    if not isinstance(value, str):
        return False
    try:
        bytes.fromhex(value)
    except ValueError:
        return False
    return True


def _is_integer(low: int, high: int) -> Callable[[Json], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_seconds(value: Json) -> bool:
    return type(value) in (int, float) and isfinite(value) and 0 <= value <= _MAX_SECONDS


def _is_objects(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(element, dict) for element in value)


_TEXT: Final = Field("a string", lambda value: isinstance(value, str))
_NAME: Final = Field("a string that is not empty", lambda value: isinstance(value, str) and value != "")
_HEX: Final = Field("an even number of hexadecimal digits", _is_hex)
_BOOL: Final = Field("true or false", lambda value: isinstance(value, bool))
_SECONDS: Final = Field(f"a number of seconds from 0 to {_MAX_SECONDS:g}", _is_seconds)
_TIMESTAMP: Final = Field("a number of milliseconds from 0 to 2^63 - 1", _is_integer(0, _INT64_MAX))
_IDENT: Final = Field("an integer from 1 to 2^63 - 1", _is_integer(1, _INT64_MAX))
_SALT: Final = Field("an integer from 0 to 2^63 - 1", _is_integer(0, _INT64_MAX))
_PORT: Final = Field("an integer from 1 to 65535", _is_integer(1, 65535))
_OBJECTS: Final = Field("a list of objects", _is_objects)
_LIST: Final = Field("a list", lambda value: isinstance(value, list))

_DB: Final[dict[str, Field]] = {"db": _NAME}
_WAIT: Final[dict[str, Field]] = {**_DB, "timeout_s": _SECONDS.optional, "stop_on_error": _BOOL.optional}

#: The fields of every command but the operations, which are checked where they are carried out.
COMMANDS: Final[Mapping[str, Mapping[str, Field]]] = {
    "open": {**_DB, "file": _NAME, "encryption_key": _HEX.optional},
    "close": _DB,
    "tx": {
        **_DB,
        "ops": _OBJECTS,
        "ts": _TIMESTAMP.optional,
        "notify": _BOOL.optional,
        "skip_errors": _BOOL.optional,
    },
    "begin": _DB,
    "commit": {**_DB, "ts": _TIMESTAMP.optional},
    "rollback": _DB,
    "timestamp": {**_DB, "ts": _TIMESTAMP},
    "set_ident": {**_DB, "ident": _IDENT, "salt": _SALT},
    "connect": {
        **_DB,
        "url": _NAME.optional,
        "host": _NAME.optional,
        "port": _PORT.optional,
        "path": _TEXT,
        "service": _TEXT.optional,
        "token": _TEXT.optional,
    },
    "disconnect": _DB,
    "suspend": _DB,
    "resume": _DB,
    "wait_upload": _WAIT,
    "wait_download": _WAIT,
    "wait_sync": _WAIT,
    "errors": _DB,
    "progress": _DB,
    "dump": _DB,
    "hash": _DB,
    "history": _DB,
    "transform": {"left": _OBJECTS, "right": _OBJECTS},
    "changeset2json": {"changeset": _HEX},
    "json2changeset": {"instructions": _OBJECTS, "strings": _LIST.optional},
    "subscribe": {**_DB, "queries": _OBJECTS},
    "subscription_state": _DB,
}


def check(command: Json) -> tuple[str, dict[str, Json]]:
    """The name and the fields of a command; for an operation the fields are ``db`` and ``operation``.

    Raises CommandError.
    """
    if not isinstance(command, dict):
        raise CommandError(f"a command is a JSON object, not {_kind_of(command)}")
    name = command.get("cmd")
    if not isinstance(name, str):
        raise CommandError("a command needs the field 'cmd', a string")
    given = {field: value for field, value in command.items() if field != "cmd"}
    if name in OPERATION_NAMES:
        operation = {"op": name, **{field: value for field, value in given.items() if field != "db"}}
        if "op" in given:
            raise CommandError(f"{name} has no field 'op'")
        _check_fields(name, _DB, {field: value for field, value in given.items() if field == "db"})
        return name, {"db": given["db"], "operation": operation}
    fields = COMMANDS.get(name)
    if fields is None:
        raise CommandError(f"there is no command {name!r}")
    _check_fields(name, fields, given)
    return name, given


def _check_fields(name: str, fields: Mapping[str, Field], given: Mapping[str, Json]) -> None:
    if unknown := given.keys() - fields.keys():
        raise CommandError(f"{name} has no field {_listed(unknown)}")
    if missing := {field for field, form in fields.items() if form.required} - given.keys():
        raise CommandError(f"{name} needs the field {_listed(missing)}")
    for field, value in given.items():
        if not fields[field].fits(value):
            raise CommandError(f"{name}: {field!r} must be {fields[field].kind}, not {_kind_of(value)}")


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _kind_of(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
