"""A process that takes orders as JSON lines: the other end of :class:`~syncline.testing.processes.DeviceProcess`.

One object per line comes in (``{"do": name, …}``) and is answered by one line with ``"done"`` or ``"failed"``;
lines with ``"progress"`` may come before it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["obey", "say"]


def say(**line: Any) -> None:
    """One line to the process that gives the orders."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def obey(device: object) -> None:
    """Carry out every order by calling the method of that name, until standard input closes."""
    say(done={})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            result = getattr(device, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - it is reported to the one who gave the order, who decides
            say(failed=f"{type(error).__name__}: {error}")
        else:
            say(done=result)
