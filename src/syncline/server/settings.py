"""Every limit, place and switch of the server, each a named setting with a default.

A setting comes from, in this order: the command line, the environment (``SYNCLINE_`` and the name in capitals), the
default here. Rules behind the defaults: spec/http-api.md §4.3, §10.8, §10.12; spec/wire-protocol.md §12.1.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["ENVIRONMENT_PREFIX", "Settings", "SettingsError", "is_loopback"]

ENVIRONMENT_PREFIX: Final = "SYNCLINE_"

MIB: Final = 1024 * 1024
_APP_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})


class SettingsError(ValueError):
    """A setting that makes no sense, or settings that would make the server unsafe; the message says what to change."""


def setting(default: Any, meaning: str) -> Any:
    """A field of :class:`Settings` with the sentence that documents it."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of one server process. Immutable; ``dataclasses.replace`` makes a changed copy.

    Sizes are in bytes, times in seconds, unless the sentence says otherwise.
    """

    # where
    data: Path = setting(Path("syncline-data"), "Folder for everything the server keeps; made if missing.")  # noqa: RUF009
    host: str = setting("localhost", "Name or address to listen on; localhost means IPv4 and IPv6 loopback.")
    port: int = setting(9080, "TCP port to listen on; 0 takes a free one.")
    public_url: str | None = setting(None, "URL under which clients reach this server, if not http(s)://host:port.")
    app_ids: tuple[str, ...] = setting(("default",), "App ids served; development mode serves every app id.")
    allowed_hosts: tuple[str, ...] = setting((), "Accepted Host headers besides the public URL's; without either, any.")
    allowed_origins: tuple[str, ...] = setting((), "Browser origins allowed to call (CORS and WebSocket).")

    # who
    dev: bool = setting(False, "Development mode: open to everyone on this machine, and to nobody else.")
    open_registration: bool = setting(False, "Anyone may register an account with a password.")
    anonymous_login: bool = setting(False, "Anyone may log in without an account.")
    insecure_http: bool = setting(False, "Allow plain HTTP on addresses other than loopback.")
    tls_certificate: Path | None = setting(None, "PEM file with the certificate chain; turns TLS on.")  # noqa: RUF009
    tls_key: Path | None = setting(None, "PEM file with the certificate's private key.")  # noqa: RUF009
    schema_changes: str = setting("", "Who may change schemas: admin, additive or none; empty: by mode (§10.2).")
    access_token_lifetime: int = setting(30 * 60, "Life of an access token.")
    refresh_token_lifetime: int = setting(60 * 86_400, "Life of a refresh token.")
    token_leeway: int = setting(30, "Difference of clocks that is forgiven when tokens are checked.")
    token_grace: int = setting(5 * 60, "How long a connection may outlive its access token.")
    password_minimum: int = setting(8, "Shortest password, in characters.")
    password_maximum: int = setting(128, "Longest password, in characters.")
    argon2_memory: int = setting(64 * 1024, "Memory per password hash, in KiB.")
    argon2_passes: int = setting(3, "Passes per password hash.")

    # how often
    logins_per_minute: int = setting(30, "Logins per minute from one address.")
    registrations_per_hour: int = setting(10, "Registrations per hour from one address.")
    anonymous_per_hour: int = setting(60, "New anonymous users per hour from one address.")
    refreshes_per_minute: int = setting(30, "Token refreshes per minute of one login session (twice that at once).")
    upgrades_per_minute: int = setting(600, "New sync connections per minute from one address.")
    user_upgrades_per_minute: int = setting(60, "New sync connections per minute of one user.")
    trusted_proxies: int = setting(0, "Proxies in front whose X-Forwarded-For tells the client's address.")
    login_failures: int = setting(5, "Failed logins of one name from one address before waits begin.")
    hash_queue: int = setting(64, "Password checks waiting for a processor before new ones are turned away.")

    # how much
    max_request_bytes: int = setting(100 * 1024, "Largest body of an HTTP request.")
    max_message_bytes: int = setting(64 * MIB, "Largest WebSocket message.")
    max_inflated_bytes: int = setting(256 * MIB, "Largest body of an UPLOAD after decompression.")
    max_sessions_per_connection: int = setting(500, "Sessions on one connection.")
    idle_timeout: int = setting(1800, "A connection that sends nothing for so long is cut.")
    download_bytes: int = setting(MIB, "Soft limit of one DOWNLOAD: changeset bytes before compression.")
    group_bytes: int = setting(8 * MIB, "Changeset bytes after which a commit group takes no more uploads.")
    group_uploads: int = setting(512, "Messages after which a commit group takes no more.")
    backlog_bytes: int = setting(32 * MIB, "Bytes of uploads waiting for one Realm before its clients are not read.")
    max_open_realms: int = setting(256, "Realm files kept open.")
    tail_cache_bytes: int = setting(64 * MIB, "Newest changesets of active Realms kept in memory, all together.")
    body_cache_bytes: int = setting(64 * MIB, "Encoded DOWNLOAD bodies kept in memory, all together.")
    footprint_cache_bytes: int = setting(16 * MIB, "Knowledge of what changesets touch, which spares decoding them.")
    keep_originals: bool = setting(True, "Keep uploads that merging changed as they were, for `syncline why`.")
    worker_threads: int = setting(0, "Threads for databases and compression; 0: by the number of processors.")

    # what is said
    log_level: str = setting("info", "debug, info, warning or error.")
    log_json: bool = setting(False, "Write the log as JSON lines.")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"port is {self.port}; a TCP port is a number from 0 to 65535")
        for app_id in self.app_ids:
            if not _APP_ID.fullmatch(app_id):
                raise SettingsError(f"app id {app_id!r} is not 1 to 64 letters, digits, _ or -")
        if self.schema_changes not in ("", "admin", "additive", "none"):
            raise SettingsError(f"schema_changes is {self.schema_changes!r}; choose admin, additive or none")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise SettingsError(f"log_level is {self.log_level!r}; choose debug, info, warning or error")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("TLS needs both tls_certificate and tls_key")
        if self.public_url is not None and not re.match(r"https?://[^/]", self.public_url):
            raise SettingsError(f"public_url is {self.public_url!r}; write it as https://sync.example.org")
        for name in _positive_names():
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be greater than 0")

    def check_binding(self) -> None:
        """Refuse to serve in a way that exposes data: called before a socket is opened.

        Raises:
            SettingsError: development mode, or plain HTTP, on a public address (spec/http-api.md §10.12).
        """
        if is_loopback(self.host):
            return
        if self.dev:
            raise SettingsError(
                f"development mode serves this machine only, not {self.host}: drop --host, or start without --dev"
            )
        if self.tls_certificate is None and not self.insecure_http:
            raise SettingsError(
                f"serving {self.host} needs TLS: give --tls-certificate and --tls-key, or --insecure-http "
                "if a proxy in front of the server does it"
            )

    def check_files(self) -> None:
        """Look whether the files of TLS are there. Raises SettingsError."""
        for name in ("tls_certificate", "tls_key"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise SettingsError(f"{name} is {path}; there is no such file")

    @property
    def anonymous_allowed(self) -> bool:
        return self.dev or self.anonymous_login

    @property
    def registration_allowed(self) -> bool:
        return self.dev or self.open_registration

    @property
    def schema_policy(self) -> str:
        """``admin``, ``additive`` or ``none`` (spec/http-api.md §10.2)."""
        return self.schema_changes or ("additive" if self.dev else "none")

    @property
    def threads(self) -> int:
        """Number of worker threads."""
        return self.worker_threads or min(32, (os.cpu_count() or 1) + 4)

    def serves_app(self, app_id: str) -> bool:
        """True if this server knows the app."""
        return app_id in self.app_ids or (self.dev and _APP_ID.fullmatch(app_id) is not None)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from the values ``given`` (None means not given), then the environment, then the defaults.

        Raises:
            SettingsError: a value that cannot be read or makes no sense.
        """
        values = {name: value for name, value in given.items() if value is not None}
        variables = os.environ if environment is None else environment
        for item in dataclasses.fields(cls):
            variable = ENVIRONMENT_PREFIX + item.name.upper()
            if item.name not in values and variable in variables:
                values[item.name] = _read(item.name, str(item.type), variables[variable], variable)
        return cls(**values)

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """The sentence that documents each setting, by name."""
        return {item.name: str(item.metadata["meaning"]) for item in dataclasses.fields(cls)}


def is_loopback(host: str) -> bool:
    """True if only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _positive_names() -> list[str]:
    allowed_zero = {"port", "worker_threads", "trusted_proxies", "token_leeway", "token_grace"}
    return [f.name for f in dataclasses.fields(Settings) if str(f.type) == "int" and f.name not in allowed_zero]


def _read(name: str, kind: str, text: str, variable: str) -> Any:
    if kind == "bool":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise SettingsError(f"{variable} is {text!r}; write true or false")
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"{variable} is {text!r}; write a whole number") from None
    if kind.startswith("Path"):
        return Path(text)
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text
