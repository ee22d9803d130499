"""The environment of git commands: that of the server, less what would lead them elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from taskgrove_server.domain import variables

#: Of the server's own GIT_* variables these say how this machine's git is set up. Of all others, such as those of a
#: hook that started the server, git gets what the server's settings name.
_KEPT = ("GIT_CONFIG_*", "GIT_EXEC_PATH", "GIT_HTTP_*", "GIT_PROXY_SSL_*", "GIT_SSH*", "GIT_SSL_*")

#: What git never gets, whatever is named: these would lead it to another repository or to other objects, as those of
#: `git rev-parse --local-env-vars`, or change what a path means, what a command prints and who makes a commit.
_NEVER = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_AUTHOR_*",
    "GIT_COMMITTER_*",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_INTERNAL_*",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)

#: Nobody is there to answer: an empty GIT_ASKPASS also rules out core.askPass and SSH_ASKPASS. What git says is
#: partly read here, and goes into messages that are in English.
UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_EDITOR": "true", "LANGUAGE": "en"}


def without_foreign(own: Mapping[str, str], passed: Sequence[str]) -> list[str]:
    """Returns a prefix for a command line that drops variables, which GitPython can only set.

    Those stay that are among the command's `own`, that set git up, or that `passed` names.
    """
    foreign = [
        name for name in os.environ if name.startswith("GIT_") and name not in own and not _is_kept(name, passed)
    ]
    return ["env", *(part for name in foreign for part in ("-u", name))] if foreign else []


def _is_kept(name: str, passed: Sequence[str]) -> bool:
    return variables.match(name, _KEPT) or (variables.match(name, passed) and not variables.match(name, _NEVER))
