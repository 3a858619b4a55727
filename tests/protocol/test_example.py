"""The conversation in the package's documentation runs."""

from __future__ import annotations

import doctest

import syncline.protocol


def test_the_two_peer_loop() -> None:
    result = doctest.testmod(syncline.protocol)
    assert result.attempted > 8
    assert result.failed == 0
