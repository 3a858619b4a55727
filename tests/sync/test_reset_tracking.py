"""Client resets that do not succeed are not tried for ever (spec/sessions.md §12.6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.errors import AutomaticResetError
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync import ClientResetMode
from syncline.sync.reset_tracking import (
    Outcome,
    ResetRecord,
    allowed_mode,
    forget_in,
    has_record,
    next_record,
    read_record,
    write_record_in,
)

DISCARD = ClientResetMode.DISCARD_UNSYNCED_CHANGES
RECOVER = ClientResetMode.RECOVER_UNSYNCED_CHANGES
EITHER = ClientResetMode.RECOVER_OR_DISCARD_UNSYNCED_CHANGES
RESET = ErrorAction.CLIENT_RESET
FORBIDDEN = ErrorAction.CLIENT_RESET_NO_RECOVERY

TABLE = [
    # previous mode, wanted, allowed (None: fails)
    (None, DISCARD, DISCARD),
    (None, RECOVER, RECOVER),
    (None, EITHER, RECOVER),
    (DISCARD, DISCARD, None),
    (DISCARD, RECOVER, None),
    (DISCARD, EITHER, None),
    (RECOVER, RECOVER, None),
    (RECOVER, EITHER, DISCARD),
    (RECOVER, DISCARD, DISCARD),
]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[ClientHistory]:
    file = RealmFile.open(tmp_path / "a.realm", history=True)
    yield ClientHistory(file)
    file.close()


def tried(mode: ClientResetMode, action: ErrorAction = RESET) -> ResetRecord:
    return ResetRecord(mode, action, 208, "bad client file ident", Outcome.DONE)


def write(history: ClientHistory, record: ResetRecord | None) -> None:
    with history._file.write() as tx:
        if record is None:
            forget_in(tx)
        else:
            write_record_in(tx, record)


@pytest.mark.parametrize(("previous", "wanted", "allowed"), TABLE)
def test_what_may_be_tried_after_what(
    previous: ClientResetMode | None, wanted: ClientResetMode, allowed: ClientResetMode | None
) -> None:
    record = None if previous is None else tried(previous)
    if allowed is None:
        with pytest.raises(AutomaticResetError, match="did not succeed"):
            allowed_mode(record, wanted, RESET)
    else:
        assert allowed_mode(record, wanted, RESET) is allowed


@pytest.mark.parametrize("wanted", [DISCARD, RECOVER])
def test_a_reset_for_another_reason_says_nothing(wanted: ClientResetMode) -> None:
    assert allowed_mode(tried(DISCARD, FORBIDDEN), wanted, RESET) is wanted


@pytest.mark.parametrize(("previous", "wanted", "allowed"), TABLE)
def test_a_failed_attempt_counts_like_one_that_the_server_never_acknowledged(
    previous: ClientResetMode | None, wanted: ClientResetMode, allowed: ClientResetMode | None
) -> None:
    record = None if previous is None else tried(previous)._replace(outcome=Outcome.FAILED)
    if allowed is None:
        with pytest.raises(AutomaticResetError, match="did not succeed"):
            allowed_mode(record, wanted, RESET)
    else:
        assert allowed_mode(record, wanted, RESET) is allowed


@pytest.mark.parametrize("mode", [DISCARD, RECOVER, EITHER])
def test_an_attempt_that_was_interrupted_is_repeated_and_after_three_in_a_row_counts(mode: ClientResetMode) -> None:
    done = DISCARD if mode is DISCARD else RECOVER
    record = next_record(None, mode, RESET, 208, "why")
    for tries in (1, 2, 3):
        assert (record.mode, record.tries, record.outcome) == (done, tries, Outcome.BEGUN)
        if tries < 3:
            record = next_record(record, mode, RESET, 208, "why")
    if mode is EITHER:
        record = next_record(record, mode, RESET, 208, "why")
        assert (record.mode, record.tries) == (DISCARD, 1), "what could not be recovered is discarded"
        record = next_record(record, mode, RESET, 208, "why")
        assert (record.mode, record.tries) == (DISCARD, 2), "interrupted, it does not go back to recovering"
    else:
        with pytest.raises(AutomaticResetError, match="did not succeed"):
            next_record(record, mode, RESET, 208, "why")


def test_an_interruption_under_another_action_says_nothing() -> None:
    record = next_record(tried(DISCARD, FORBIDDEN)._replace(outcome=Outcome.BEGUN), RECOVER, RESET, 208, "why")
    assert (record.mode, record.tries) == (RECOVER, 1)


def test_the_server_may_forbid_recovery() -> None:
    assert allowed_mode(None, DISCARD, FORBIDDEN) is DISCARD
    assert allowed_mode(None, EITHER, FORBIDDEN) is DISCARD
    with pytest.raises(AutomaticResetError, match="forbids"):
        allowed_mode(None, RECOVER, FORBIDDEN)


def test_the_record_is_kept_with_the_file_until_it_is_forgotten(history: ClientHistory) -> None:
    assert read_record(history) is None
    write(history, tried(DISCARD))
    write(history, tried(RECOVER))
    record = read_record(history)
    assert record is not None
    assert record._replace(at=0.0) == tried(RECOVER)
    assert record.at > 0
    write(history, None)
    assert not has_record(history)


def test_records_of_other_versions_and_damaged_ones_are_ignored(history: ClientHistory) -> None:
    write(history, tried(DISCARD)._replace(library="syncline 0.0"))
    assert read_record(history) is None
    assert has_record(history), "but forgotten like any other"
    for damaged in ("{", "[]", '{"mode": 9}', 7):
        with history._file.write() as tx:
            history.set_value_in(tx, "reset.record", damaged)
        assert read_record(history) is None


def test_no_writer_comes_between_the_two_commits(history: ClientHistory) -> None:
    file = history._file

    def fail() -> None:
        with file.write() as tx:
            write_record_in(tx, tried(DISCARD))
            with file.write_on(tx) as following:
                following.add_class("Dog")
                raise ValueError("roll back")

    with pytest.raises(ValueError, match="roll back"):
        fail()
    assert has_record(history), "it survives the roll-back"
    with file.snapshot() as snapshot:
        assert snapshot.catalogue.find("Dog") is None
    with file.write() as tx:
        tx.add_class("Dog")
        with file.write_on(tx) as following:
            following.add_class("Cat")
    with file.snapshot() as snapshot:
        assert set(snapshot.catalogue.classes) == {"Dog", "Cat"}
