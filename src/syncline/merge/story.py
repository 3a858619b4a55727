"""The history of one object as a story: who changed it, what met what, which rule decided, what stands now.

A history keeps entries as they came out of the merge. Told again are those that met something, from what their authors
uploaded: :func:`tell` merges them once more, watched, with what they met then. What they met is recomputed, too: the
entries of others since their base, each as the earlier uploads of the same peer have left it (its reciprocal,
spec/merge.md §8.2). Only what concerns the object takes part, which changes nothing (spec/merge.md §11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_TABLE,
    AddColumn,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    ObjectInstruction,
    Path,
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import TransformError
from syncline.merge.explain import Change, Explanation, Json, Recorder, Subject
from syncline.merge.resets import reset_of
from syncline.merge.schema import Schema
from syncline.merge.transform import transform
from syncline.merge.wording import time_text, words
from syncline.values import Key
from syncline.values.kinds import DICTIONARY, ERASED, LINK, LIST, OBJECT

__all__ = ["Entry", "Event", "Outcome", "concerning", "tell"]


class Entry:
    """One entry of a history, reduced to what concerns the object (:func:`concerning`).

    ``version`` counts in the history that is told, ``remote_version`` at the peer it came from. ``source`` is that
    peer: entries of one source are never merged with each other. ``base`` is the newest version of the history that its
    author had seen; -1 where nothing was merged or nothing is known of it. ``made`` is what its author made, with the
    author's ident and timestamp; ``logged`` is what the history keeps of it, None if that is not kept.
    """

    __slots__ = ("base", "logged", "made", "remote_version", "source", "version")

    def __init__(
        self, version: int, source: int, base: int, made: Changeset, logged: Changeset | None, remote_version: int = 0
    ) -> None:
        self.version = version
        self.source = source
        self.base = base
        self.made = made
        self.logged = logged
        if logged is not None:
            logged.version = made.version
            logged.origin_file_ident = made.origin_file_ident
            logged.origin_timestamp = made.origin_timestamp
        self.remote_version = remote_version


class Outcome:
    """What became of one change: ``result`` is None if the merge dropped it, otherwise its words in the history.

    ``replaced_by`` is the version of the later entry that replaced what it did; 0 while it stands.
    """

    __slots__ = ("change", "instruction", "replaced_by", "result")

    def __init__(self, change: Change, instruction: Instruction | None) -> None:
        self.change = change
        #: as it entered the history; None if it did not
        self.instruction = instruction
        self.result = None if instruction is None else words(instruction)
        self.replaced_by = 0

    @property
    def stands(self) -> bool:
        """Neither dropped nor replaced."""
        return self.result is not None and self.replaced_by == 0

    def to_json(self) -> dict[str, Json]:
        """As JSON values."""
        return {**self.change.to_json(), "result": self.result, "replaced_by": self.replaced_by or None}


class Event:
    """What one entry did to the object. ``is_exact`` is False where the merge could not be repeated as it was."""

    __slots__ = ("author", "decisions", "is_exact", "outcomes", "remote_version", "timestamp", "version")

    def __init__(self, entry: Entry) -> None:
        self.version = entry.version
        self.remote_version = entry.remote_version
        self.author = entry.made.origin_file_ident
        self.timestamp = entry.made.origin_timestamp
        self.outcomes: list[Outcome] = []
        self.decisions: list[Explanation] = []
        self.is_exact = True

    @property
    def when(self) -> str:
        """When it was made, by its author's clock, in UTC."""
        return time_text(self.timestamp)

    def to_json(self) -> dict[str, Json]:
        """As JSON values."""
        return {
            "version": self.version,
            "remote_version": self.remote_version,
            "author": self.author,
            "at": self.when,
            "changes": [outcome.to_json() for outcome in self.outcomes],
            "decisions": [decision.to_json() for decision in self.decisions],
            "exact": self.is_exact,
        }


def concerning(changeset: Changeset, table: str, key: Key) -> Changeset | None:
    """What of a changeset can have a part in the history of an object; None if nothing has."""
    kept = [instruction for instruction in changeset.instructions if _concerns(instruction, table, key)]
    if not kept:
        return None
    return Changeset(
        kept,
        changeset.strings,
        changeset.version,
        changeset.last_integrated_remote_version,
        changeset.origin_timestamp,
        changeset.origin_file_ident,
        changeset.sequence,
    )


def _concerns(instruction: Instruction, table: str, key: Key) -> bool:
    if isinstance(instruction, ObjectInstruction):
        return instruction.table == table and instruction.key == key
    if isinstance(instruction, AddTable):
        return instruction.table == table
    if isinstance(instruction, AddColumn):  # through links, other classes may have a part in it
        return instruction.table == table or instruction.value_type == LINK
    return True


