"""SyncConfiguration: which Realm of which user a local file is synced with (spec/sessions.md §17.1)."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from syncline.errors import ConfigurationError, IllegalCombinationError
from syncline.storage.kept_changes import KEEP_BYTES
from syncline.sync.location import SOCKET_SCHEMES
from syncline.sync.states import ClientResetMode, SyncStopPolicy, SyncUserState
from syncline.values import ObjectId

if TYPE_CHECKING:
    from syncline.sync.user import SyncUser

__all__ = ["NO_PARTITION", "SyncConfiguration"]

NO_PARTITION: Final = object()
"""Default of ``partition_value``: None is a partition value of its own."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FORBIDDEN_ENDS: Final = (".realm", ".realm.lock", ".realm.management")
_MAX_SEGMENTS: Final = 64
_MAX_SEGMENT_BYTES: Final = 128
_MAX_PATH_BYTES: Final = 512
_DEFAULT_PORTS: Final = {"realm": 80, "ws": 80, "http": 80, "realms": 443, "wss": 443, "https": 443}


@dataclass(frozen=True, eq=False)
class SyncConfiguration:
    """How a Realm is synced. Frozen: :meth:`replace` makes a changed copy.

    Exactly one of ``realm_url`` (``realm://host/~/path``, ``realms://…`` or a bare path), ``partition_value`` (text,
    int, ObjectId, UUID or None) and ``flexible=True`` names the Realm. ``~`` as the first segment is the identity of
    the user.

    Args:
        user: whose Realm it is; must not be in the state ERROR.
        path: the local file; by default a name made from user and Realm (spec/sessions.md §15).
        stop_policy: what happens when the last Realm of the file is closed.
        client_reset_mode: by default :attr:`SyncManager.default_client_reset_mode`.
        cancel_async_open_on_non_fatal_errors: connection errors fail pending waits and async opens.
        recovery_directory: name of a directory inside the sync root for backups.
        url_prefix: path of the sync socket, for users that name a socket address; else without effect.
        pinned_certificate_path: certificates to trust for this Realm instead of the system's; by default what
            :attr:`SyncManager.pinned_certificate_paths` says of the host.
        authorization_header_name: header that carries the access token to the socket, besides its address; by default
            :attr:`SyncManager.authorization_header_name`.
        kept_conflict_bytes: how much of the changes that met others in merges the file keeps, for ``syncline why``.

    Raises ConfigurationError for a Realm that cannot exist and IllegalCombinationError for settings that exclude each
    other. Two configurations are equal if Realm, user, stop policy and ``full_synchronization`` are.
    """

    user: SyncUser
    realm_url: str | None = None
    partition_value: Any = dataclasses.field(default=NO_PARTITION, kw_only=True)
    flexible: bool = dataclasses.field(default=False, kw_only=True)
    path: str | None = dataclasses.field(default=None, kw_only=True)
    full_synchronization: bool = dataclasses.field(default=True, kw_only=True)
    enable_ssl_validation: bool = dataclasses.field(default=True, kw_only=True)
    pinned_certificate_path: str | None = dataclasses.field(default=None, kw_only=True)
    authorization_header_name: str | None = dataclasses.field(default=None, kw_only=True)
    url_prefix: str | None = dataclasses.field(default=None, kw_only=True)
    stop_policy: SyncStopPolicy = dataclasses.field(default=SyncStopPolicy.AFTER_CHANGES_UPLOADED, kw_only=True)
    cancel_async_open_on_non_fatal_errors: bool = dataclasses.field(default=False, kw_only=True)
    client_reset_mode: ClientResetMode | None = dataclasses.field(default=None, kw_only=True)
    before_client_reset: Callable[..., Any] | None = dataclasses.field(default=None, kw_only=True)
    after_client_reset: Callable[..., Any] | None = dataclasses.field(default=None, kw_only=True)
    manual_client_reset_handler: Callable[..., Any] | None = dataclasses.field(default=None, kw_only=True)
    recovery_directory: str | None = dataclasses.field(default=None, kw_only=True)
    initial_subscriptions: Callable[..., Any] | None = dataclasses.field(default=None, kw_only=True)
    rerun_on_open: bool = dataclasses.field(default=False, kw_only=True)
    kept_conflict_bytes: int = dataclasses.field(default=KEEP_BYTES, kw_only=True)

    def __post_init__(self) -> None:
        if self.user.state is SyncUserState.ERROR:
            raise ConfigurationError(f"user {self.user.identity} is in the state ERROR; log in again first")
        if self.client_reset_mode is None:
            object.__setattr__(self, "client_reset_mode", self.user.manager.default_client_reset_mode)
        manager = self.user.manager
        if self.pinned_certificate_path is None:
            server, socket = self.user.authentication_server, self.user.sync_route
            pinned = manager.pinned_certificate_for(socket) or manager.pinned_certificate_for(server)
            object.__setattr__(self, "pinned_certificate_path", pinned)
        if self.authorization_header_name is None:
            object.__setattr__(self, "authorization_header_name", manager.authorization_header_name)
        if self.path is not None:
            object.__setattr__(self, "path", os.path.abspath(os.fspath(self.path)))
        if self.kept_conflict_bytes < 0:
            raise ConfigurationError(f"kept_conflict_bytes is {self.kept_conflict_bytes}; it cannot be negative")
        self._check_combination()
        self._check_names()

    def _check_combination(self) -> None:
        named = (self.realm_url is not None) + (self.partition_value is not NO_PARTITION) + self.flexible
        if named != 1:
            raise IllegalCombinationError(
                "give exactly one of realm_url, partition_value and flexible=True; "
                + ("none was given" if named == 0 else "several were given")
            )
        if self.is_partial and not self.flexible:
            raise IllegalCombinationError(
                "a partial view of one Realm does not exist on the present protocol: use flexible=True"
            )
        manual = self.client_reset_mode is ClientResetMode.MANUAL
        if manual and (self.before_client_reset is not None or self.after_client_reset is not None):
            raise IllegalCombinationError("before_client_reset and after_client_reset need an automatic reset mode")
        if not manual and self.manual_client_reset_handler is not None:
            raise IllegalCombinationError("manual_client_reset_handler needs client_reset_mode=ClientResetMode.MANUAL")

    def _check_names(self) -> None:
        if self.realm_url is not None:
            _ = self.realm_path
        elif not self.flexible:
            _ = self.bind_path
        if self.recovery_directory is not None and os.path.basename(self.recovery_directory) != self.recovery_directory:
            raise ConfigurationError(f"recovery_directory is a name, not a path: {self.recovery_directory!r}")

    @classmethod
    def automatic(cls, user: SyncUser | None = None) -> SyncConfiguration:
        """The default Realm of ``user``, or of the one logged-in user: ``/default`` on the user's server."""
        if user is None:
            from syncline.sync.manager import SyncManager

            user = SyncManager.shared().current_user()
            if user is None:
                raise ConfigurationError("nobody is logged in: log in, or give a user")
        return cls(user, "/default")

    def replace(self, **changes: Any) -> SyncConfiguration:
        """A copy with ``changes``, checked like a new configuration."""
        return dataclasses.replace(self, **changes)

    def at(self, path: str) -> SyncConfiguration:
        """A copy for the local file at ``path``, not checked again: the user may have lost the right to it since."""
        placed = copy.copy(self)
        object.__setattr__(placed, "path", path)
        return placed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncConfiguration):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        partition = None if self.partition_value is NO_PARTITION else self.bind_path
        return (self.user, self.realm_url, partition, self.flexible, self.stop_policy, self.full_synchronization)

    @property
    def is_partial(self) -> bool:
        """Deprecated: the opposite of ``full_synchronization``."""
        return not self.full_synchronization

    # --- names of the Realm -------------------------------------------------------------------------------------------

    @property
    def reference_url(self) -> str:
        """The unresolved URL of a Realm named by URL or path (``~`` stays): what its local file is named after."""
        assert self.realm_url is not None
        if "://" in self.realm_url:
            return self.realm_url
        return self._server_origin() + _rooted(self.realm_url)

    @property
    def realm_path(self) -> str:
        """The resolved path of a Realm named by URL or path: what BIND carries (spec/http-api.md §8.2)."""
        assert self.realm_url is not None
        url = self.realm_url
        if "://" in url:
            self._check_host(url)
            path = unquote(urlsplit(url).path)
        elif self.user.is_direct:
            return url  # a bare server without accounts: whatever it is given, it decides itself
        else:
            path = unquote(url.partition("?")[0].partition("#")[0])
        return _checked_path(path, self.user.identity, url)

    @property
    def resolved_url(self) -> str:
        """Where on the server the Realm is, with the identity in place of ``~`` (spec/sessions.md §3.7)."""
        if self.realm_url is None:
            return self.user.sync_route
        origin = self._server_origin()
        if "://" in self.realm_url:
            parts = urlsplit(self.realm_url)
            origin = f"{parts.scheme}://{parts.netloc}"
        return origin + _rooted(self.realm_path)

    @property
    def bind_path(self) -> str:
        """The text that names the Realm in BIND: path or partition value; empty for flexible sync."""
        if self.flexible:
            return ""
        if self.realm_url is not None:
            return self.realm_path
        return _extended_json(self.partition_value)

    @property
    def partition_name(self) -> str:
        """The name of the local file of a Realm named by partition, without suffix (spec/sessions.md §15.2)."""
        if self.flexible:
            return "flx_sync_default"
        value = self.partition_value
        if value is None:
            return "null"
        if isinstance(value, str):
            return f"s_{value}"
        if isinstance(value, int):
            return f"l_{value}"
        return f"{'o' if isinstance(value, ObjectId) else 'u'}_{value}"

    def _server_origin(self) -> str:
        parts = urlsplit(self.user.authentication_server)
        secure = parts.scheme in ("https", "wss", "realms")
        return f"{'realms' if secure else 'realm'}://{parts.netloc}"

    def _check_host(self, url: str) -> None:
        try:
            parts, server = urlsplit(url), urlsplit(self.user.authentication_server)
            port, server_port = parts.port, server.port
        except ValueError as error:
            raise ConfigurationError(f"{url!r} is not the URL of a Realm: {error}") from error
        schemes = SOCKET_SCHEMES if self.user.is_direct else ("realm", "realms")
        if parts.scheme not in schemes:
            raise ConfigurationError(
                f"{url!r} is not the URL of a Realm: it must start with {' or '.join(s + '://' for s in schemes)}"
            )
        server_port = server_port or _DEFAULT_PORTS.get(server.scheme)
        if parts.hostname != server.hostname or (port is not None and port != server_port):
            raise ConfigurationError(
                f"{url!r} is on another server than its user, who is logged in at {self.user.authentication_server}"
            )


