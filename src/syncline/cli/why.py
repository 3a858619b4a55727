"""``syncline why``: who made a value what it is, against whom, and by which rule. Never writes to the Realm."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from syncline.cli.why_place import PlaceError, current_value, find_class, read_key, read_place
from syncline.cli.why_report import Report, as_json, show
from syncline.cli.why_sources import Source, open_client, open_server
from syncline.errors import ConfigurationError, FileError, RealmError
from syncline.merge.explain import Subject
from syncline.merge.story import Event, tell
from syncline.merge.wording import key_text, object_text, place_text
from syncline.storage.catalogue import ClassInfo
from syncline.storage.reader import Reader
from syncline.storage.writer import EPOCH_MS

__all__ = ["why"]

#: Keys that an error names.
_EXAMPLES: Final = 5


def why(
    realm: Annotated[str, typer.Argument(help="A client's Realm file; with --data, a Realm path of that server.")],
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="The object's class.")],
    key: Annotated[str, typer.Argument(help="The object's primary key; without one, its GlobalKey as hi-lo.")],
    property_name: Annotated[
        str | None, typer.Argument(metavar="[PROPERTY]", help="A property, or a place in it: walks[2].title")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data folder of a server, which may run meanwhile.")] = None,
    app: Annotated[str | None, typer.Option(help="The app, where several have a Realm of that path.")] = None,
    user: Annotated[str | None, typer.Option(help="The user id that ~ in the Realm path stands for.")] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also how places in lists were shifted.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Only from this version on, or from this time on (2024-05-01T12:00, UTC).")
    ] = None,
    limit: Annotated[int, typer.Option(help="Only so many of the newest events; 0: all.", min=0)] = 50,
    encryption_key: Annotated[
        str | None,
        typer.Option(help="128 hexadecimal digits; better in the environment.", envvar="SYNCLINE_ENCRYPTION_KEY"),
    ] = None,
) -> None:
    """Tell why a value is what it is: the competing changes, who made them and when, the rule that decided."""
    try:
        start = _Since.read(since)
        with (
            open_client(Path(realm), _key(encryption_key))
            if data is None
            else open_server(data, realm, app, user) as source
        ):
            report = examine(source, class_name, key, property_name, start, limit, everything=everything)
    except (PlaceError, RealmError) as error:
        hint = ""
        if data is None and isinstance(error, FileError) and not Path(realm).exists():
            hint = "; for a Realm of a server, say where its data is: --data FOLDER"
        sys.stderr.write(f"syncline why: {error}{hint}\n")
        raise typer.Exit(2) from None
    if json_wanted:
        sys.stdout.write(as_json(report) + "\n")
    else:
        show(report)


class _Since(NamedTuple):
    """From when on events are wanted: a version, or milliseconds since 2015; None: from the beginning."""

    version: int | None = None
    timestamp: int | None = None

    @classmethod
    def read(cls, text: str | None) -> _Since:
        """Raises PlaceError for what is neither a number nor a time."""
        if text is None:
            return cls()
        if text.isdigit():
            return cls(version=int(text))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise PlaceError(f"--since takes a version or a time like 2024-05-01T12:00, not {text!r}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return cls(timestamp=int(moment.timestamp() * 1000) - EPOCH_MS)

    def has(self, event: Event) -> bool:
        """Whether the event is not older."""
        if self.version is not None:
            return event.version >= self.version
        return self.timestamp is None or event.timestamp >= self.timestamp


def examine(
    source: Source,
    class_name: str,
    key_given: str,
    property_name: str | None,
    since: _Since | None = None,
    limit: int = 0,
    *,
    everything: bool = False,
) -> Report:
    """The answer. Raises PlaceError for what does not exist."""
    reader = source.reader
    info = find_class(reader.catalogue, class_name)
    key = read_key(info, key_given)
    place = None if property_name is None else read_place(reader.catalogue, info, property_name)
    k = reader.find(info, key)
    found = None if place is None or k is None else current_value(reader, info, k, place)
    subject = Subject(info.name, key)
    shown = object_text(info.name, key)
    if place is not None:
        subject = Subject(info.name, key, place.prop.name, place.path if found is None else found.path)
        shown += "." + place_text(place.prop.name, place.path)
    past = source.past(info.name, key)
    events = tell(past.entries, subject, reader.catalogue, shifts=everything)
    if k is None and not events:
        raise PlaceError(f"there is no {shown}, and nothing is known of it{_existing_keys(reader, info)}")
    wanted = [event for event in events if since is None or since.has(event)]
    left_out = max(0, len(wanted) - limit) if limit else 0
    return Report(
        title=source.title,
        counts=source.counts,
        version=source.version(),
        place=shown,
        is_there=k is not None if place is None else found is not None,
        value=None if found is None else found.value,
        has_value=found is not None,
        events=wanted[left_out:],
        left_out=left_out,
        names=source.names,
        notes=past.notes,
    )


def _existing_keys(reader: Reader, info: ClassInfo) -> str:
    keys = [key_text(reader.key_of(info, k)) for k in reader.keys(info, limit=_EXAMPLES)]
    return f"; there are, for example: {', '.join(keys)}" if keys else f"; {info.name} has no objects"


def _key(text: str | None) -> bytes | None:
    """The encryption key. Raises ConfigurationError."""
    if not text:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigurationError("the encryption key is not hexadecimal: give 128 digits") from None
