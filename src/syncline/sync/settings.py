"""What an application can set on a SyncManager, and until when each setting counts (spec/sessions.md §14.1).

The *client* (event loop and connections) is made by the first login or session. Some settings are its own: they are
taken when it is made.
"""

from __future__ import annotations

import logging
import os
import platform
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Final
from urllib.parse import urlsplit

from syncline.errors import ConfigurationError, SyncError
from syncline.sync.log import LogFunction, current_level, current_logger, set_level, set_logger
from syncline.sync.proxy import ProxyFailed, ProxySetting, check_proxy_setting, proxy_for
from syncline.sync.session import SyncSession
from syncline.sync.states import ClientResetMode, SyncLogLevel
from syncline.sync.timeouts import SyncTimeoutOptions
from syncline.version import __version__

__all__ = ["ErrorHandler", "ManagerSettings"]

ErrorHandler = Callable[[SyncError, SyncSession | None], Any]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OF_THE_HANDSHAKE: Final = frozenset(
    {"host", "connection", "upgrade", "content-length", "transfer-encoding", "proxy-authorization", "te", "trailer"}
)


class ManagerSettings(ABC):
    """The settings of a :class:`~syncline.SyncManager`. Every one may be read and set on any thread."""

    def __init__(self) -> None:
        self.error_handler: ErrorHandler | None = None
        """``handler(error, session)``, called on the notifier thread for every error of a session that has no handler
        of its own; session is None where no session is concerned. Counts at once."""
        self.app_id = "default"
        """The tenant for the next login."""
        self.default_client_reset_mode = ClientResetMode.RECOVER_UNSYNCED_CHANGES
        """For configurations that name none."""
        self._timeout_options = SyncTimeoutOptions()
        self._user_agent: str | None = None
        self._proxy: ProxySetting = True
        self._authorization_header_name: str | None = None
        self._custom_request_headers: Mapping[str, str] | None = None
        self._pinned_certificate_paths: dict[str, str] | None = None
        self._session_multiplexing = True

    @abstractmethod
    def _has_client(self) -> bool:
        """Whether the client exists."""

    @abstractmethod
    def _headers_changed(self, *, with_sockets: bool) -> None:
        """Use the headers from now on: for requests, and ``with_sockets`` for all sessions, which connect anew."""

    # --- taken by the client ------------------------------------------------------------------------------------------

    @property
    def user_agent(self) -> str:
        """The application's name at the end of the header ``User-Agent``; by default :attr:`app_id`.

        Taken when the client is made: later changes have no effect. Raises ConfigurationError for what no header can
        hold.
        """
        return self.app_id if self._user_agent is None else self._user_agent

    @user_agent.setter
    def user_agent(self, name: str) -> None:
        _check_value("User-Agent", name)
        self._user_agent = name

    @property
    def timeout_options(self) -> SyncTimeoutOptions:
        """Delays of connections. Taken when the client is made: later changes have no effect."""
        return self._timeout_options

    @timeout_options.setter
    def timeout_options(self, options: SyncTimeoutOptions) -> None:
        self._timeout_options = options

    @property
    def session_multiplexing(self) -> bool:
        """Whether the sessions of one user share a connection; True by default.

        Raises ConfigurationError when it is changed after the client was made.
        """
        return self._session_multiplexing

    @session_multiplexing.setter
    def session_multiplexing(self, value: bool) -> None:
        self._check_no_client("session_multiplexing")
        self._session_multiplexing = value

    @property
    def logger(self) -> LogFunction | logging.Logger | None:
        """Where log messages go: ``logger(level, message)``, or a logger of :mod:`logging`, in place of what
        ``logging`` is configured to do with those of ``syncline.sync``; None, the default, leaves them there.

        One for the whole process; called from several threads. Raises ConfigurationError when it is set after the
        client was made, and for a logger of Syncline's own.
        """
        return current_logger()

    @logger.setter
    def logger(self, target: LogFunction | logging.Logger | None) -> None:
        if target is not None:
            self._check_no_client("logger")
        set_logger(target)

    def _check_no_client(self, what: str) -> None:
        if self._has_client():
            raise ConfigurationError(f"{what} must be set before the first login and the first session")

    # --- at once ------------------------------------------------------------------------------------------------------

    @property
    def log_level(self) -> SyncLogLevel:
        """Threshold of the loggers ``syncline.sync…``, INFO by default; for the whole process, at any time."""
        return current_level()

    @log_level.setter
    def log_level(self, level: SyncLogLevel) -> None:
        set_level(SyncLogLevel(level))

    @property
    def proxy(self) -> ProxySetting:
        """The HTTP proxy on the way to servers, for requests and sockets: ``http://user:password@host:port``; None:
        none; True, the default: as ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say.

        Counts for every request and connection from now on. Raises ConfigurationError for an address that is none.
        """
        return self._proxy

    @proxy.setter
    def proxy(self, setting: ProxySetting) -> None:
        self._proxy = check_proxy_setting(setting)

    def goes_by_proxy(self, url: str) -> bool:
        """Whether a proxy is on the way to ``url`` now; such connections are not shared (spec/sessions.md §7.6)."""
        try:
            return proxy_for(url, self._proxy) is not None
        except ProxyFailed:
            return True

    @property
    def authorization_header_name(self) -> str | None:
        """The header that carries the access token; None, the default: ``Authorization`` for HTTP requests and none for
        sockets, which carry the token in their address. One that is named goes with both.

        HTTP requests: at once. Sockets: copied into configurations when they are made.
        """
        return self._authorization_header_name

    @authorization_header_name.setter
    def authorization_header_name(self, name: str | None) -> None:
        if name is not None:
            _check_name(name)
        self._authorization_header_name = name
        self._headers_changed(with_sockets=False)

    @property
    def custom_request_headers(self) -> Mapping[str, str] | None:
        """Headers for every request and every socket; a copy is kept. Setting them disconnects all sessions, which
        connect anew with them; pending waits are aborted (spec/sessions.md §14.5).

        Raises ConfigurationError for what is no header, and for those that the handshake sets itself.
        """
        return self._custom_request_headers

    @custom_request_headers.setter
    def custom_request_headers(self, headers: Mapping[str, str] | None) -> None:
        for name, value in (headers or {}).items():
            _check_name(name)
            _check_value(name, value)
        self._custom_request_headers = None if headers is None else dict(headers)
        self._headers_changed(with_sockets=True)

    @property
    def pinned_certificate_paths(self) -> Mapping[str, str] | None:
        """Host → file (PEM or DER) with what is trusted there *in place of* the system's certificates.

        HTTP requests: at once. Sockets: copied into configurations when they are made.
        """
        return self._pinned_certificate_paths

    @pinned_certificate_paths.setter
    def pinned_certificate_paths(self, paths: Mapping[str, str | PathLike[str]] | None) -> None:
        made = None if paths is None else {host.lower(): os.path.abspath(path) for host, path in paths.items()}
        self._pinned_certificate_paths = made

    def pinned_certificate_for(self, url: str) -> str | None:
        """The file of trusted certificates for the host of ``url``, if one was set."""
        return (self._pinned_certificate_paths or {}).get(urlsplit(url).hostname or "")

    @property
    def user_agent_header(self) -> str:
        """What a client that is made now sends as ``User-Agent``, in HTTP requests and handshakes."""
        system = f"{platform.system()} {platform.machine()}"
        return f"Syncline/{__version__} ({system}) Python/{platform.python_version()} {self.user_agent}".rstrip()


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is not the name of a header")
    if name.lower() in _OF_THE_HANDSHAKE or name.lower().startswith("sec-websocket-"):
        raise ConfigurationError(f"the header {name} is set by the connection itself")


def _check_value(name: str, value: str) -> None:
    """The value is not quoted: it may be a secret."""
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise ConfigurationError(f"the value of the header {name} is not one line of Latin-1 text")
