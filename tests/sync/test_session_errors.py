"""What failures lead to, and the errors they become (spec/sessions.md §10.3, §10.5; spec/wire-protocol.md §11)."""

from __future__ import annotations

import pytest

from syncline import errors
from syncline.errors import PATH_OF_REALM_BACKUP_COPY_KEY as PATH
from syncline.errors import SyncError, SyncErrorCode
from syncline.protocol.errors import (
    ERRORS,
    SOCKET_LOST,
    ErrorAction,
    Status,
    close_reaction,
    connect_reaction,
    http_reaction,
)
from syncline.protocol.messages import Error, RejectedUpdate
from syncline.sync.session_errors import (
    Consequence,
    Effect,
    Failure,
    FileActionKind,
    Next,
    consequence,
    sync_error,
)

DELETE, BACK_UP = FileActionKind.DELETE_REALM, FileActionKind.BACK_UP_THEN_DELETE_REALM


def failure(action: ErrorAction | None, *, fatal: bool = False, status: Status = Status.RUNTIME_ERROR) -> Failure:
    return Failure(status, "text", fatal, action, server_code=201)


@pytest.mark.parametrize(
    ("action", "after", "file_action", "report", "effect"),
    [
        (ErrorAction.APPLICATION_BUG, Next.INACTIVE, None, True, None),
        (ErrorAction.PROTOCOL_VIOLATION, Next.INACTIVE, None, True, None),
        (ErrorAction.TRANSIENT, Next.NONE, None, False, None),
        (ErrorAction.DELETE_REALM, Next.INACTIVE, DELETE, True, None),
        (ErrorAction.CLIENT_RESET, Next.INACTIVE, BACK_UP, True, None),
        (ErrorAction.CLIENT_RESET_NO_RECOVERY, Next.INACTIVE, BACK_UP, True, None),
        (ErrorAction.REFRESH_USER, Next.WAITING, None, False, Effect.REFRESH_TOKEN),
        (ErrorAction.REFRESH_LOCATION, Next.NONE, None, False, Effect.REFRESH_LOCATION),
        (ErrorAction.LOG_OUT_USER, Next.INACTIVE, None, True, Effect.LOG_OUT),
        (ErrorAction.MIGRATE_SCHEMA, Next.NONE, None, False, None),
    ],
)
@pytest.mark.parametrize("fatal", [True, False])
def test_actions(
    action: ErrorAction,
    after: Next,
    file_action: FileActionKind | None,
    report: bool,
    effect: Effect | None,
    fatal: bool,
) -> None:
    row = consequence(failure(action, fatal=fatal))
    assert (row.next, row.file_action, row.report, row.effect) == (after, file_action, report, effect)


@pytest.mark.parametrize("action", [ErrorAction.WARNING, None])
def test_without_clear_action_it_depends_on_fatality(action: ErrorAction | None) -> None:
    assert consequence(failure(action, fatal=True)).next is Next.ERROR
    assert consequence(failure(action, fatal=False)).next is Next.NONE
    assert consequence(failure(action, fatal=False)).report


def test_s34_a_refused_permission_has_a_file_action_that_is_not_stored() -> None:
    row = consequence(failure(ErrorAction.APPLICATION_BUG, fatal=True, status=Status.PERMISSION_DENIED))
    assert row.file_action is DELETE
    assert not row.is_stored
    assert consequence(failure(ErrorAction.DELETE_REALM)).is_stored


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (201, errors.ClientInternalError),
        (204, errors.ClientSessionError),
        (206, errors.PermissionDeniedError),
        (208, errors.ClientResetError),
        (209, errors.ClientResetError),
        (211, errors.ClientResetError),
        (212, errors.ClientSessionError),
        (222, errors.ClientResetError),
        (226, errors.SubscriptionFailedError),
        (230, errors.ClientResetError),
        (231, errors.CompensatingWriteError),
    ],
)
def test_kinds_by_code_with_our_server_s_actions(code: int, kind: type[SyncError]) -> None:
    info = ERRORS[code]
    error = sync_error(Failure.of_message(Error(1, code, "text", info.try_again, info.action)))
    assert type(error) is kind
    assert error.server_code == error.status_code == code
    assert error.status == info.status
    assert error.action == info.action
    assert error.is_fatal == (not info.try_again)
    assert not error.is_unrecognized
    assert error.user_info["statusCode"] == code


