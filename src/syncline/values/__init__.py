"""The values that objects hold: identifiers, timestamps, decimals, links; their kinds, order and equality."""

from syncline.values.decimal128 import Decimal128
from syncline.values.float32 import Float32
from syncline.values.identity import GlobalKey, Key, Link, ObjectId
from syncline.values.timestamp import Timestamp

__all__ = ["Decimal128", "Float32", "GlobalKey", "Key", "Link", "ObjectId", "Timestamp"]
