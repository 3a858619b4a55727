"""Syncline: an offline-first object database for Python, and the object server it syncs with."""

from syncline import compilation as _compilation

_compilation.prefer_sources_if_asked()

from syncline.version import __version__  # noqa: E402

__all__ = ["__version__"]
