"""Soak: real clients and a real server, over real sockets, with everything going wrong that goes wrong in the field.

::

    python -m syncline.testing.soak --seed 1                    # the figures of docs/reference/soak.md: ten minutes
    python -m syncline.testing.soak --seed 1 --scale 0.05       # a twentieth of them

Clients (processes) commit numbered changes to one Realm, each commit recorded durably outside of it. Meanwhile
connections are cut at random bytes, frames corrupted, networks frozen, processes killed, sessions suspended from
several threads, clocks set. Afterwards every commit whose ``write`` returned is on every device exactly once, or the
command says what is not, and fails. What happens is chosen from a seed; when, the machine decides.

    clock.py       a wall clock that other processes can set
    frames.py      WebSocket frames and TLS records in a stream; corrupting one
    proxy.py       Relay: one client's way to the server, and what can happen to it; TLS in front of the server
    journal.py     the durable record of what was committed
    watching.py    in a client: every state, connection state and progress report is noted
    client.py      the client process
    server.py      the server process
    nursery.py     starts processes quickly; kills them
    plan.py        how much of what; dealing faults from a seed
    member.py      one client, as the stage sees it
    stage.py       everything together, set up and taken down
    faults.py      carrying out faults, and seeing to it that everybody recovers
    content.py     what a device holds, against the journals
    legality.py    what was noted, against the tables of spec/sessions.md
    leftovers.py   logs without surprises; no files, threads or descriptors left
    report.py      the figures
    running.py     all of it, one after the other
"""
