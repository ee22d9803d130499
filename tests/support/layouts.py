"""Repositories whose git directory is not where one looks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from support import repositories


def separate(place: Path) -> Path:
    """Makes a repository by `git init --separate-git-dir`."""
    place.mkdir()
    repositories.git(place, "init", "--quiet", f"--separate-git-dir={place / 'git dir'}", "checkout")
    repositories.commit(place / "checkout", repositories.FILES, "First")
    return place / "checkout"


def submodule(place: Path) -> Path:
    """Makes a repository with a submodule, of which the checkout is returned."""
    source = repositories.make_repository(place / "source")
    around = repositories.make_repository(place / "around")
    allowed = ("-c", "protocol.file.allow=always")
    repositories.git(around, *allowed, "submodule", "--quiet", "add", str(source), "vendored/sub")
    repositories.git(around, "commit", "--quiet", "--message", "Add a submodule")
    return around / "vendored" / "sub"


def linked(place: Path) -> Path:
    """Makes a linked worktree on a branch of its own."""
    main = repositories.make_repository(place / "main")
    repositories.git(main, "worktree", "add", "--quiet", "-b", "develop", str(place / "linked"))
    return place / "linked"


def linked_of_separate(place: Path) -> Path:
    """Makes a linked worktree of a repository whose git directory lies elsewhere."""
    checkout = separate(place)
    repositories.git(checkout, "worktree", "add", "--quiet", "-b", "develop", str(place / "linked"))
    return place / "linked"


def bare_with_siblings(place: Path) -> Path:
    """Makes a bare repository in .bare, to which a .git file leads, and a worktree beside it, which is returned."""
    source = repositories.make_repository(place.with_name("source"))
    place.mkdir()
    repositories.git(place, "clone", "--quiet", "--bare", str(source), ".bare")
    (place / ".git").write_text("gitdir: ./.bare\n")
    repositories.git(place, "worktree", "add", "--quiet", "main")
    return place / "main"


def bare_git_with_siblings(place: Path) -> Path:
    """Makes a bare repository in .git, and a worktree beside it, which is returned."""
    source = repositories.make_repository(place.with_name("source"))
    place.mkdir()
    repositories.git(place, "clone", "--quiet", "--bare", str(source), ".git")
    repositories.git(place, "worktree", "add", "--quiet", "main")
    return place / "main"


def behind_a_link(place: Path) -> Path:
    """Makes a repository and returns a link to it."""
    repositories.make_repository(place / "really here")
    (place / "link").symlink_to("really here")
    return place / "link"


def linked_git_directory(place: Path) -> Path:
    """Makes a repository whose .git is a link to a directory elsewhere."""
    repository = repositories.make_repository(place / "checkout")
    (repository / ".git").rename(place / "git dir")
    (repository / ".git").symlink_to(place / "git dir")
    return repository


def inside_another(place: Path) -> Path:
    """Makes a repository inside of another, which knows nothing of it."""
    around = repositories.make_repository(place / "around")
    return repositories.make_repository(around / "vendored" / "inner")


#: Each makes a repository below a place that there is not yet, and returns a checkout.
LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (
        separate,
        submodule,
        linked,
        linked_of_separate,
        bare_with_siblings,
        bare_git_with_siblings,
        behind_a_link,
        linked_git_directory,
        inside_another,
    )
}
