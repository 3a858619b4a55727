"""Client resets of random files: no unsynced edit is lost without a word (spec/sessions.md §12.11).

``world``    an application's file and the server's state, and a reset between them, on the level of storage
``writing``  random transactions in which every value is written only once, so that it can be recognised
``oracle``   what must be there after a recovery, from the dumps of before alone
``cases``    one random case; ``python -m syncline.testing.recovery`` runs many

Shares no code with ``storage/recovery.py``: it looks at states, not at instructions.
"""

from __future__ import annotations

from syncline.testing.recovery.cases import run_case
from syncline.testing.recovery.world import World

__all__ = ["World", "run_case"]