def test_every_code_has_a_kind() -> None:
    for code, info in ERRORS.items():
        for action in (None, info.action):
            failure = Failure.of_message(Error(1, code, "text", info.try_again, action))
            assert isinstance(sync_error(failure), SyncError)
            consequence(failure)


RESET_BY_CODE = (207, 208, 209, 210, 211, 222, 227, 228, 230)
BACKED_UP_BY_CODE = (216, 217, 218, 219, 220)
QUIET_BY_CODE = (100, 101, 200, 201, 213, 229)


def legacy(code: int, *, fatal: bool = True) -> Failure:
    return Failure.of_message(Error(0 if code < 200 else 1, code, "text", try_again=not fatal))


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_10_4_a_legacy_error_leads_to_what_its_code_says(code: int) -> None:
    error, row = sync_error(legacy(code), {PATH: "/backup"}), consequence(legacy(code))
    assert not error.is_unrecognized
    if code in RESET_BY_CODE:
        assert (type(error), row) == (errors.ClientResetError, Consequence(Next.INACTIVE, True, BACK_UP))
    elif code in BACKED_UP_BY_CODE:
        assert (type(error), row) == (errors.ClientSessionError, Consequence(Next.INACTIVE, True, BACK_UP))
    elif code == 206:
        assert (type(error), row) == (errors.PermissionDeniedError, Consequence(Next.INACTIVE, True, DELETE))
    elif code == 202:
        assert row == Consequence(Next.WAITING, False, effect=Effect.REFRESH_TOKEN)
    elif code == 203:
        assert (type(error), row) == (
            errors.ClientUserError,
            Consequence(Next.ERROR, True, effect=Effect.INVALIDATE_USER),
        )
    else:
        assert row == Consequence(Next.ERROR, True), "fatal: told, whatever it is"
        kinds = {226: errors.SubscriptionFailedError, 231: errors.CompensatingWriteError}
        usual = errors.ClientInternalError if code < 200 else errors.ClientSessionError
        assert type(error) is kinds.get(code, usual)
    assert (error.backup_path is not None) == (code in RESET_BY_CODE)


@pytest.mark.parametrize("code", sorted(ERRORS.keys() - {202, 203, 206, *RESET_BY_CODE, *BACKED_UP_BY_CODE}))
def test_10_4_a_legacy_error_that_is_not_fatal_changes_nothing(code: int) -> None:
    row = consequence(legacy(code, fatal=False))
    assert row == Consequence(Next.NONE, report=code >= 200 and code not in QUIET_BY_CODE)


@pytest.mark.parametrize("fatal", [True, False])
def test_10_4_an_unknown_code_is_told_if_it_is_fatal(fatal: bool) -> None:
    assert sync_error(legacy(299, fatal=fatal)).is_unrecognized
    assert type(sync_error(legacy(299))) is errors.ClientInternalError
    assert consequence(legacy(299, fatal=fatal)) == Consequence(Next.ERROR if fatal else Next.NONE, fatal)


def test_a_generic_warning_is_a_server_warning() -> None:
    assert isinstance(sync_error(failure(ErrorAction.WARNING)), errors.ServerWarningError)


def test_10_5_every_warning_is_told_and_an_ended_connection_is_not() -> None:
    assert consequence(failure(ErrorAction.WARNING, status=Status.CONNECTION_CLOSED)).report
    lost = failure(None, status=Status.CONNECTION_CLOSED)._replace(server_code=None)
    assert not consequence(lost).report


def test_10_3_a_warning_of_our_own_is_not_the_server_s() -> None:
    own = Failure(Status.RUNTIME_ERROR, "the disk is full", False, ErrorAction.WARNING)
    assert isinstance(sync_error(own), errors.ClientInternalError)


