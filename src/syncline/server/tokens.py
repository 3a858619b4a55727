"""Access and refresh tokens: JWTs signed with a key of this server (spec/http-api.md §4).

The private keys live in ``keys.json`` in the data folder, readable by the owner only, made at the first start. The
newest signs; all verify. Algorithm and key come from this store alone, never from what a token says about itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from syncline.server.api_errors import ApiError, invalid_session
from syncline.server.identifiers import new_id
from syncline.server.settings import Settings, SettingsError

__all__ = ["Claims", "SigningKeys", "TokenPurpose", "Tokens"]

TokenPurpose = Literal["access", "refresh"]

_ALGORITHM: Final = "ES256"
_MAX_TOKEN_BYTES: Final = 4096
#: A token "issued" further in the future than this was not issued by a clock like ours.
_MAX_FUTURE: Final = 300


class Claims(NamedTuple):
    """What a verified token says. Times are Unix seconds."""

    user_id: str
    app_id: str
    session_id: str
    device_id: str
    expires: int


class SigningKeys:
    """The server's key pairs.

    Raises:
        SettingsError: the key file is readable by others, or is not a key file.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            self._create(path)
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others; it signs every token: chmod 600 {path}")
        try:
            keys = [ECKey.import_key(item) for item in json.loads(path.read_text())["keys"]]
            self._keys = {str(key.kid): key for key in keys}
            self.newest = keys[-1]
        except (ValueError, KeyError, TypeError, IndexError, JoseError) as error:
            raise SettingsError(f"{path} is not a key file of this server: {error}") from error

    @staticmethod
    def _create(path: Path) -> None:
        key = ECKey.generate_key("P-256", {"kid": new_id(), "use": "sig", "alg": _ALGORITHM})
        data = json.dumps({"keys": [key.as_dict(private=True)]}).encode()
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def by_id(self, kid: object) -> ECKey | None:
        return self._keys.get(kid) if isinstance(kid, str) else None

    def public(self) -> dict[str, Any]:
        """The public halves as a JSON Web Key Set."""
        return {"keys": [key.as_dict(private=False) for key in self._keys.values()]}


class Tokens:
    """Issues and verifies tokens. ``clock`` gives Unix seconds."""

    def __init__(
        self, keys: SigningKeys, issuer: str, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._leeway = settings.token_leeway
        self._lifetimes: dict[TokenPurpose, int] = {
            "access": settings.access_token_lifetime,
            "refresh": settings.refresh_token_lifetime,
        }
        self._clock = clock
        self._registry = JWSRegistry(algorithms=[_ALGORITHM])

    def issue(
        self,
        purpose: TokenPurpose,
        *,
        user_id: str,
        app_id: str,
        session_id: str,
        device_id: str,
        user_data: dict[str, Any] | None = None,
    ) -> str:
        """A new signed token (spec/http-api.md §4.2)."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": f"syncline:{app_id}",
            "typ": purpose,
            "sub": user_id,
            "iat": now,
            "exp": now + self._lifetimes[purpose],
            "jti": new_id(),
            "sid": session_id,
            "baas_device_id": device_id,
        }
        if user_data:
            claims["user_data"] = user_data
        header = {"alg": _ALGORITHM, "kid": self._keys.newest.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._keys.newest, algorithms=[_ALGORITHM])

    def lifetime(self, purpose: TokenPurpose) -> int:
        return self._lifetimes[purpose]

    def verify(self, token: str, purpose: TokenPurpose, app_id: str | None = None) -> Claims:
        """The claims of a token that this server signed for ``purpose`` and that has not expired.

        ``app_id`` None takes the app from the token (routes without an app id).

        Raises:
            ApiError: 401 ``InvalidSession``, or ``UserAppDomainMismatch`` for a token of another app.
        """
        claims = self._signed_claims(token)
        now = self._clock()
        audience = claims.get("aud")
        expires, issued = claims.get("exp"), claims.get("iat")
        if claims.get("iss") != self._issuer or claims.get("typ") != purpose:
            raise invalid_session("token is not for this use")
        if not isinstance(audience, str) or not audience.startswith("syncline:"):
            raise invalid_session("token is not for this server")
        if not isinstance(expires, int) or not isinstance(issued, int) or expires + self._leeway < now:
            raise invalid_session("token expired")
        if issued > now + _MAX_FUTURE:
            raise invalid_session("token is from the future; check the clocks")
        token_app = audience.removeprefix("syncline:")
        if app_id is not None and app_id != token_app:
            raise ApiError(401, "UserAppDomainMismatch", "token is of another app")
        names = [claims.get(name) for name in ("sub", "sid", "baas_device_id")]
        if not all(isinstance(name, str) for name in names):
            raise invalid_session("token is incomplete")
        return Claims(str(names[0]), token_app, str(names[1]), str(names[2]), expires)

    def _signed_claims(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_TOKEN_BYTES or token.count(".") != 2:
            raise invalid_session("token is malformed")
        try:
            decoded = jwt.decode(token, self._find_key, algorithms=[_ALGORITHM], registry=self._registry)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise invalid_session("token does not verify") from error
        return decoded.claims

    def _find_key(self, signed: Any) -> ECKey:
        key = self._keys.by_id(signed.headers().get("kid"))
        if key is None:
            raise ValueError("unknown key")
        return key
