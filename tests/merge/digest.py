"""A digest of the outcome of many merges, to compare the compiled merge with the interpreted one."""

from __future__ import annotations

import hashlib
from random import Random

from tests.merge.histories import random_base, random_side

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.merge import transform


def digest_of_merges() -> str:
    """SHA-256 of all changesets after 400 random merges, as they would travel."""
    digest = hashlib.sha256()
    for seed in range(400):
        random = Random(seed)
        base = random_base(random)
        ours, theirs = (_over_the_wire(random_side(random, base, ident, 8)[0]) for ident in (2, 3))
        transform(ours, theirs)
        for changeset in ours + theirs:
            digest.update(encode(changeset))
            digest.update(b"changed" if changeset.dirty else b"as it was")
    return digest.hexdigest()


def _over_the_wire(changesets: list[Changeset]) -> list[Changeset]:
    received = []
    for changeset in changesets:
        decoded = decode(encode(changeset))
        decoded.version = changeset.version
        decoded.origin_timestamp = changeset.origin_timestamp
        decoded.origin_file_ident = changeset.origin_file_ident
        received.append(decoded)
    return received


if __name__ == "__main__":
    import sys

    sys.stdout.write(digest_of_merges())