def tell(
    entries: Iterable[Entry], subject: Subject, schema: Schema | None = None, *, shifts: bool = False
) -> list[Event]:
    """The events that concern the subject, in the order of the history.

    Parameters:
        entries: all entries that concern the object, ascending by version; several may have one version.
        subject: the object, or a place inside it: its path is where the place is *now*, and is followed back.
        schema: that of the database the history belongs to.
        shifts: also decisions that only move a place in a list along.
    """
    about = Subject(subject.table, subject.key, subject.field)
    replay = _Replay(about, schema)
    for entry in entries:
        replay.take(entry)
    events = replay.events
    for event in events:
        event.outcomes = [outcome for outcome in event.outcomes if _is_shown(outcome.change.instruction, about)]
        if not shifts:
            event.decisions = [decision for decision in event.decisions if not decision.is_shift]
    _find_replaced(events)
    if subject.field is not None and subject.path:
        _keep_place(events, subject.field, subject.path)
    return [event for event in events if event.outcomes or event.decisions]


def _is_shown(instruction: Instruction, about: Subject) -> bool:
    """Whether a change belongs to the story. That a class or property was added is only told if it met something."""
    return about.holds(instruction) and instruction.opcode not in (ADD_TABLE, ADD_COLUMN)


class _Replay:
    """Merges the entries again, one after the other, each with what it met."""

    def __init__(self, subject: Subject, schema: Schema | None) -> None:
        self.events: list[Event] = []
        self._recorder = Recorder(subject)
        self._schema = schema
        self._past: list[tuple[Entry, Changeset]] = []
        #: by source: the entries of others as its uploads have left them, and how many of the past were looked at
        self._reciprocals: dict[int, list[Changeset]] = {}
        self._seen: dict[int, int] = {}

    def take(self, entry: Entry) -> None:
        """The next entry."""
        recorder = self._recorder
        event = Event(entry)
        made = recorder.copy(entry.made)
        changes = [recorder.change_of(instruction, made) for instruction in made.instructions]
        before = len(recorder.found)
        if entry.base >= 0:
            window = self._window(entry)
            try:
                transform(window, [made], recorder, self._schema)
            except TransformError:
                event.is_exact = False
        event.decisions = recorder.found[before:]
        result = final = made
        if entry.logged is not None:
            logged = _as_logged(made, entry.logged)
            if logged is None:
                event.is_exact = False
                result = final = recorder.copy(entry.logged)
            else:
                final = recorder.copy(entry.logged, [recorder.change_of(instruction, made) for instruction in logged])
        self._past.append((entry, final))
        event.outcomes = self._outcomes(changes, result)
        self.events.append(event)

    def _window(self, entry: Entry) -> list[Changeset]:
        """What the entry met: entries of others after its base, as they were towards its source."""
        window = [cs for cs in self._reciprocals.get(entry.source, []) if cs.version > entry.base]
        for past, final in self._past[self._seen.get(entry.source, 0) :]:
            if past.source != entry.source and past.version > entry.base:
                changes = [self._recorder.change_of(instruction, final) for instruction in final.instructions]
                changeset = self._recorder.copy(final, changes)
                changeset.version = past.version
                window.append(changeset)
        self._seen[entry.source] = len(self._past)
        self._reciprocals[entry.source] = window
        return window

    def _outcomes(self, changes: Sequence[Change], final: Changeset) -> list[Outcome]:
        survivors: dict[int, Instruction] = {}
        added: list[Outcome] = []
        made = {id(change) for change in changes}
        for instruction in final.instructions:
            change = self._recorder.change_of(instruction, final)
            survivors[id(change)] = instruction
            if id(change) not in made:
                added.append(Outcome(change, instruction))
        return [Outcome(change, survivors.get(id(change))) for change in changes] + added


def _as_logged(merged: Changeset, logged: Changeset) -> list[Instruction] | None:
    """For each logged instruction the merged one that it stands for; None if they do not fit together.

    They are the same, except that the log has in place of a reset the instructions that carried it out, if any
    (``merge/resets.py``).
    """
    found: list[Instruction] = []
    surplus = len(logged.instructions) - len([i for i in merged.instructions if reset_of(i) is None])
    for instruction in merged.instructions:
        place = len(found)
        if reset_of(instruction) is not None:
            while surplus > 0 and place < len(logged.instructions) and _carries_out(instruction, logged, place):
                found.append(instruction)
                surplus -= 1
                place += 1
        elif place < len(logged.instructions) and repr(instruction) == repr(logged.instructions[place]):
            found.append(instruction)  # compared as text: NaN is as good as NaN
        else:
            return None
    return found if len(found) == len(logged.instructions) else None


def _carries_out(reset: Instruction, logged: Changeset, place: int) -> bool:
    """Whether a logged instruction removes something from the collection that a reset empties."""
    step = logged.instructions[place]
    removes = isinstance(step, (ArrayErase, Clear)) or (isinstance(step, Update) and step.kind == ERASED)
    if not removes or not isinstance(step, PathInstruction) or not isinstance(reset, PathInstruction):
        return False
    return step.field == reset.field and step.path[: len(reset.path)] == reset.path


# --- what stands ------------------------------------------------------------------------------------------------------


