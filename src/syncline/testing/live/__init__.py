"""Random histories over real sockets: peers as processes, a real server, cuts, kills and restarts.

::

    python -m syncline.testing.live --seeds 0:50 --peers 3 --transactions 30

Each peer is a process that speaks tests/vectors/PEER.md (``--peer COMMAND`` lets a foreign one join). What happens is
chosen from a seed; when it arrives where is left to the machine. At the end every peer, and the server, must hold the
same. A failure keeps the files and the log of commands, which ``--replay FILE`` plays again.

    peer_process.py   PeerProcess: one peer, commanded, killed, started again
    proxy.py          Proxy: a TCP relay that delays, and cuts connections in the middle of a message
    stage.py          Stage: the server, the peers and their proxies, kept over many seeds; carries out steps
    script.py         what happens: random steps from a seed, weighted
    history.py        one history: steps, then convergence; its log; replaying one
"""

from syncline.testing.live.history import Failure, Outcome, play, replay
from syncline.testing.live.peer_process import PeerFailed, PeerProcess
from syncline.testing.live.proxy import Proxies, Proxy
from syncline.testing.live.script import Plan
from syncline.testing.live.stage import Stage

__all__ = [
    "Failure",
    "Outcome",
    "PeerFailed",
    "PeerProcess",
    "Plan",
    "Proxies",
    "Proxy",
    "Stage",
    "play",
    "replay",
]
