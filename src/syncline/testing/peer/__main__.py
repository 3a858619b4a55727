"""``python -m syncline.testing.peer``: see the package."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys

from syncline.testing.peer import Peer, serve

__all__ = ["main"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def main(arguments: list[str] | None = None) -> int:
    """Answer commands until standard input closes; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m syncline.testing.peer", description=__doc__)
    parser.add_argument(
        "--log-level", default="WARNING", choices=_LEVELS, type=str.upper, help="threshold of the log on standard error"
    )
    options = parser.parse_args(arguments)
    # Nothing but replies goes to standard output: whatever prints, prints to standard error.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(stream=sys.stderr, level=options.log_level, format="%(asctime)s %(name)s %(message)s")
    # Whoever asks the process to end gets the clean end of a closed input.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    peer = Peer()
    try:
        serve(peer, sys.stdin.buffer, replies)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    finally:
        peer.close()
        with contextlib.suppress(OSError):
            replies.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
