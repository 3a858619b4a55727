"""Every message: written, read, and refused where a byte is wrong (spec/wire-protocol.md §4, §7)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.errors import ProtocolViolationError
from syncline.protocol import (
    BackoffParameters,
    BatchState,
    ClientFileIdent,
    Error,
    ErrorAction,
    FlexibleBind,
    Limits,
    RejectedUpdate,
    SyncMode,
    encode_download_entries,
    encode_upload_entries,
    messages,
)
from syncline.protocol import from_client as fc
from syncline.protocol import from_server as fs
from syncline.protocol.messages import (
    Bind,
    ClientJsonError,
    ClientMessage,
    Download,
    Ident,
    LogMessage,
    Mark,
    Ping,
    Pong,
    Query,
    QueryError,
    Refresh,
    RemovedRequest,
    ServerIdent,
    ServerMessage,
    Unbind,
    Unbound,
    Upload,
)

LIMITS = Limits()
PBS, FLX = SyncMode.PBS, SyncMode.FLX


def from_client(data: bytes, mode: SyncMode = PBS, limits: Limits = LIMITS) -> ClientMessage:
    return fc.parse_client_message(data, mode, limits)


def from_server(data: bytes, mode: SyncMode = PBS, version: int = 14) -> ServerMessage:
    return fs.parse_server_message(data, mode, version, LIMITS)


numbers = st.integers(0, 2**63 - 1)
uploads = st.lists(st.builds(UploadChangeset, numbers, numbers, numbers, numbers, st.binary(max_size=200)), max_size=6)
downloads = st.lists(
    st.builds(DownloadChangeset, numbers, numbers, numbers, numbers, numbers, st.binary(max_size=200)), max_size=6
)
cursors = st.builds(UploadCursor, numbers, numbers)
progresses = st.builds(
    SyncProgress, st.builds(SaltedVersion, numbers, numbers), st.builds(DownloadCursor, numbers, numbers), cursors
)


# --- round trips ------------------------------------------------------------------------------------------------------


@given(numbers, st.text(min_size=1, max_size=200), st.booleans(), st.booleans())
def test_bind(session: int, path: str, need: bool, subserver: bool) -> None:
    bind = Bind(session, path, "token", need, subserver)
    assert from_client(fc.build_bind(bind, 14)) == bind


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (14, b'{"migratedPartition":"\xc3\xa9","schemaVersion":7,"sessionReason":1}'),
        (11, b'{"migratedPartition":"\xc3\xa9","schemaVersion":7,"sessionReason":1}'),
        (10, b'{"migratedPartition":"\xc3\xa9","sessionReason":1}'),
        (9, b'{"migratedPartition":"\xc3\xa9"}'),
        (8, b"{}"),
        (7, b""),
    ],
)
def test_flexible_bind_by_version(version: int, text: bytes) -> None:
    flexible = FlexibleBind(session_reason=1, schema_version=7, migrated_partition="é")
    data = fc.build_bind(Bind(1, "", "", True, False, flexible), version)
    assert data == b"bind 1 %d 0 1 0\n" % len(text) + text
    bind = from_client(data, FLX)
    assert isinstance(bind, Bind)
    assert bind.flexible == flexible or version < 11


def test_the_flexible_bind_of_the_original() -> None:
    data = b'bind 1 37 0 1 0\n{"schemaVersion":0,"sessionReason":0}'
    assert fc.build_bind(Bind(1, "", "", True, False, FlexibleBind()), 14) == data
    assert from_client(b"bind 1 0 0 1 0\n", FLX) == Bind(1, "", "", True, False, FlexibleBind())
    unknown = b'{"new":[1],"sessionReason":1}'
    bind = from_client(b"bind 1 %d 0 1 0\n" % len(unknown) + unknown, FLX)
    assert bind == Bind(1, "", "", True, False, FlexibleBind(session_reason=1))


@given(numbers, cursors, numbers, uploads)
def test_upload(session: int, progress: UploadCursor, locked: int, entries: list[UploadChangeset]) -> None:
    data = fc.build_upload(session, progress, locked, encode_upload_entries(entries))
    assert from_client(data) == Upload(session, progress, locked, entries)


@given(numbers, progresses, numbers, downloads)
def test_download(session: int, progress: SyncProgress, remaining: int, entries: list[DownloadChangeset]) -> None:
    body = encode_download_entries(entries)
    data = fs.build_download(session, progress, body, mode=PBS, version=14, downloadable_bytes=remaining)
    assert from_server(data) == Download(session, progress, remaining, entries)


@pytest.mark.parametrize(
    ("version", "fields", "state", "estimate"),
    [
        (14, b" 3 2 0.3333 ", BatchState.STEADY_STATE, 0.3333),
        (13, b" 3 1 0.3333 ", BatchState.LAST_IN_BATCH, 0.3333),
        (12, b" 3 1 0.3333 ", BatchState.LAST_IN_BATCH, 0.3333),
        (11, b" 3 1 0 ", BatchState.LAST_IN_BATCH, 0.0),
        (3, b" 3 1 0 ", BatchState.LAST_IN_BATCH, 0.0),
    ],
)
def test_flexible_download_by_version(version: int, fields: bytes, state: BatchState, estimate: float) -> None:
    data = fs.build_download(
        1, SyncProgress(), encode_download_entries([]), mode=FLX, version=version, query_version=3, estimate=1 / 3
    )
    assert data == b"download 1 0 0 0 0 0 0" + fields + b"0 0 0\n"
    message = from_server(data, FLX, version)
    assert isinstance(message, Download)
    assert (message.query_version, message.batch_state, message.estimate) == (3, state, estimate)


@pytest.mark.parametrize(("fraction", "text"), [(0, b"0"), (1, b"1"), (0.99999, b"0.9999"), (0.5, b"0.5")])
def test_estimates(fraction: float, text: bytes) -> None:
    data = fs.build_download(1, SyncProgress(), encode_download_entries([]), mode=FLX, version=14, estimate=fraction)
    assert data.split(b" ")[10] == text


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_impossible_estimates_are_never_written(fraction: float) -> None:
    with pytest.raises(ValueError, match="estimate"):
        fs.build_download(1, SyncProgress(), encode_download_entries([]), mode=FLX, version=14, estimate=fraction)


@pytest.mark.parametrize(
    ("data", "message", "mode"),
    [
        (fc.build_ident(Ident(1, ClientFileIdent(2, 3), DownloadCursor(4, 5), SaltedVersion(6, 7))), None, PBS),
        (b"ident 1 2 3 4 5 6 7 8 2\n{}", Ident(1, ClientFileIdent(2, 3), (4, 5), (6, 7), 8, "{}"), FLX),  # type: ignore[arg-type]
        (fc.build_query(1, 2, '{"a":"b"}'), Query(1, 2, '{"a":"b"}'), FLX),
        (fc.build_mark(1, 2), Mark(1, 2), PBS),
        (fc.build_unbind(1), Unbind(1), PBS),
        (fc.build_client_json_error(1, 212, 'b"ä'), ClientJsonError(1, 212, 'b"ä'), PBS),
        (fc.build_ping(5, 6), Ping(5, 6), PBS),
        (fc.build_refresh(1, "t"), Refresh(1, "t"), PBS),
        (b"state_request 1 0 0 0 1 9 9\n", RemovedRequest(1, "state_request"), PBS),
        (b"client_version_request 1 2 3\n", RemovedRequest(1, "client_version_request"), PBS),
        (fc.build_test_command(1, 2, '{"command":"x"}'), messages.TestCommand(1, 2, '{"command":"x"}'), PBS),
    ],
)
def test_other_client_messages(data: bytes, message: ClientMessage | None, mode: SyncMode) -> None:
    parsed = from_client(data, mode)
    assert message is None or parsed == message
    if isinstance(parsed, Ident):
        assert fc.build_ident(parsed) == data


@pytest.mark.parametrize(
    ("data", "message", "mode"),
    [
        (fs.build_server_ident(1, ClientFileIdent(2, 3)), ServerIdent(1, ClientFileIdent(2, 3)), PBS),
        (b"mark 1 2\n", Mark(1, 2), PBS),
        (fs.build_query_error(1, 2, 226, "bad"), QueryError(1, 226, "bad", 2), FLX),
        (fs.build_unbound(1), Unbound(1), PBS),
        (fs.build_pong(5), Pong(5), PBS),
        (fs.build_error(Error(1, 204, "no", False)), Error(1, 204, "no", False), PBS),
        (fs.build_log_message(LogMessage(0, "info", "ä", "abc")), LogMessage(0, "info", "ä", "abc"), PBS),
        (b"test_command 1 2 2\nok", messages.TestCommand(1, 2, "ok"), PBS),
    ],
)
def test_other_server_messages(data: bytes, message: ServerMessage, mode: SyncMode) -> None:
    assert from_server(data, mode) == message


def test_the_log_messages_of_the_original() -> None:
    text = b'{"co_id":"6b03c4d310fcf9a2617fabc2","level":"info","msg":"Client connection established with server"}'
    log = LogMessage(0, "info", "Client connection established with server", "6b03c4d310fcf9a2617fabc2")
    assert fs.build_log_message(log) == b"log_message 0 101\n" + text


# --- json_error -------------------------------------------------------------------------------------------------------

REQUIRED = ("isRecoveryModeDisabled", "tryAgain", "message", "logURL", "shouldClientReset", "action")


def json_error(code: int, **changes: object) -> bytes:
    values: dict[str, object] = {
        "isRecoveryModeDisabled": False,
        "tryAgain": True,
        "message": "m",
        "logURL": "u",
        "shouldClientReset": False,
        "action": "Transient",
    }
    values.update(changes)
    text = json.dumps({key: value for key, value in values.items() if value is not None}).encode()
    return b"json_error %d %d 1\n" % (code, len(text)) + text


@pytest.mark.parametrize("code", sorted({100, 101, 200, 208, 212, 226, 228}))
def test_json_error_has_six_keys_at_least(code: int) -> None:
    text = fs.build_json_error(Error(1, code, "m", True)).partition(b"\n")[2]
    assert set(REQUIRED) <= set(json.loads(text))


def test_json_error_with_everything() -> None:
    error = Error(
        session=1,
        code=231,
        message="refused",
        try_again=True,
        action=ErrorAction.WARNING,
        log_url="u",
        backoff=BackoffParameters(3000, 9000, 3),
        rejected_updates=(RejectedUpdate("Dog", "AcDEBw==", "no"),),
        rejected_client_version=12,
        compensating_write_server_version=57,
    )
    assert from_server(fs.build_json_error(error)) == error
    migrate = Error(1, 232, "m", False, ErrorAction.MIGRATE_TO_FLX, partition_query="x == 1")
    assert from_server(fs.build_json_error(migrate)) == migrate
    changed = Error(1, 236, "m", True, ErrorAction.MIGRATE_SCHEMA, previous_schema_version=3)
    assert from_server(fs.build_json_error(changed)) == changed


@pytest.mark.parametrize("key", REQUIRED)
def test_each_required_key_is_required(key: str) -> None:
    with pytest.raises(ProtocolViolationError, match=key):
        from_server(json_error(208, **{key: None}))
    with pytest.raises(ProtocolViolationError, match=key):
        from_server(json_error(208, **{key: 7}))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (231, {}),
        (231, {"compensatingWriteServerVersion": -1}),
        (231, {"compensatingWriteServerVersion": True}),
        (230, {"rejectedUpdates": []}),
        (230, {"rejectedUpdates": [1], "rejectedClientVersion": 1}),
        (230, {"rejectedUpdates": [{"table": "T", "reason": "r"}], "rejectedClientVersion": 1}),
        (230, {"rejectedUpdates": [{"table": "T", "reason": "r", "pk": "?"}], "rejectedClientVersion": 1}),
        (232, {}),
        (232, {"partitionQuery": ""}),
        (236, {}),
        (236, {"previousSchemaVersion": "1"}),
        (200, {"backoffIntervalSec": 1}),
        (200, {"backoffIntervalSec": 1, "backoffMaxDelaySec": 2, "backoffMultiplier": 1.5}),
    ],
)
def test_details_that_a_code_needs(code: int, changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolationError):
        from_server(json_error(code, **changes))


def test_actions() -> None:
    for action in ErrorAction:
        message = from_server(json_error(208, action=str(action)))
        assert isinstance(message, Error)
        assert message.action is action
    unknown = from_server(json_error(208, action="Dance"))
    assert isinstance(unknown, Error)
    assert unknown.action is ErrorAction.APPLICATION_BUG


def test_versions_4_to_6_have_no_action() -> None:
    data = json_error(208, action=None, shouldClientReset=True)
    message = from_server(data, version=6)
    assert isinstance(message, Error)
    assert message.action is ErrorAction.CLIENT_RESET
    no_recovery = from_server(
        json_error(208, action=None, shouldClientReset=True, isRecoveryModeDisabled=True), version=4
    )
    assert isinstance(no_recovery, Error)
    assert no_recovery.action is ErrorAction.CLIENT_RESET_NO_RECOVERY
    plain = from_server(json_error(200, action=None), version=5)
    assert isinstance(plain, Error)
    assert plain.action is None


def test_a_reset_says_so_to_old_clients_too() -> None:
    text = fs.build_json_error(Error(1, 208, "m", False, ErrorAction.CLIENT_RESET_NO_RECOVERY)).partition(b"\n")[2]
    values = json.loads(text)
    assert (values["shouldClientReset"], values["isRecoveryModeDisabled"]) == (True, True)


@pytest.mark.parametrize("code", [231, 232, 236])
def test_a_legacy_error_cannot_carry_details(code: int) -> None:
    with pytest.raises(ProtocolViolationError, match="json_error"):
        from_server(b"error %d 1 0 1\nm" % code)


# --- the lexer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"mark 1 2",
        b"mark\n",
        b"mark \n",
        b"mark 1\n",
        b"mark 1 2 3\n",
        b"mark  1 2\n",
        b"mark 1  2\n",
        b"mark 1 2 \n",
        b" mark 1 2\n",
        b"mark 1 2\r\n",
        b"mark +1 2\n",
        b"mark -1 2\n",
        b"mark 1\t2\n",
        b"mark 1 2\n\n",
        b"mark 1 2\nx",
        b"mark 1 0x2\n",
        b"mark 1 1e3\n",
        b"mark 1 1_0\n",
        b"mark 1 9223372036854775808\n",
        b"mark 1 18446744073709551616\n",
        b"mark 1 " + b"9" * 500 + b"\n",
        b"mark 1 " + b"0" * 500 + b"\n",
        b"mark 1 " + "٣".encode() + b"\n",
        b"Mark 1 2\n",
        b"m\xffrk 1 2\n",
        b"mark " + b"1 " * 2000 + b"\n",
        b"hello 1 2\n",
        b"alloc 1 2\n",
        b"transact 1\n",
    ],
)
def test_bad_heads(data: bytes) -> None:
    for parse in (from_client, from_server):
        with pytest.raises(ProtocolViolationError) as caught:
            parse(data)
        assert caught.value.code == 103


def test_legal_oddities() -> None:
    assert from_client(b"mark 0001 9223372036854775807\n") == Mark(1, 2**63 - 1)
    bind = from_client(b"bind 1 2 0 -1 00\n/a")
    assert bind == Bind(1, "/a", "", True, False)


@pytest.mark.parametrize("text", [b"nan", b"inf", b"1.5", b"-0.1", b"0x1", b"1e999", b"", b"1.", b".5", b"1e-3", b"0"])
def test_fractions(text: bytes) -> None:
    data = b"download 1 0 0 0 0 0 0 0 2 " + text + b" 0 0 0\n"
    if text in (b"1.", b".5", b"1e-3", b"0"):
        assert isinstance(from_server(data, FLX), Download)
    else:
        with pytest.raises(ProtocolViolationError):
            from_server(data, FLX)


@pytest.mark.parametrize("state", [b"3", b"-1", b"255"])
def test_batch_states(state: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        from_server(b"download 1 0 0 0 0 0 0 0 " + state + b" 1 0 0 0\n", FLX)


@pytest.mark.parametrize(
    "data",
    [
        b"bind 1 1025 0 1 0\n" + b"x" * 1025,
        b"bind 1 0 0 1 0\n",
        b"bind 1 2 9000 1 0\n/a" + b"t" * 9000,
        b"bind 1 80 0 1 0\n/example",
        b"bind 1 2 0 1 0\n\xff\xfe",
        b"bind 1 2 0 1\n/a",
        b"json_error 212 3 1\n[1]",
        b"json_error 212 1 1\n{",
        b"query 1 1 2\n{}",
        b"refresh 1 99\nt",
    ],
)
def test_bad_client_messages(data: bytes) -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        from_client(data)
    assert caught.value.code == 103


@pytest.mark.parametrize(
    "text", [b"[]", b"{", b'{"sessionReason":"x"}', b'{"schemaVersion":-1}', b'{"schemaVersion":true}', b"[" * 9000]
)
def test_bad_flexible_binds(text: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        from_client(b"bind 1 %d 0 1 0\n" % len(text) + text, FLX)


def test_lone_surrogates_do_not_come_through() -> None:
    text = b'{"migratedPartition":"\\ud800"}'
    bind = from_client(b"bind 1 %d 0 1 0\n" % len(text) + text, FLX)
    assert isinstance(bind, Bind)
    assert bind.flexible is not None
    assert bind.flexible.migrated_partition == "?"


@pytest.mark.parametrize(
    "data",
    [
        b"ident 1 0 5\n",
        b"ident 1 2 0\n",
        b'log_message 0 25\n{"level":"all","msg":"x"}',
        b"log_message 0 2\n[]",
        b"query_error 226 1 0 1\nx",
    ],
)
def test_bad_server_messages(data: bytes) -> None:
    for mode in (PBS, FLX):
        with pytest.raises(ProtocolViolationError):
            from_server(data, mode)


def test_tolerated_log_messages() -> None:
    assert from_server(b'log_message 9 15\n{"level":"all"}') == LogMessage(9, "debug", "")
    assert from_server(b"log_message 0 2\n{}") == LogMessage(0, "debug", "")
    odd = b'{"level":1,"msg":2,"co_id":[]}'
    assert from_server(b"log_message 0 %d\n" % len(odd) + odd) == LogMessage(0, "debug", "")