def _find_replaced(events: Sequence[Event]) -> None:
    """Note which changes a later one has replaced, except in lists, whose elements change their places."""
    standing: dict[str, list[Outcome]] = {}
    for event in events:
        for outcome in event.outcomes:
            instruction = outcome.instruction
            if instruction is None:
                continue
            if isinstance(instruction, (EraseObject, EraseTable)):
                for field in list(standing):
                    _replace(standing, field, instruction, event.version)
            elif isinstance(instruction, (PathInstruction, EraseColumn)):
                _replace(standing, instruction.field, instruction, event.version)
            field = instruction.field if isinstance(instruction, PathInstruction) else ""
            standing.setdefault(field, []).append(outcome)


def _replace(standing: dict[str, list[Outcome]], field: str, by: Instruction, version: int) -> None:
    kept: list[Outcome] = []
    for outcome in standing.get(field, []):
        instruction = outcome.instruction
        if instruction is not None and _replaces(by, instruction):
            outcome.replaced_by = version
        else:
            kept.append(outcome)
    standing[field] = kept


def _replaces(later: Instruction, earlier: Instruction) -> bool:
    """Whether nothing is left of ``earlier``, which is of the same field, or of any if the object is erased."""
    if not isinstance(later, PathInstruction) or not isinstance(earlier, PathInstruction):
        return True
    size = len(later.path)
    if earlier.path[:size] != later.path or any(isinstance(step, int) for step in later.path):
        return False
    if isinstance(later, Clear):
        return not isinstance(earlier, Update) or len(earlier.path) > size
    if reset_of(later) is not None:
        return False  # what the other side wrote since stays, and only the database knows what that is
    if isinstance(later, Update):
        contents_stay = later.kind == LIST or later.kind == DICTIONARY or later.kind == OBJECT
        return len(earlier.path) == size if contents_stay else True
    if isinstance(later, (SetInsert, SetErase)) and isinstance(earlier, (SetInsert, SetErase)):
        return later.kind == earlier.kind and later.value == earlier.value and len(earlier.path) == size
    return False


# --- where a place was ------------------------------------------------------------------------------------------------


def _keep_place(events: Sequence[Event], field: str, path: Path) -> None:
    """Keep of all events what concerns the place that is at ``path`` now."""
    place: Path | None = path
    concerned: set[int] = set()
    for event in reversed(events):
        for outcome in reversed(event.outcomes):
            instruction = outcome.instruction
            if isinstance(instruction, PathInstruction):
                if place is not None and instruction.field == field:
                    place = _before(instruction, place, id(outcome.change), concerned)
            elif instruction is not None or _is_dropped_there(outcome.change.instruction, field, place):
                concerned.add(id(outcome.change))
    for event in events:
        event.decisions = [d for d in event.decisions if id(d.left) in concerned or id(d.right) in concerned]
        lost = {id(decision.loser) for decision in event.decisions}
        event.outcomes = [o for o in event.outcomes if id(o.change) in concerned or id(o.change) in lost]


def _before(instruction: PathInstruction, place: Path, name: int, concerned: set[int]) -> Path | None:
    """Where the place was before a change; None before there was one. Adds ``name`` if the change concerns it."""
    path = instruction.path
    depth = len(path) - 1
    if isinstance(instruction, (ArrayInsert, ArrayMove, ArrayErase)):
        if len(place) <= depth or place[:depth] != path[:depth]:
            if place == path[: len(place)]:
                concerned.add(name)
            return place
        index, changed = place[depth], path[depth]
        if not isinstance(index, int) or not isinstance(changed, int):
            return place
        if isinstance(instruction, ArrayErase):
            return _with_step(place, depth, index + 1 if index >= changed else index)
        if isinstance(instruction, ArrayInsert):
            if index == changed:
                concerned.add(name)
                return None
            return _with_step(place, depth, index - 1 if index > changed else index)
        if index == instruction.ndx_2:
            concerned.add(name)
            return _with_step(place, depth, changed)
        index -= 1 if index > instruction.ndx_2 else 0
        return _with_step(place, depth, index + 1 if index >= changed else index)
    size = min(len(path), len(place))
    if path[:size] != place[:size]:
        return place
    concerned.add(name)
    starts_anew = isinstance(instruction, (Update, Clear)) and len(path) < len(place)
    return None if starts_anew and _has_index(place[len(path) :]) else place


def _with_step(path: Path, depth: int, index: int) -> Path:
    return (*path[:depth], index, *path[depth + 1 :])


def _is_dropped_there(instruction: Instruction, field: str, place: Path | None) -> bool:
    """Whether a dropped change was meant for the place, as far as names tell."""
    if place is None or not isinstance(instruction, PathInstruction):
        return place is not None
    size = min(len(instruction.path), len(place))
    there = instruction.field == field and instruction.path[:size] == place[:size]
    return there and not _has_index(place[:size])


def _has_index(path: Path) -> bool:
    return any(isinstance(step, int) for step in path)