def test_compensating_writes_are_listed() -> None:
    message = Error(1, 231, "m", True, ErrorAction.WARNING, rejected_updates=(RejectedUpdate("Dog", "AQ==", "why"),))
    error = sync_error(Failure.of_message(message))
    assert error.user_info["compensating_writes"] == error.compensating_writes == [("Dog", "AQ==", "why")]
    assert sync_error(failure(ErrorAction.WARNING)).compensating_writes == []


def test_ends_of_connections() -> None:
    lost = Failure.of_connection(SOCKET_LOST, "lost")
    assert not consequence(lost).report
    refused = Failure.of_connection(connect_reaction(timed_out=False, is_verified=True), "refused")
    assert isinstance(sync_error(refused), errors.ConnectionFailedError)
    assert consequence(refused).report
    slow = sync_error(Failure.of_connection(connect_reaction(timed_out=True, is_verified=True), "slow"))
    assert isinstance(slow, TimeoutError)
    assert slow.status == "SyncConnectTimeout"
    for status, after, effect in [
        (401, Next.NONE, Effect.REFRESH_TOKEN),
        (403, Next.INACTIVE, Effect.LOG_OUT),
        (301, Next.NONE, Effect.REFRESH_LOCATION),
        (404, Next.ERROR, None),
    ]:
        row = consequence(Failure.of_connection(http_reaction(status, is_verified=True), "x"))
        assert (row.next, row.effect) == (after, effect)
    busy = consequence(Failure.of_connection(http_reaction(503, is_verified=True), "x"))
    assert not busy.report
    oversize = close_reaction(1009)
    assert oversize is not None
    assert consequence(Failure.of_connection(oversize, "x")).file_action is BACK_UP


def test_10_5_an_automatic_reset_that_failed_is_a_manual_one() -> None:
    failed = Failure(Status.AUTO_CLIENT_RESET_FAILED, "cannot", True)
    assert consequence(failed).file_action is BACK_UP
    assert consequence(failed).next is Next.INACTIVE
    error = sync_error(failed)
    assert isinstance(error, errors.ClientResetError)
    assert error.status == "AutoClientResetFailed"


def test_10_3_codes_have_the_names_and_values_of_the_original() -> None:
    assert {name: int(code) for name, code in SyncErrorCode.__members__.items() if name in NAMES} == NAMES
    assert {code.value for code in errors.SyncPermissionErrorCode} == {1, 2, 3, 4, 5}
    assert {int(code) for code in errors.SyncAuthErrorCode} == {
        1,
        2,
        3,
        4,
        601,
        602,
        611,
        612,
        613,
        614,
        615,
        701,
        702,
        703,
    }
    assert (errors.SyncError.domain, errors.SyncAuthError.domain, errors.SyncPermissionError.domain) == (
        "io.realm.sync",
        "io.realm.sync.auth",
        "io.realm.sync.permission",
    )


NAMES = {
    "CLIENT_SESSION_ERROR": 4,
    "CLIENT_USER_ERROR": 5,
    "CLIENT_INTERNAL_ERROR": 6,
    "CLIENT_RESET_ERROR": 7,
    "UNDERLYING_AUTH_ERROR": 8,
    "PERMISSION_DENIED_ERROR": 9,
    "INVALID_FLEXIBLE_SYNC_SUBSCRIPTIONS": 10,
    "WRITE_REJECTED": 11,
    "CONNECTION_FAILED": 12,
    "TLS_HANDSHAKE_FAILED": 13,
    "SERVER_WARNING": 14,
}


def test_10_1_what_errors_of_calls_carry() -> None:
    refused = errors.SyncAuthError("no", http_status=418)
    assert refused.user_info == {"statusCode": 418}
    assert errors.SyncAuthError("garbage").user_info == {}
    denied = errors.SyncPermissionError("no", code=errors.SyncPermissionErrorCode.OFFER_FAILED)
    assert denied.code == 3
    assert str(denied) == denied.message == "no"


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_10_3_every_class_says_what_it_means(kind: type) -> None:
    if issubclass(kind, errors.SynclineError):
        assert kind.__doc__
