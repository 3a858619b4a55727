"""``syncline why``: who made a value what it is, against whom, and by which rule. Never writes to the Realm."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from syncline.cli.why_place import PlaceError, current_value, find_class, read_key, read_place
from syncline.cli.why_report import Report, show, to_json
from syncline.cli.why_sources import Source, open_client, open_server
from syncline.errors import ConfigurationError, FileError, RealmError
from syncline.merge.explain import Subject
from syncline.merge.story import Event, tell
from syncline.merge.wording import key_text, object_text, place_text
from syncline.storage.catalogue import ClassInfo
from syncline.storage.reader import Reader
from syncline.storage.writer import EPOCH_MS

__all__ = ["Question", "answer", "examine"]

#: Keys that an error names.
_EXAMPLES: Final = 5


class Question(NamedTuple):
    """What was typed. ``data`` None: ``realm`` is a file; else a Realm path of the server with that data folder.

    ``limit`` 0: all events.
    """

    realm: str
    class_name: str
    key: str
    property_name: str | None = None
    data: Path | None = None
    app: str | None = None
    user: str | None = None
    everything: bool = False
    since: str | None = None
    limit: int = 0


def answer(question: Question, *, encryption_key: str | None = None, as_json: bool = False) -> int:
    """Print the answer, or to standard error what is wrong; the exit status."""
    realm, data = question.realm, question.data
    try:
        if data is None:
            opened = open_client(Path(realm), _key(encryption_key))
        else:
            opened = open_server(data, realm, question.app, question.user)
        with opened as source:
            report = examine(source, question)
    except (PlaceError, RealmError) as error:
        hint = ""
        if data is None and isinstance(error, FileError) and not Path(realm).exists():
            hint = "; for a Realm of a server, say where its data is: --data FOLDER"
        sys.stderr.write(f"syncline why: {error}{hint}\n")
        return 2
    except ImportError as error:
        sys.stderr.write(
            f"syncline why needs the extra [server] to read a server's data: pip install 'syncline[server]' ({error})\n"
        )
        return 2
    if as_json:
        sys.stdout.write(to_json(report) + "\n")
    else:
        show(report)
    return 0


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


def examine(source: Source, question: Question) -> Report:
    """The answer. Raises PlaceError for what does not exist or cannot be read."""
    since = _Since.read(question.since)
    reader = source.reader
    info = find_class(reader.catalogue, question.class_name)
    key = read_key(info, question.key)
    name = question.property_name
    place = None if name is None else read_place(reader.catalogue, info, name)
    k = reader.find(info, key)
    found = None if place is None or k is None else current_value(reader, info, k, place)
    subject = Subject(info.name, key)
    shown = object_text(info.name, key)
    if place is not None:
        subject = Subject(info.name, key, place.prop.name, place.path if found is None else found.path)
        shown += "." + place_text(place.prop.name, place.path)
    past = source.past(info.name, key)
    events = tell(past.entries, subject, reader.catalogue, shifts=question.everything)
    if k is None and not events:
        raise PlaceError(f"there is no {shown}, and nothing is known of it{_existing_keys(reader, info)}")
    wanted = [event for event in events if since.has(event)]
    left_out = max(0, len(wanted) - question.limit) if question.limit else 0
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
