"""Where callbacks of sync run: :mod:`syncline.realm.callbacks`, whose names are at hand here (spec/sessions.md §18)."""

from syncline.realm.callbacks import Courier, SerialThread, Workers, call_on, courier, guarded

__all__ = ["Courier", "SerialThread", "Workers", "call_on", "courier", "guarded"]
