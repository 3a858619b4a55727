"""Imported by the process that the others are forked from: see :mod:`syncline.testing.soak.nursery`."""

from syncline.testing.soak.nursery import preload

preload()