def _rooted(path: str) -> str:
    return path if path.startswith("/") else "/" + path


def _checked_path(path: str, identity: str, given: str) -> str:
    """``path`` with ``~`` resolved, if it is the path of a Realm (spec/http-api.md §8.2)."""
    segments = _rooted(path)[1:].split("/")
    if segments[0] == "~":
        segments[0] = identity
    if "__partial" in segments:
        raise ConfigurationError(f"{given!r}: partial Realms have no URL; use flexible=True")
    fine = len(segments) <= _MAX_SEGMENTS and all(_is_segment(segment) for segment in segments)
    resolved = "/" + "/".join(segments)
    if not fine or len(resolved) > _MAX_PATH_BYTES:
        raise ConfigurationError(
            f"{given!r} is not the path of a Realm: its segments are letters, digits, '_', '-' and '.', do not start "
            f"with '.' and do not end in '.realm'; '~' may only be the first"
        )
    return resolved


def _is_segment(segment: str) -> bool:
    return (
        _SEGMENT.fullmatch(segment) is not None
        and len(segment) <= _MAX_SEGMENT_BYTES
        and not segment.endswith(_FORBIDDEN_ENDS)
    )


def _extended_json(value: Any) -> str:
    """A partition value as canonical extended JSON (spec/http-api.md §6.4)."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return json.dumps({"$numberLong": str(value)}, separators=(",", ":"))
    if isinstance(value, ObjectId):
        return json.dumps({"$oid": str(value)}, separators=(",", ":"))
    if isinstance(value, uuid.UUID):
        binary = {"base64": base64.b64encode(value.bytes).decode(), "subType": "04"}
        return json.dumps({"$binary": binary}, separators=(",", ":"))
    raise ConfigurationError(
        f"a partition value is text, an int of 64 bits, an ObjectId, a UUID or None, not {type(value).__name__}"
    )
