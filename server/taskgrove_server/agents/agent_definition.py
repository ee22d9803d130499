"""Agent definitions: Markdown files with YAML front matter, as Claude Code keeps them in `.claude/agents/`.

Claude Code takes definitions by file only from its own folders, and ignores what it does not find: the
server therefore reads the file itself and refuses a run whose definition would not take effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from taskgrove_server.agents.agent import LaunchRefused
from taskgrove_server.domain.failures import Failure, FailureKind

#: Bytes of the whole file.
MAX_SIZE = 102_400

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)(.*)", re.DOTALL | re.MULTILINE)
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """Who the agent is to be."""

    name: str
    description: str
    #: The body of the file; takes the place of the agent's own system prompt.
    prompt: str
    #: The only tools it has; None means all.
    tools: tuple[str, ...] | None = None
    #: Tools that it does not have.
    disallowed_tools: tuple[str, ...] = ()
    #: None when the definition leaves the choice open.
    model: str | None = None


def read(agent_path: str, working_dir: str | None) -> AgentDefinition:
    """Returns the definition in a file; raises LaunchRefused, with the path and the problem, when it has none.

    A relative path starts at `working_dir`, and does not lead out of it.
    """
    path = Path(agent_path) if working_dir is None else Path(working_dir, agent_path)
    try:
        if working_dir and not Path(agent_path).is_absolute():
            _require_inside(path, Path(working_dir))
        return _parse(_load(path))
    except (OSError, ValueError) as error:
        message = f"The agent definition `{path}` cannot be used: {error}."
        raise LaunchRefused(Failure(FailureKind.INVALID_CONFIG, message)) from error


def _require_inside(path: Path, directory: Path) -> None:
    # A repository's links are not the server's: the roots that it allows hold for them as well.
    if not path.resolve().is_relative_to(directory.resolve()):
        raise ValueError("it lies outside the repository: use an absolute path")


def _load(path: Path) -> str:
    if not path.is_absolute():
        raise ValueError("a relative path starts at the list's `working_dir`, which has none: use an absolute one")
    # Not before this is known may the file be opened: to open a named pipe would block.
    if not path.is_file():
        raise ValueError("there is no such file, or the server may not read it")
    with path.open("rb") as file:
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error})") from error


def _parse(text: str) -> AgentDefinition:
    match = _FRONT_MATTER.match(text)
    if not match:
        raise ValueError("it does not start with YAML front matter between two lines of `---`")
    try:
        loaded: object = yaml.safe_load(match[1])
    except Exception as error:  # PyYAML lets errors of any kind through for odd tags, such as `!!int ""`.
        raise ValueError(f"its front matter is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ValueError("its front matter is not a mapping of names to values")  # noqa: TRY004 - as below
    values = cast(dict[object, Any], loaded)
    name = _text(values, "name")
    if not name:
        raise ValueError("its front matter has no `name`")
    if not _NAME.fullmatch(name):
        raise ValueError(f"its name {name!r} is not 1 to 64 letters, digits, `-` and `_`")
    prompt = match[2].strip()
    if not prompt:
        raise ValueError("it has no body, which is the agent's prompt")
    model = _text(values, "model")
    return AgentDefinition(
        name=name,
        # Claude Code refuses an agent without a description.
        description=_text(values, "description") or name,
        prompt=prompt,
        tools=_tools(values, "tools"),
        disallowed_tools=_tools(values, "disallowedTools") or (),
        model=None if model == "inherit" else model or None,
    )


def _text(values: dict[object, Any], key: str) -> str:
    value: object = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"`{key}` in its front matter is not a text")  # noqa: TRY004 - a problem of the file
    return value.strip()


def _tools(values: dict[object, Any], key: str) -> tuple[str, ...] | None:
    value: object = values.get(key)
    if value is None:
        return None
    parts = _COMMA_OUTSIDE_PARENTHESES.split(value) if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in cast(list[object], parts)):
        raise ValueError(f"`{key}` in its front matter is neither a text with commas nor a list of texts")
    return tuple(tool for part in cast(list[str], parts) if (tool := part.strip()))
