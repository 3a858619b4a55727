"""What a client reset recovered, and what it could not recover and why, in a file (spec/sessions.md §12.11).

Or that everything unsynced was discarded. A JSON object beside the backups, named like one, with ``.json`` at the end.
It says where something was lost, never what users wrote there.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from syncline.storage.recovery import Recovery

__all__ = ["write_report"]

logger = logging.getLogger("syncline.sync.reset")


def write_report(report: Path, realm: str, cause: str, recovery: Recovery | None, unsynced: int) -> None:
    """Write it, and log the same. A report that cannot be written is no reason for a reset to fail.

    ``realm``: the path of the file that was reset; ``cause``: what the server said; ``recovery`` None: the ``unsynced``
    transactions that there were are discarded.
    """
    content: dict[str, object] = {
        "realm": realm,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cause": cause,
        "unsynced": {"transactions": unsynced},
    }
    if recovery is None:
        logger.warning("%s: %d unsynced transactions discarded", realm, unsynced)
        content["discarded"] = content["unsynced"]
    else:
        logger.info("%s: %d instructions recovered, %d lost", realm, recovery.replayed, len(recovery.lost))
        for one in recovery.lost:
            logger.warning("%s: lost from version %d: %s: %s", realm, *one)
        content["recovered"] = {"instructions": recovery.replayed, "versions": sorted(recovery.changesets)}
        content["lost"] = [one._asdict() for one in recovery.lost]
    try:
        report.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        report.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        logger.warning("%s: the report of the client reset cannot be written: %s", realm, error)
