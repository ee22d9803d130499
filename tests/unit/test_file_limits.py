"""How many watchers are served under which limit of open files, and how that limit is raised."""

from __future__ import annotations

import errno
import resource

import pytest

from taskgrove_server import file_limits

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("asked", "files", "slots", "served"),
    [
        (4096, 1 << 20, 4, 4096),
        (4096, 20_000, 4, 4096),
        (4096, 4096, 4, 1888),
        (4096, 1024, 4, 352),
        (4096, 1024, 64, 128),
        (4096, 1024, 1024, 128),
        (4096, 256, 4, 32),
        (4096, 256, 1024, 32),
        (4096, 64, 4, 8),
        (4096, 4, 4, 1),
        (2, 1024, 4, 2),
        (1, 256, 4, 1),
        (1_000_000, 1024, 1, 376),
    ],
)
def test_watchers_get_what_is_left_and_always_a_share(asked: int, files: int, slots: int, served: int) -> None:
    assert file_limits.most_watchers(asked, files, slots) == served


@pytest.mark.parametrize("slots", [1, 4, 64, 1024])
@pytest.mark.parametrize("asked", [1, 10, 4096, 1_000_000])
def test_what_is_wanted_is_enough(asked: int, slots: int) -> None:
    assert file_limits.most_watchers(asked, file_limits.wanted(asked, slots), slots) == asked


def test_more_files_never_serve_fewer() -> None:
    served = [file_limits.most_watchers(10_000, files, 16) for files in range(1, 25_000)]
    assert served == sorted(served)
    assert served[0] == 1


class System:
    """A kernel that grants up to `bound` open files, or refuses every change with an error."""

    def __init__(self, soft: int, hard: int, bound: int, refusal: Exception | None = None) -> None:
        self.limits = soft, hard
        self._bound = bound
        self._refusal = refusal

    def get(self, _: int) -> tuple[int, int]:
        return self.limits

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self._refusal:
            raise self._refusal
        soft, hard = limits
        if hard != self.limits[1] or soft == INFINITY or soft > self._bound:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "bound", "granted"),
    [
        (1024, 1024, 1024, 1024),
        (256, 1024, 1024, 1024),
        (1024, 524_288, 524_288, 524_288),
        # Linux lets nobody have more than fs.nr_open, whatever the hard limit is.
        (1024, 524_288, 300_000, 262_144),
        # macOS: no hard limit, but kern.maxfilesperproc.
        (256, INFINITY, 10_240, 8_000),
        (256, INFINITY, 4_096, 4_000),
        (256, INFINITY, 300, 256),
        (9_000, INFINITY, 10_240, 9_000),
        (INFINITY, INFINITY, 10_240, 8_000),
        (INFINITY, INFINITY, 5_000, 4_000),
    ],
)
def test_the_limit_is_raised_as_far_as_the_system_lets_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, bound: int, granted: int
) -> None:
    system = System(soft, hard, bound)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert file_limits.raise_limit(8_000) == granted
    assert system.limits == (granted, hard)


@pytest.mark.parametrize(
    "refusal", [ValueError("not allowed to raise maximum limit"), OSError(errno.EPERM, "Operation not permitted")]
)
@pytest.mark.parametrize(("soft", "granted"), [(256, 256), (INFINITY, 8_000)])
def test_a_limit_that_may_not_be_changed_stays(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception, soft: int, granted: int
) -> None:
    system = System(soft, INFINITY, 10_240, refusal)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert file_limits.raise_limit(8_000) == granted
    assert system.limits == (soft, INFINITY)
