"""Passwords: argon2id, bounded in number and size (spec/http-api.md §10.9).

Each check costs tens of milliseconds and megabytes on purpose, so only as many run at once as there are processors and
only a bounded number wait; everybody else is told to come back (503), never that the password is wrong.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from syncline.server.api_errors import ApiError, bad_request, overloaded
from syncline.server.settings import Settings

__all__ = ["Passwords"]

#: Input beyond this is refused before it is hashed.
MAX_PASSWORD_BYTES: Final = 1024


class Passwords:
    """Hashes and checks passwords. Every method blocks; call it on a worker thread."""

    def __init__(self, settings: Settings) -> None:
        self._minimum = settings.password_minimum
        self._maximum = settings.password_maximum
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_passes,
            memory_cost=settings.argon2_memory,
            parallelism=1,
            hash_len=32,
            salt_len=16,
        )
        self._processors = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._places = threading.BoundedSemaphore(settings.hash_queue)
        self._dummy: str | None = None

    def check_new(self, password: str) -> None:
        """Refuse a password that may not be chosen.

        Raises:
            ApiError: 400 ``BadRequest``.
        """
        if not self._minimum <= len(password) <= self._maximum:
            raise bad_request(f"password must have between {self._minimum} and {self._maximum} characters")
        if len(_normal(password)) > MAX_PASSWORD_BYTES:
            raise bad_request(f"password must have at most {MAX_PASSWORD_BYTES} bytes")

    def hash(self, password: str) -> str:
        """The password's hash in PHC form.

        Raises:
            ApiError: 503, too many checks are waiting.
        """
        with self._turn():
            return self._hasher.hash(_normal(password))

    def verify(self, password: str, stored: str | None) -> bool:
        """True if ``stored`` is this password's hash. None (no such account) costs the same time and is False.

        Raises:
            ApiError: 503, too many checks are waiting.
        """
        data = _normal(password)
        if len(data) > MAX_PASSWORD_BYTES:
            return False
        with self._turn():
            if self._dummy is None:
                self._dummy = self._hasher.hash("no account has this password")
            try:
                self._hasher.verify(self._dummy if stored is None else stored, data)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """True if the hash was made with other parameters than today's and should be replaced at this login."""
        return self._hasher.check_needs_rehash(stored)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise overloaded("too many logins at once")
        try:
            with self._processors:
                yield
        finally:
            self._places.release()


def _normal(password: str) -> bytes:
    try:
        return unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        raise ApiError(400, "InvalidParameter", "password is not valid Unicode") from None
