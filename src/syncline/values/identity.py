"""How objects are named: primary keys, GlobalKeys, and links to objects by name (spec/changesets.md §5.1, §8.2)."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

__all__ = ["GLOBAL_KEY_MAX_HI", "GLOBAL_KEY_MAX_LO", "GlobalKey", "Key", "Link", "ObjectId"]

_COUNTER_LIMIT: Final = 1 << 24

#: Largest halves of a GlobalKey that realm-core can represent.
GLOBAL_KEY_MAX_HI: Final = 0x3FFF_FFFF
GLOBAL_KEY_MAX_LO: Final = 0xFFFF_FFFF


class ObjectId:
    """A 12-byte identifier: 4 bytes of seconds, 5 random bytes of the process, 3 bytes of a counter.

    ``ObjectId()`` makes a new one, ``ObjectId("64b0…")`` and ``ObjectId(b"…12 bytes…")`` read one. Immutable, ordered.
    """

    __slots__ = ("binary",)
    binary: bytes

    _lock = threading.Lock()
    _process: tuple[int, bytes] = (0, b"")
    _counter = itertools.count(secrets.randbelow(_COUNTER_LIMIT))

    def __init__(self, value: str | bytes | ObjectId | None = None) -> None:
        if isinstance(value, bytes):
            binary = value
        elif value is None:
            binary = self._generate()
        elif isinstance(value, ObjectId):
            binary = value.binary
        elif isinstance(value, str):
            try:
                binary = bytes.fromhex(value)
            except ValueError:
                raise ValueError(f"not an ObjectId: {value!r}; expected 24 hexadecimal digits") from None
            if len(value) != 24:
                raise ValueError(f"not an ObjectId: {value!r}; expected 24 hexadecimal digits")
        else:
            raise TypeError(f"an ObjectId is made from str or bytes, not {type(value).__name__}")
        if len(binary) != 12:
            raise ValueError(f"an ObjectId has 12 bytes, not {len(binary)}")
        object.__setattr__(self, "binary", binary)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an ObjectId is immutable")

    @classmethod
    def _generate(cls) -> bytes:
        pid = os.getpid()
        with cls._lock:
            if cls._process[0] != pid:  # a forked child must not repeat its parent's identifiers
                cls._process = (pid, secrets.token_bytes(5))
            count = next(cls._counter) % _COUNTER_LIMIT
        return int(time.time()).to_bytes(4, "big") + cls._process[1] + count.to_bytes(3, "big")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectId) and self.binary == other.binary

    def __lt__(self, other: ObjectId) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self.binary < other.binary

    def __le__(self, other: ObjectId) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self.binary <= other.binary

    def __gt__(self, other: ObjectId) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self.binary > other.binary

    def __ge__(self, other: ObjectId) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self.binary >= other.binary

    def __hash__(self) -> int:
        return hash(self.binary)

    def __str__(self) -> str:
        return self.binary.hex()

    def __repr__(self) -> str:
        return f"ObjectId('{self.binary.hex()}')"

    def __reduce__(self) -> tuple[type[ObjectId], tuple[bytes]]:
        return ObjectId, (self.binary,)


class GlobalKey(NamedTuple):
    """Identity of an object whose class has no primary key: ident of the creating file, number in that file.

    Both travel as 64 bits; a database can hold only those that :meth:`fits` accepts (spec/changesets.md §8.2).
    """

    hi: int
    lo: int

    def fits(self) -> bool:
        """Can realm-core represent this key as an object's? A changeset that needs one that does not fit is bad."""
        return 0 <= self.hi <= GLOBAL_KEY_MAX_HI and 0 <= self.lo <= GLOBAL_KEY_MAX_LO


#: What names an object within its class. ``None`` is the null primary key. UUID is the standard library's.
Key: TypeAlias = "int | str | ObjectId | UUID | GlobalKey | None"


class Link(NamedTuple):
    """A link as it travels: class name and key of the target, which need not exist."""

    table: str
    key: Key
