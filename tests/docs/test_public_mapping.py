"""Every Python name of spec/sessions.md §19 is public, and takes what is said there."""

from __future__ import annotations

import inspect
import re
from enum import IntEnum
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

import syncline

SPEC = Path(__file__).parents[2] / "docs" / "spec" / "sessions.md"

ENUMS = {
    "SyncSessionState": {"ACTIVE": 0, "INACTIVE": 1, "INVALID": 2},
    "ConnectionState": {"DISCONNECTED": 0, "CONNECTING": 1, "CONNECTED": 2},
    "ProgressDirection": {"UPLOAD": 0, "DOWNLOAD": 1},
    "ProgressMode": {"REPORT_INDEFINITELY": 0, "FOR_CURRENTLY_OUTSTANDING_WORK": 1},
    "SyncStopPolicy": {"IMMEDIATELY": 0, "LIVE_INDEFINITELY": 1, "AFTER_CHANGES_UPLOADED": 2},
    "SyncUserState": {"LOGGED_OUT": 0, "ACTIVE": 1, "ERROR": 2},
    "SyncLogLevel": dict(
        zip(("OFF", "FATAL", "ERROR", "WARN", "INFO", "DETAIL", "DEBUG", "TRACE", "ALL"), range(9), strict=True)
    ),
}

PROPERTIES = """
SyncSession: state connection_state realm_url user path
SyncProgress: is_complete
ProgressNotificationToken: is_valid
ErrorActionToken: is_valid
Realm: sync_session
SyncConfiguration: is_partial
SyncUser: identity refresh_token authentication_server is_admin state
SyncManager: log_level logger custom_request_headers
SyncError: action_token backup_path
"""

CALLS = """
SyncSession.observe_connection_state(callback, *, executor=None)
SyncSession.connection_states()
SyncSession.wait_for_connection_state(state, timeout=None)
SyncSession.parent_user()
SyncSession.configuration()
SyncSession.suspend()
SyncSession.resume()
SyncSession.suspended()
SyncSession.pause()
SyncSession.unpause()
SyncSession.reconnect()
SyncSession.add_progress_notification(direction, mode, callback, *, executor=None)
SyncSession.progress_notification(direction, mode, callback)
SyncSession.progress(direction, mode)
SyncSession.wait_for_upload(timeout=None)
SyncSession.wait_for_upload_async()
SyncSession.on_upload_complete(callback)
SyncSession.wait_for_download(timeout=None)
SyncSession.wait_for_download_async()
SyncSession.on_download_complete(callback)
SyncSession.immediately_handle_error(token)
SyncSession.for_realm(realm)
session_for_realm(realm)
NotificationToken.invalidate()
SyncManager.shared()
SyncManager.reconnect()
SyncManager.network_reachability_changed(reachable)
SyncManager.wait_for_sessions_to_terminate(timeout=None)
SyncManager.all_users()
SyncConfiguration.replace()
SyncConfiguration.automatic(user=None)
SyncUser.all()
SyncUser.current()
SyncUser.log_in(credentials, auth_server_url, *, app_id=None, timeout=30)
SyncUser.log_in_async(credentials, auth_server_url, *, app_id=None, timeout=30)
SyncUser.configuration(url=None, *, full_synchronization=True, enable_ssl_validation=True, url_prefix=None)
SyncUser.log_out(*, delete_data=False)
SyncUser.session_for_url(url)
SyncUser.all_sessions()
SyncCredentials.facebook(t)
SyncCredentials.google(t)
SyncCredentials.cloudkit(t)
SyncCredentials.username_password(name, password, register=False)
SyncCredentials.jwt(t)
SyncCredentials.anonymous()
SyncCredentials.nickname(n, is_admin=False)
SyncCredentials.access_token(t, identity)
SyncCredentials.custom_refresh_token(t, identity, is_admin)
SyncCredentials.api_key(key)
SyncCredentials.function(payload)
SyncCredentials.apple(id_token)
Realm.open_async(config, *, timeout=None, on_complete=None, executor=None)
AsyncOpenTask.add_progress_notification(callback, *, executor=None)
AsyncOpenTask.cancel()
"""

