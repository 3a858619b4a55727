"""Recover the unsynced changes of many random files.

    python -m syncline.testing.recovery [--cases N] [--seed N] [--seconds N]

Case number ``n`` follows from the seed and ``n`` alone: a failing one is run again with ``--seed S+n --cases 1``. Exit
status: 0 if every case is right, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from syncline.testing.choices import RandomChoices
from syncline.testing.recovery.cases import run_case

__all__ = ["main"]

#: After so many wrong cases the rest is not tried.
_ENOUGH = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases and report; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.recovery", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cases", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first case (default: 1)")
    parser.add_argument("--seconds", type=float, default=600.0, help="no new case after so many (default: 600)")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    done = wrong = 0
    for seed in range(options.seed, options.seed + options.cases):
        if wrong == _ENOUGH or time.monotonic() - start > options.seconds:
            break
        found = run_case(RandomChoices(seed))
        done += 1
        if found:
            wrong += 1
            sys.stdout.write(f"seed {seed}:\n" + "".join(f"  {one}\n" for one in found))
    sys.stdout.write(f"{done} recoveries, {wrong} wrong, seeds from {options.seed}, {time.monotonic() - start:.1f} s\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
