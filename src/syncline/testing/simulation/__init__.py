"""Convergence simulator: devices and a server on virtual time, with everything that can go wrong, from one seed.

::

    python -m syncline.testing.simulation --seeds 0:10000       many runs
    python -m syncline.testing.simulation --seed 4711 --trace   one, told event by event

What is real: the devices' files and histories (``storage/``), both protocol machines (``protocol/``), the server's
connections, hubs, log and state (``server/``). What is simulated: time, the network, threads, and disks
(:mod:`syncline.testing.disk`). See docs/reference/simulator.md.

===================  ====================================================================
``starts``           the seed's plan; the files that runs begin with (``images``)
``running``          chooses what happens (``events``), records it, repeats it
``world``            carries it out: ``device``, ``server`` (on ``virtual_loop``), wires
``checks``           what must hold at the end
``shrinking``        makes the trace of a failure small; ``report`` tells it
===================  ====================================================================
"""

from syncline.testing.simulation.events import Event, describe
from syncline.testing.simulation.report import coverage, failure_report
from syncline.testing.simulation.running import Failure, Outcome, replay, run_seeds, simulate
from syncline.testing.simulation.shrinking import shrink
from syncline.testing.simulation.starts import Options

__all__ = [
    "Event",
    "Failure",
    "Options",
    "Outcome",
    "coverage",
    "describe",
    "failure_report",
    "replay",
    "run_seeds",
    "shrink",
    "simulate",
]
