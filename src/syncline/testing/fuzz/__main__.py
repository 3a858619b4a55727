"""Fuzz what reads changesets, with coverage as guide.

    python -m syncline.testing.fuzz parser|apply [--seconds N] [--runs N] [--corpus DIR] [--work DIR]

Needs the extra ``fuzz`` (atheris) and the interpreted modules. Inputs begin with those in the corpus and what the work
directory has from earlier runs; new ones that reach new code go into the work directory. An input that fails is put
there too, and its path is printed: find out what it is about, fix that, and keep it in the corpus by a name that tells.
Exit status: 0 if nothing failed, 1 if something did, 2 if the fuzzer cannot run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from syncline.compilation import is_compiled
from syncline.testing.fuzz.corpus import TARGETS

__all__ = ["main"]

#: Where the repository keeps the corpus, from its root.
CORPUS: Final = Path("tests/fuzz/corpus")
#: Larger inputs are not tried: they are slow, and find nothing that smaller ones do not.
_MAX_BYTES: Final = 2000
#: An input that takes longer than so many seconds, or all of them together more than so many MiB, are failures.
_TIMEOUT: Final = 25
_MEMORY: Final = 2048

#: What runs the fuzzer, in a process of its own; replaced by the tests.
_SESSION: Final = ("-m", "syncline.testing.fuzz.session")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _options(arguments)
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("fuzzing needs atheris, for Linux on x86-64: pip install 'syncline[fuzz]'\n")
        return 2
    if is_compiled():
        sys.stderr.write("fuzzing needs an interpreted installation: compiled modules do not tell what they covered\n")
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary, "work")
        work.mkdir(parents=True, exist_ok=True)
        found = work.with_name(work.name + "-failed")
        found.mkdir(exist_ok=True)
        corpus = options.corpus or CORPUS / options.target
        folders = [str(folder) for folder in (work, corpus) if folder.is_dir()]
        status = subprocess.run(
            [sys.executable, *_SESSION, options.target, *_limits(options, found), *folders],
            env={name: value for name, value in os.environ.items() if name != "SYNCLINE_PURE"},  # it has a loader too
            check=False,
        ).returncode
        if status == 0:
            return 0
        for path in sorted(found.iterdir()):
            kept = Path(f"failed-{options.target}-{path.name}")
            kept.write_bytes(path.read_bytes())
            sys.stderr.write(f"an input that fails: {kept}\n")
        return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.fuzz", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for how long (default: 60)")
    parser.add_argument("--runs", type=int, default=-1, metavar="N", help="end after so many inputs")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help=f"inputs to begin with (default: {CORPUS}/TARGET)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep what is found here (default: nowhere)")
    return parser.parse_args(arguments)


def _limits(options: argparse.Namespace, found: Path) -> list[str]:
    """What libFuzzer is told."""
    return [
        f"-max_total_time={options.seconds}",
        f"-runs={options.runs}",
        f"-max_len={_MAX_BYTES}",
        f"-timeout={_TIMEOUT}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]


if __name__ == "__main__":
    sys.exit(main())
