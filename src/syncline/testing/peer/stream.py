"""Lines in, lines out: strict JSON, bounded lines, replies in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NoReturn, Protocol, TypeAlias

from syncline.storage.dump import compact
from syncline.testing.peer.commands import CommandError

__all__ = ["MAX_LINE", "Answering", "failure", "serve"]

Json: TypeAlias = Any

#: Bytes of the longest line; a longer one is skipped to its end and answered with an error.
MAX_LINE: Final = 256 << 20

#: With sorted keys, so that equal dumps are equal texts.
_encoder: Final = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)


class Answering(Protocol):
    """Whoever answers commands."""

    def answer(self, command: Json) -> dict[str, Json]:
        """The reply to one command; never raises for what the command says."""
        ...


def serve(peer: Answering, lines: BinaryIO, replies: BinaryIO, max_line: int = MAX_LINE) -> None:
    """Answer every line until the input ends. Raises OSError when nobody reads the replies any more."""
    for line in _lines(lines, max_line):
        try:
            command = _parse(line, max_line)
        except CommandError as error:
            reply = failure(error)
        else:
            reply = peer.answer(command)
        try:
            text = _encoder.encode(reply)
        except RecursionError:  # a dump may be nested deeper than the encoder goes
            text = compact(reply)
        replies.write(text.encode("utf-8", "backslashreplace") + b"\n")  # which makes an escape of JSON, if need be
        replies.flush()


def failure(error: BaseException) -> dict[str, Json]:
    """The reply that tells an error."""
    return {"ok": False, "error": str(error) or type(error).__name__, "type": type(error).__name__}


def _lines(lines: BinaryIO, max_line: int) -> Iterator[bytes | None]:
    """The lines without their ends; None for one that is too long, which is read past. A last line needs no end."""
    while line := lines.readline(max_line + 1):
        if len(line) <= max_line or line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
            continue
        while (rest := lines.readline(1 << 20)) and not rest.endswith(b"\n"):
            pass
        yield None


def _parse(line: bytes | None, max_line: int) -> Json:
    if line is None:
        raise CommandError(f"a line must not be longer than {max_line} bytes")
    try:
        return json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of thousands of digits
        raise CommandError(f"not a line of JSON: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
