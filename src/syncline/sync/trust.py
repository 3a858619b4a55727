"""Which servers' certificates are trusted: the system's, pinned ones, or any (spec/sessions.md §14.1, §17.1)."""

from __future__ import annotations

import os
import ssl

__all__ = ["is_tls_error", "tls_context"]

_PEM = b"-----BEGIN "


def tls_context(pinned: str | os.PathLike[str] | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """A client's context for HTTPS and secure WebSockets alike.

    ``pinned``: a file, PEM or DER, with what is trusted in place of the system's certificates: the certificate of the
    server itself, or of an authority. ``verify=False``: anything goes. Raises OSError (``ssl.SSLError`` is one) that
    names a file which cannot be used.
    """
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if pinned is None:
        return _systems()
    context = ssl.create_default_context(cadata=_certificates(pinned))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the server's own certificate, whoever has signed it
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # self-signed ones seldom have all that authorities' have
    return context


def _systems() -> ssl.SSLContext:
    """The system's certificates; where Python knows of none, those that come with the HTTP library."""
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    return ssl.create_default_context()


def _certificates(path: str | os.PathLike[str]) -> str | bytes:
    try:
        with open(path, "rb") as file:
            content = file.read()
        certificates: str | bytes = content.decode("ascii", errors="replace") if _PEM in content else content
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is empty or holds no certificate"
        if isinstance(error, ssl.SSLError):
            why = "it holds no certificate, neither in PEM nor in DER"
        raise ssl.SSLError(f"the pinned certificate {os.fspath(path)!r} cannot be used: {why}") from error
    return certificates


def is_tls_error(error: BaseException | None) -> bool:
    """Whether TLS is at the bottom of an error."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
