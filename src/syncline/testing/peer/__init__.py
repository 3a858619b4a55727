"""The drivable peer: local Realm files and their sessions, driven by JSON lines (tests/vectors/PEER.md).

::

    python -m syncline.testing.peer        one command object per line in, one reply object per line out

    stream.py       lines in, lines out: bounded, strict JSON
    commands.py     the commands and their fields: what a line may say
    peer.py         Peer: a command → its reply
    database.py     one open file: transactions, dump, history
    link.py         its session: connect, waits, errors
    changesets.py   transform, changeset2json, json2changeset

The files are those of ``storage/``, the sessions those of ``sync/`` with the real transport: a peer is what an
application has, without the comfort. A harness around realm-core speaks the same protocol, so that one driver can run
histories over any mix of implementations.
"""

from syncline.testing.peer.peer import Peer
from syncline.testing.peer.stream import serve

__all__ = ["Peer", "serve"]
