"""Identifiers out of changesets are in no way different from those that are made by their constructors."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID

import pytest

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import CreateObject, ObjectInstruction, Update
from syncline.values import ObjectId, kinds


@pytest.mark.parametrize(
    ("kind", "made"),
    [(kinds.UUID, UUID("00112233-4455-6677-8899-aabbccddeeff")), (kinds.OBJECT_ID, ObjectId(b"twelve bytes"))],
)
def test_decoded_identifiers(kind: int, made: UUID | ObjectId) -> None:
    create, update = decode(
        encode_recorded([CreateObject("T", made), Update("T", made, "f", (), kind, made)])
    ).instructions
    assert isinstance(create, ObjectInstruction)
    assert isinstance(update, Update)
    for found in (create.key, update.value):
        assert type(found) is type(made)
        assert found == made
        assert hash(found) == hash(made)
        assert (str(found), repr(found)) == (str(made), repr(made))
        assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == made
        if isinstance(made, UUID) and isinstance(found, UUID):
            assert found.is_safe == made.is_safe
            assert found.bytes == made.bytes
        else:
            with pytest.raises(AttributeError):
                found.binary = b""  # type: ignore[union-attr]
