"""Numbers that bound a changeset (spec/changesets.md §3, §6.1, §7)."""

from __future__ import annotations

from typing import Final

#: First integer of the record that defines an interned string; not an instruction.
INTERN_STRING: Final = 0x3F

#: Longest string (names, keys and values) in bytes of UTF-8.
MAX_STRING_SIZE: Final = 16_777_199
#: Longest binary value in bytes; the format has no limit, the database has.
MAX_BINARY_SIZE: Final = 16_777_200
#: Longest class and property names in bytes of UTF-8; checked where a changeset is applied.
MAX_CLASS_NAME_SIZE: Final = 57
MAX_PROPERTY_NAME_SIZE: Final = 63

#: Elements of one path; ours, the format has no limit.
MAX_PATH_LENGTH: Final = 1000
#: Instructions of one changeset; ours. Bounds the memory that a message can make a receiver use.
MAX_INSTRUCTIONS: Final = 1 << 24

#: After so many records (less than a millisecond) other threads get a turn.
RECORDS_PER_TURN: Final = 2000

#: From this size on a changeset is bulk work, which the garbage collector would only disturb.
BULK_BYTES: Final = 4096
