"""The canonical dump of a Realm and its content hash (tests/vectors/README.md, fixtures.json).

``{"schema": {class: {embedded, pk, props}}, "objects": {class: [{key, props}]}}``: classes, objects, dictionary keys and
sets sorted; links to tombstones hidden. Equal content gives equal bytes, whatever the order things happened in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncline.storage.reader import Reader

__all__ = ["content_hash", "dump", "dump_pieces"]


def dump(reader: Reader) -> dict[str, Any]:
    """The whole content as JSON values."""
    ...


def dump_pieces(reader: Reader) -> Iterator[str]:
    """The compact JSON of :func:`dump` with sorted keys, in pieces of bounded size."""
    ...


def content_hash(reader: Reader) -> str:
    """SHA-256 of :func:`dump_pieces`, in hexadecimal digits."""
    ...
