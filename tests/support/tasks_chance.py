"""Chance that can be repeated."""

from __future__ import annotations

import os
import random

#: Repeats what a failed test did: TASKGROVE_TEST_SEED=<the seed that it printed>.
VARIABLE = "TASKGROVE_TEST_SEED"


def seeded() -> random.Random:
    """Returns a source of random moments; its seed is shown when the test fails."""
    seed = int(os.environ.get(VARIABLE) or random.randrange(2**32))
    print(f"{VARIABLE}={seed}")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(seed)
