"""The binary form of changesets: both directions in one place (spec/changesets.md §1 to §6)."""

from syncline.changesets.decoder import decode, decode_detached_key, offset_of
from syncline.changesets.encoder import encode, encode_detached_key, encode_integer, encode_recorded

__all__ = [
    "decode",
    "decode_detached_key",
    "encode",
    "encode_detached_key",
    "encode_integer",
    "encode_recorded",
    "offset_of",
]
