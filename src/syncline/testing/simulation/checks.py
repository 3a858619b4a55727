"""What must hold when everybody has told everybody everything."""

from __future__ import annotations

from typing import Any

from syncline.storage.dump import content_hash, dump
from syncline.storage.reader import Reader
from syncline.testing.exhaustive.invariants import Invariants
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.images import own_numbers
from syncline.testing.simulation.world import World

__all__ = ["check_end"]

_invariants = Invariants()


def check_end(world: World) -> None:
    """Everybody has the same content, sound and complete. Raises SimulationError."""
    with world.server.store() as store:
        version = store.status().head.version
    hashes: dict[str, str] = {}
    with world.server.reading() as reader:
        _check_state(reader, "the server")
        hashes["the server"] = content_hash(reader)
    for device in world.devices:
        status = device.history.status()
        if status.progress.download.server_version != version:
            raise SimulationError(
                "stuck", f"device {device.number} is at {status.progress}, the server at version {version}"
            )
        waiting, _ = device.history.uploadable(status.progress.upload)
        if waiting:
            raise SimulationError("stuck", f"device {device.number} has {len(waiting)} changesets left to upload")
        with device.reading() as reader:
            _check_state(reader, f"device {device.number}")
            hashes[f"device {device.number}"] = content_hash(reader)
    if len(set(hashes.values())) > 1:
        raise SimulationError("diverged", _differences(world))
    state = world.devices[0].dump()
    for device in world.devices:
        found = own_numbers(state, device.number)
        if found != device.ledger:
            raise SimulationError("lost", f"device {device.number} wrote {device.ledger}, everybody has {found}")


def _check_state(reader: Reader, who: str) -> None:
    broken = _invariants.broken(reader)
    if broken:
        raise SimulationError("invariant", f"{who}: {'; '.join(broken)}")


def _differences(world: World) -> str:
    """Which objects differ, as everybody has them."""
    with world.server.reading() as reader:
        states: dict[str, Any] = {"the server": dump(reader)}
    states |= {f"device {device.number}": device.dump() for device in world.devices}
    lines = ["states differ:"]
    first = next(iter(states.values()))
    names = sorted({name for state in states.values() for name in state["objects"]})
    if any(state["schema"] != first["schema"] for state in states.values()):
        lines += [f"  schema of {who}: {state['schema']}" for who, state in states.items()]
    for name in names:
        forms = {
            who: {repr(form["key"]): form for form in state["objects"].get(name, [])} for who, state in states.items()
        }
        for key in sorted({key for objects in forms.values() for key in objects}):
            values = {who: objects.get(key, {}).get("props") for who, objects in forms.items()}
            if len({repr(value) for value in values.values()}) > 1:
                lines += _object_differences(f"{name} {key}", values)
    return "\n".join(lines)


def _object_differences(what: str, values: dict[str, dict[str, object] | None]) -> list[str]:
    if any(value is None for value in values.values()):
        return [f"  {what} exists at {', '.join(who for who, value in values.items() if value is not None)} only"]
    lines = []
    for prop in sorted({name for value in values.values() if value for name in value}):
        found = {who: value.get(prop) for who, value in values.items() if value is not None}
        if len({repr(value) for value in found.values()}) > 1:
            lines += [f"  {what}.{prop}: {who} has {value}" for who, value in found.items()]
    return lines