ATTRIBUTES = """
SyncManager: error_handler app_id user_agent authorization_header_name pinned_certificate_paths timeout_options
SyncTimeoutOptions: connect_timeout connection_linger_time ping_keepalive_period pong_keepalive_timeout
SyncTimeoutOptions: fast_reconnect_limit
SyncProgress: transferred_bytes transferrable_bytes progress_estimate
SyncConfiguration: user realm_url enable_ssl_validation pinned_certificate_path full_synchronization url_prefix
SyncConfiguration: stop_policy path cancel_async_open_on_non_fatal_errors client_reset_mode before_client_reset
SyncConfiguration: after_client_reset manual_client_reset_handler
RealmConfiguration: sync
SyncError: user_info
"""


def public(name: str) -> Any:
    first, *rest = name.split(".")
    assert first in syncline.__all__, name
    return reduce(getattr, rest, getattr(syncline, first))


def pairs(table: str) -> list[tuple[str, str]]:
    return [(line.split(": ")[0], name) for line in table.strip().splitlines() for name in line.split(": ")[1].split()]


@pytest.mark.parametrize("name", ENUMS)
def test_enumerations_have_the_values_of_the_first_sdks(name: str) -> None:
    assert issubclass(public(name), IntEnum)
    assert {member.name: member.value for member in public(name)} == ENUMS[name]


@pytest.mark.parametrize("pair", pairs(PROPERTIES), ids=".".join)
def test_what_is_cheap_and_without_arguments_is_a_property(pair: tuple[str, str]) -> None:
    owner, name = pair
    assert isinstance(inspect.getattr_static(public(owner), name), property)


@pytest.mark.parametrize("pair", pairs(ATTRIBUTES), ids=".".join)
def test_what_can_be_set_is_named_as_specified(pair: tuple[str, str]) -> None:
    owner, name = pair
    cls = public(owner)
    known = {*getattr(cls, "__dataclass_fields__", {}), *inspect.signature(cls).parameters, *dir(cls)}
    sources = [inspect.getsource(base) for base in cls.__mro__ if base.__module__.startswith("syncline.")]
    assert name in known or any(re.search(rf"self\.{name}\b.*=", source) for source in sources), name


@pytest.mark.parametrize("line", CALLS.strip().splitlines())
def test_calls_take_what_is_specified(line: str) -> None:
    name, _, rest = line.partition("(")
    wanted = inspect.signature(eval(f"lambda {rest[:-1]}: None")).parameters.values()
    present = inspect.signature(public(name)).parameters
    own = [one for one in present.values() if one.name not in ("self", "cls")]
    positional = [one for one in own if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    for place, parameter in enumerate(wanted):
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            there = present[parameter.name]
        else:
            there = positional[place]  # by whatever name
        assert parameter.default in (there.default, inspect.Parameter.empty)


@pytest.mark.parametrize("number", ["19.1", "19.3", "19.4", "19.7"])
def test_every_name_of_the_specification_is_looked_for(number: str) -> None:
    checked = set(re.findall(r"\w+", CALLS + PROPERTIES + ATTRIBUTES + " ".join(ENUMS)))
    part = SPEC.read_text(encoding="utf-8").partition(f"### {number} ")[2].partition("\n### ")[0].partition("\n---")[0]
    rows = re.findall(r"^\| .+ \|$", part.replace(r"\|", "/"), re.MULTILINE)[1:]
    assert len(rows) > 3
    for row in rows:
        for code in re.findall(r"`([^`]+)`", row.split(" | ")[1]):
            head = re.sub(r"^(class|@dataclass\S+|await|with|async for old, new in) ", "", code)
            names = re.match(r"[\w.]+", head)
            assert names, code
            if not (names[0].isupper() or names[0].startswith("_")):  # members of enumerations are checked with them
                assert set(names[0].split(".")) <= checked | {"session", "realm", "Callable", "download"}, code
