"""Fuzzing of what reads changesets: ``python -m syncline.testing.fuzz parser|apply`` (needs the extra ``fuzz``).

A *target* is a function from bytes to nothing that raises :class:`~syncline.testing.fuzz.outcome.FuzzFailure` when
something that must always hold does not: :mod:`~syncline.testing.fuzz.parser`, :mod:`~syncline.testing.fuzz.apply`.
Inputs that once failed are kept, by names that tell their story, and replayed by the tests
(:mod:`~syncline.testing.fuzz.corpus`).
"""
