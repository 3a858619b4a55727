"""Syncline: an offline-first object database for Python, and the object server it syncs with."""

from syncline.version import __version__

__all__ = ["__version__"]
