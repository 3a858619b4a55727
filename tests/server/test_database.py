"""The server's own file: a transaction that fails leaves nothing behind, least of all itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from syncline.server.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "directory.sqlite")
    yield opened
    opened.close()


def notes(database: Database) -> list[str]:
    return [key for (key,) in database.rows("SELECT k FROM meta ORDER BY k")]


def fill(database: Database, key: str, *statements: str) -> None:
    """A transaction with a note and more."""
    with database.transaction():
        database.execute("INSERT INTO meta VALUES (?, '')", (key,))
        for statement in statements:
            database.execute(statement)


def test_a_failed_commit_is_undone(database: Database) -> None:
    database.execute("PRAGMA foreign_keys=ON")
    database.execute("CREATE TABLE child (k TEXT REFERENCES meta (k) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(apsw.ConstraintError):
        fill(database, "lost", "INSERT INTO child VALUES ('nobody')")
    fill(database, "kept")
    assert notes(database) == ["kept"]


def test_what_sqlite_undid_itself_is_told_as_it_is(database: Database) -> None:
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        fill(database, "lost", "INSERT OR ROLLBACK INTO meta VALUES ('lost', '')")
    with pytest.raises(apsw.SQLError):
        fill(database, "lost too", "no statement")
    fill(database, "kept")
    assert notes(database) == ["kept"]


def test_nobody_else_can_read_password_hashes(database: Database, tmp_path: Path) -> None:
    fill(database, "kept")
    files = list(tmp_path.glob("directory.sqlite*"))
    assert len(files) == 3
    assert [oct(file.stat().st_mode & 0o077) for file in files] == ["0o0"] * 3
