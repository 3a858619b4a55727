"""Errors of the HTTP interface: a status, a name that clients know, and a sentence (spec/http-api.md §2.4, §2.5)."""

from __future__ import annotations

import math

from syncline.errors import SynclineError

__all__ = ["ApiError", "bad_request", "invalid_session", "missing_auth", "overloaded", "too_many_requests"]


class ApiError(SynclineError):
    """An answer other than success: ``error_code`` of spec/http-api.md §2.5, ``retry_after`` in seconds."""

    def __init__(self, status: int, error_code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def missing_auth() -> ApiError:
    """No usable Authorization header."""
    return ApiError(401, "MissingAuthReq", "must authenticate first")


def invalid_session(message: str = "invalid session") -> ApiError:
    """A token that does not hold: expired, unknown, revoked, of another app."""
    return ApiError(401, "InvalidSession", message)


def overloaded(message: str) -> ApiError:
    """Come back later; never 401 or 403, which would log users out (spec/http-api.md §6.5)."""
    return ApiError(503, "LimitExceeded", message, retry_after=1)


def too_many_requests(retry_after: float) -> ApiError:
    return ApiError(429, "LimitExceeded", "too many requests", retry_after=retry_after)
