"""What the storage relies on in the SQLite driver."""

import sys

import apsw


def test_a_cursor_is_freed_while_others_come_and_go() -> None:
    """Version 3.54.0.0 kept a reference to every living cursor whenever another one of its connection was freed."""
    connection = apsw.Connection(":memory:")
    cursor = connection.cursor()
    before = sys.getrefcount(cursor)
    for _ in range(100):
        connection.execute("SELECT 1").fetchall()
    assert sys.getrefcount(cursor) == before
