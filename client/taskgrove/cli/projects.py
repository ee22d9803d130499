"""Finds the task list that a new task belongs to, and makes it where there is none."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import taskgrove
from taskgrove import errors
from taskgrove.cli import exits
from taskgrove.v1 import task_list_pb2

#: The title of the list whose tasks have no repository.
SANDBOX = "sandbox"


def task_list_for(client: taskgrove.Client, directory: Path) -> task_list_pb2.TaskList:
    """Returns the list of the repository around a directory, or the sandbox list outside of one."""
    top = repository_of(directory)
    if top is None:
        for task_list in client.list_task_lists():
            if task_list.title == SANDBOX and not task_list.working_dir:
                return task_list
        return client.create_task_list(SANDBOX)
    for task_list in client.list_task_lists(working_dir=top, page_size=1):
        return task_list
    try:
        return client.create_task_list(top.name, working_dir=top)
    except errors.BranchPrefixTaken as error:
        prefix = error.metadata["branch_prefix"]
        words = ("taskgrove", "lists", "create", top.name, "--dir", str(top), "--branch-prefix", prefix)
        raise exits.Refused(
            f"{error.message}\nMake a task list of the repository with such a prefix, and run this command again:\n"
            f"  {shlex.join(words)}"
        ) from error


def repository_of(directory: Path) -> Path | None:
    """Returns the top level of the git checkout around a directory; None when there is no repository.

    Raises Refused when git finds a repository that it cannot use: its owner is not trusted, it is bare.
    """
    try:
        found = subprocess.run(
            ["git", "-C", directory, "rev-parse", "--show-toplevel"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=own_environment(),
        )
    except FileNotFoundError as error:
        raise exits.Refused(
            "git is not installed, so the repository cannot be found: name a task list with --list."
        ) from error
    if found.returncode == 0:
        return Path(found.stdout.removesuffix("\n"))
    if "not a git repository" in found.stderr:
        return None
    raise exits.Refused(f"git cannot use the repository at {directory}: {found.stderr.strip()}")


def own_environment() -> dict[str, str]:
    """Returns the environment for git: without what a git hook would redirect it by, with its sentences in English."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
