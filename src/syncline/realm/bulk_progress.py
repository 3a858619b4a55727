"""How far a bulk operation is: told to a function, or drawn as a bar (:mod:`syncline.progress_bar`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import IO, Any, TypeAlias

from syncline.progress_bar import BYTES, ProgressBar
from syncline.realm.bulk import Progress

__all__ = ["ProgressWish", "file_progress", "object_progress"]

#: A function that is told how many objects were written, True for a bar, None or False for nothing.
ProgressWish: TypeAlias = Progress | bool | None


@contextmanager
def object_progress(wish: ProgressWish, title: str, objects: Any) -> Iterator[Progress | None]:
    """What to call with numbers of objects. Raises ImportError where nothing can draw a bar."""
    if wish is not True:
        yield wish or None
        return
    total = len(objects) if isinstance(objects, Sized) else None
    with ProgressBar.open(title, unit="objects") as bar:
        bar.begin_at(0)
        yield lambda done: bar.update(done, total)


@contextmanager
def file_progress(wish: ProgressWish, name: str | None, file: IO[str]) -> Iterator[Progress | None]:
    """The same for what is read from a file: the bar shows how much of it was read, if that can be known."""
    title = "importing" if name is None else os.path.basename(name)
    size = _size(file) if wish is True else None
    if size is None:
        with object_progress(wish, title, None) as tell:
            yield tell
        return
    position: Callable[[], int] = file.buffer.tell  # type: ignore[attr-defined]
    with ProgressBar.open(title, unit=BYTES) as bar:
        bar.begin_at(0)
        yield lambda done: bar.update(position(), size)
        bar.update(size, size)


def _size(file: Any) -> int | None:
    """Bytes of an ordinary file; None for anything else that can be read."""
    try:
        status = os.fstat(file.buffer.fileno())
    except (AttributeError, OSError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
