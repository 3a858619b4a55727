"""The files that simulations start from, made once per process and cloned: creating them would cost most of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from syncline.server.sqlite_log import SqliteLogStore
from syncline.storage.file import RealmFile
from syncline.testing.disk import Disk
from syncline.testing.domains import STANDARD, Domain
from syncline.testing.operations import execute_all

__all__ = [
    "DEVICES",
    "DEVICE_FILE",
    "OWN_CLASS",
    "OWN_LIST",
    "SERVER_FILE",
    "THEMES",
    "domain",
    "fresh_images",
    "own_numbers",
    "without_own",
]

Json: TypeAlias = Any

DEVICE_FILE: Final = "device.realm"
SERVER_FILE: Final = "server.realm"

#: Devices that there are images for.
DEVICES: Final = 4

#: One object per device, named by its number, that only this device writes to.
OWN_CLASS: Final = "Own"
OWN_LIST: Final = "numbers"
_OWN: Final = {
    "name": OWN_CLASS,
    "pk": {"name": "_id", "type": "int"},
    "props": [{"name": OWN_LIST, "type": "int", "collection": "list"}],
}

#: Parts of the standard schema, by class: what is called together is merged together. A file with few tables opens in a
#: fifth of the time that one with all of them takes, and there is more to meet. Asymmetric classes are in none: their
#: objects leave the device and stay at the server, where states must differ.
_THEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "numbers": {"Person": "age count name any", "Dog": "age"},
    "lists": {"Person": "ints texts anys", "Tag": "reals"},
    "mixed": {"Person": "any anys", "Dog": "any"},
    "mixed collections": {"Person": "any_set any_dict any"},
    "links": {"Person": "best dog friends dogs", "Dog": "owner mates"},
    "link collections": {"Person": "friend_set friend_dict friends any", "Dog": "owner"},
    "embedded": {"Person": "address addresses", "Address": "street zip numbers sub who any"},
    "embedded dictionaries": {"Person": "address_dict address", "Address": "zip numbers sub"},
    "sets": {"Person": "int_set int_dict", "Tag": "moneys flags"},
    "scalars": {"Tag": "flag data at single real money oid uuid"},
}

#: Names of what there are images for; the last one is the whole schema.
THEMES: Final = (*_THEMES, "everything")


@cache
def domain(theme: str) -> Domain:
    """What may occur in runs of the theme."""
    parts = _THEMES.get(theme)
    classes = [form for form in STANDARD.classes if not form.get("asymmetric")]
    if parts is None:
        return replace(STANDARD, classes=classes)
    kept = [_part(form, parts[form["name"]]) for form in classes if form["name"] in parts]
    names = {*parts, "Note"}
    additions = [form for form in STANDARD.additions if form["name"] in names and _targets(form) <= names]
    return replace(STANDARD, classes=kept, additions=additions)


def _part(form: Json, names: str) -> Json:
    return {**form, "props": [prop for prop in form["props"] if prop["name"] in names.split()]}


def _targets(form: Json) -> set[str]:
    return {prop["target"] for prop in form["props"] if "target" in prop}


def own_numbers(dump: Mapping[str, Json], device: int) -> list[int]:
    """What stands in the own object of a device."""
    for form in dump["objects"][OWN_CLASS]:
        if form["key"] == {"int": device}:
            return [value["int"] for value in form["props"][OWN_LIST]["list"]]
    return []


def without_own(dump: Mapping[str, Json]) -> dict[str, Json]:
    """The dump without the own objects, which random operations must not touch."""
    return {part: {name: form for name, form in forms.items() if name != OWN_CLASS} for part, forms in dump.items()}


@cache
def fresh_images(theme: str) -> tuple[dict[str, bytes], ...]:
    """The server's files, then those of each device: nobody has ever synced, every device has made the schema."""
    disk = Disk()
    try:
        SqliteLogStore.open(Path(disk.path(SERVER_FILE))).close()
        images = [_content(disk, SERVER_FILE)]
        for number in range(DEVICES):
            name = f"{number}-{DEVICE_FILE}"
            file = RealmFile.open(disk.path(name))
            with file.write(origin_timestamp=0) as tx:
                execute_all(tx, [{"op": "schema", "classes": [*domain(theme).classes, _OWN]}])
                execute_all(tx, [{"op": "create", "class": OWN_CLASS, "pk": {"int": number}}])
            file.close()
            images.append({DEVICE_FILE: _content(disk, name)[name]})
        return tuple(images)
    finally:
        disk.close()


def _content(disk: Disk, name: str) -> dict[str, bytes]:
    return {name: Path(disk.path(name)).read_bytes()}
