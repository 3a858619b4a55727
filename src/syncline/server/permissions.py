"""Who may do what to which Realm: the one function that decides (spec/http-api.md §10.1, §10.2, §10.6, §10.12)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from syncline.server.realm_keys import home_owner, is_reserved

__all__ = ["Level", "Subject", "level"]


class Level(IntEnum):
    """What a user may do to a Realm; each includes those before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


class Subject(NamedTuple):
    """Who asks: a user of an app, as of now. ``is_developer`` is the one user of development mode."""

    user_id: str
    app_id: str
    is_active: bool = True
    is_admin: bool = False
    is_developer: bool = False


def level(subject: Subject, app_id: str, key: str, owner: str | None) -> Level:
    """The subject's level on the Realm with this key, which ``owner`` owns (None: nobody, or it does not exist).

    Without grants a user has their own Realms and their home folder, an admin has all, everyone else nothing.
    """
    if subject.app_id != app_id or not subject.is_active or is_reserved(key):
        return Level.NONE
    if subject.is_admin or subject.is_developer:
        return Level.ADMIN
    if subject.user_id in (owner, home_owner(key)):
        return Level.ADMIN
    return Level.NONE
