"""The server's settings: flags come before the environment, the environment before the TOML file."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from taskgrove_server import commands
from taskgrove_server.tls import TlsFiles


class SettingsInvalid(Exception):
    """A setting is unknown or malformed; the message says which, where it came from, and what is expected."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of setting: `convert` returns a value from a text or from the file, None when it cannot."""

    unit: str
    expected: str
    convert: Callable[[Any], Any]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and "\0" not in value else None


def _texts(value: Any) -> tuple[str, ...] | None:
    values: Any = value.split(":") if isinstance(value, str) else value
    if not isinstance(values, list):
        return None
    texts = tuple(_text(entry) for entry in cast("list[object]", values))
    return None if None in texts else cast("tuple[str, ...]", texts)


#: A comma that another address follows: the path of a socket may have commas of its own.
_NEXT_ADDRESS = re.compile(r",(?=\s*(?:unix:|[^,/]*:\d+\s*(?:,|$)))")


def _addresses(value: Any) -> tuple[str, ...] | None:
    values: Any = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        return None
    texts = [_text(entry) for entry in cast("list[object]", values)]
    return (
        tuple(address.strip() for text in texts for address in _NEXT_ADDRESS.split(text or "")) if all(texts) else None
    )


def _path(value: Any) -> Path | None:
    text = _text(value)
    try:
        return None if text is None else Path(text).expanduser()
    except RuntimeError:  # of a user that there is not
        return None


def _roots(value: Any) -> tuple[str, ...] | None:
    texts = _texts(value)
    if texts is None:
        return None
    paths = [path for text in texts if (path := _path(text)) is not None and path.is_absolute()]
    return tuple(map(str, paths)) if len(paths) == len(texts) else None


def _whole(value: Any, most: int, least: int = 1) -> int | None:
    try:
        count = int(value)
    except (TypeError, ValueError):
        return None
    return count if least <= count <= most and not isinstance(value, bool | float) else None


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds <= 366 * 86400 and not isinstance(value, bool) else None


def _limit(value: Any) -> float | None:
    return _seconds(value) or None


def _days(value: Any) -> float | None:
    seconds = _seconds(value)
    return seconds if seconds is not None and seconds >= 86400 else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(str(value).lower())


def _level(value: Any) -> str | None:
    return value if value in ("debug", "info", "warning", "error") else None


_ADDRESSES = _Kind("addresses", "a list of addresses, none of them empty", _addresses)
_COUNT = _Kind("count", "a whole number from 1 to 1024", lambda value: _whole(value, 1024))
_SPACE = _Kind("MiB", "a whole number of MiB, at most 1048576", lambda value: _whole(value, 1 << 20, least=0))
_SIZE = _Kind("MiB", "a whole number of MiB from 1 to 1048576", lambda value: _whole(value, 1 << 20))
_MANY = _Kind("count", "a whole number from 1 to 1000000", lambda value: _whole(value, 1_000_000))
_DAYS = _Kind("seconds", "a number of seconds, at least a day (86400) and at most a year", _days)
_FLAG = _Kind("flag", "true or false", _flag)
_LEVEL = _Kind("word", "debug, info, warning or error", _level)
_LIMIT = _Kind("seconds", "a number of seconds, more than 0 and at most a year", _limit)
_NAMES = _Kind("names", "a list of names, none of them empty", _texts)
_PATH = _Kind("path", "a path", _path)
_PAUSE = _Kind("seconds", "a number of seconds, at most a year", _seconds)
_PROGRAM = _Kind("path", "a program", _text)
_ROOTS = _Kind("paths", "a list of absolute paths", _roots)
_TEXT = _Kind("text", "a text that is not empty", _text)


def _setting(kind: _Kind, default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `name` is the flag `--name`, the variable TASKGROVE_NAME and the key `name` of the file."""

    data_dir: Path | None = _setting(
        _PATH,
        None,
        "Where the server keeps its database, logs, worktrees and sandboxes. One server owns it at a time. "
        "Default: $XDG_DATA_HOME/taskgrove, else ~/.local/share/taskgrove.",
    )
    listen: tuple[str, ...] = _setting(
        _ADDRESSES,
        (),
        "Where to serve, one address or several: 'unix:PATH', or 'HOST:PORT' (port 0 picks a free one); without TLS on "
        "loopback addresses only. TCP calls need the bearer token in the file 'token' of the data directory, where the "
        "file 'address' has the addresses once they are served. Default: unix:<data_dir>/taskgroved.sock.",
    )
    tls_cert: Path | None = _setting(
        _PATH, None, "The server's certificate chain, in PEM. Read again when it changes. Empty: TCP without TLS."
    )
    tls_key: Path | None = _setting(_PATH, None, "The private key of that certificate, in PEM.")
    tls_client_ca: Path | None = _setting(
        _PATH,
        None,
        "The authorities, in PEM, of which clients over TCP have to present a certificate, besides the token. "
        "Empty: clients need none.",
    )
    slots: int = _setting(_COUNT, 4, "How many tasks run at once.")
    max_watchers: int = _setting(
        _MANY, 4096, "How many watches are served at once; further ones are refused. Each holds a file open."
    )
    allowed_roots: tuple[str, ...] = _setting(
        _ROOTS, (), "Directories under which repositories and agent definitions must lie. Empty: anywhere."
    )
    claude: str = _setting(_PROGRAM, "claude", "The Claude Code program, looked up on PATH.")
    pass_environment: tuple[str, ...] = _setting(
        _NAMES,
        (),
        "Variables of the server's environment that agents get besides the allow-listed ones; a trailing * matches "
        "any ending. The server's own git commands get those that begin with GIT_, such as GIT_LFS_SKIP_SMUDGE, but "
        "never one that leads to another repository, such as GIT_DIR.",
    )
    min_free_space: int = _setting(
        _SPACE,
        100,
        "How much of the disk of data_dir must be free for a task to be started; with less, tasks wait, and so does "
        "an agent that prints much. 0: never mind.",
    )
    run_timeout: float = _setting(_LIMIT, 4 * 3600.0, "How long a run may take unless its task or list says.")
    stall_timeout: float = _setting(
        _LIMIT,
        1800.0,
        "How long a run may print nothing, while none of its tools is at work, unless its task or list says.",
    )
    linger: float = _setting(
        _PAUSE, 10.0, "How long an agent's process may stay after its last result, unless its task or list says."
    )
    log_limit: int = _setting(
        _SIZE, 1024, "How large a run's log may become before the run is stopped, unless its task or list says."
    )
    interrupt_grace: float = _setting(
        _PAUSE, 3.0, "How long an agent that is being stopped gets after it was asked over its standard input."
    )
    sigint_grace: float = _setting(
        _PAUSE, 5.0, "How long it gets after SIGINT, which is sent only to agents that can be asked."
    )
    sigterm_grace: float = _setting(_PAUSE, 5.0, "How long it gets after SIGTERM; then comes SIGKILL.")
    sweep_grace: float = _setting(
        _PAUSE, 1.0, "How long processes that an agent has left behind get between SIGTERM and SIGKILL."
    )
    retry_pause: float = _setting(
        _PAUSE,
        1.0,
        "How long to wait before a task tries again that was put back for something that passes, such as a used-up "
        "limit; twice as long after each further try, up to five minutes.",
    )
    git_timeout: float = _setting(_LIMIT, 600.0, "How long one git command may take.")
    branch_prefix: str = _setting(_TEXT, "taskgrove/", "What the names of tasks' branches begin with.")
    event_retention: float = _setting(
        _LIMIT, 7 * 86400.0, "How long events are kept for those who watch them, unless there are too many."
    )
    max_events: int = _setting(_MANY, 100_000, "How many events are kept.")
    request_retention: float = _setting(
        _DAYS, 7 * 86400.0, "How long request ids are kept, by which a call that is made again is told from a new one."
    )
    task_retention: float = _setting(
        _PAUSE,
        0.0,
        "How long a task rests before it is deleted, with its runs, its logs, its worktree and branch, or its sandbox; "
        "what is not landed is saved to a ref first, and a task whose work cannot be saved stays. 0: for ever.",
    )
    log_retention: float = _setting(
        _PAUSE,
        0.0,
        "How long a task rests before its logs are removed; the task stays, with its runs and their results and "
        "figures. 0: as long as the task.",
    )
    author_name: str = _setting(_TEXT, "Taskgrove", "Author and committer of the commits.")
    author_email: str = _setting(_TEXT, "taskgrove@localhost", "E-mail address of that author.")
    stop_runs: bool = _setting(
        _FLAG, False, "Stop running agents together with the server, instead of leaving them to the next one."
    )
    idle_exit: float = _setting(
        _PAUSE,
        0.0,
        "How long there may be no call and no task that waits or runs before the server ends by itself. 0: for ever.",
    )
    log_level: str = _setting(_LEVEL, "info", "How much the server logs on stderr: debug, info, warning or error.")

    @property
    def data_directory(self) -> Path:
        """Returns the data directory, absolute."""
        if self.data_dir is not None:
            return self.data_dir.absolute()
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(base).expanduser().absolute() / "taskgrove"

    @property
    def tls_files(self) -> TlsFiles | None:
        """Returns the files of TLS, None without it; raises SettingsInvalid when some are named and others missing."""
        if self.tls_cert is None and self.tls_key is None and self.tls_client_ca is None:
            return None
        if self.tls_cert is None or self.tls_key is None:
            raise SettingsInvalid("tls_cert and tls_key have to be set together, and tls_client_ca only with them.")
        return TlsFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Returns where to serve, at least one."""
        return self.listen or (f"unix:{self.data_directory / 'taskgroved.sock'}",)


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Returns the settings; raises SettingsInvalid. `--help` and `--version` are the parser's business."""
    flags = vars(_parse(arguments))
    path = flags.pop("config", None) or environment.get("TASKGROVE_CONFIG")
    values: dict[str, Any] = {}
    for name, value in (_read_file(Path(path)) if path else {}).items():
        values[name] = _convert(name, value, f"{path}: {name}")
    for setting in fields(Settings):
        variable = f"TASKGROVE_{setting.name.upper()}"
        if variable in environment:
            values[setting.name] = _convert(setting.name, environment[variable], variable)
    for name in _KINDS.keys() & flags.keys():
        if flags[name] is not None:
            values[name] = _convert(name, flags[name], _flag_of(name))
    return Settings(**values)


def command(arguments: Sequence[str]) -> commands.Command:
    """Returns what the command line asks for; raises SettingsInvalid when that is two things."""
    parsed = _parse(arguments)
    if parsed.rotate_token and parsed.command is not None:
        raise SettingsInvalid(f"--rotate-token and {parsed.command} are two things: give one command for each.")
    return commands.asked(parsed)


def table() -> str:
    """Returns the settings as the Markdown table of the documentation."""
    lines = ["| setting | flag | environment | unit | default | what it does |", "|---|---|---|---|---|---|"]
    for setting in fields(Settings):
        default = "" if setting.default in (None, ()) else f"`{_show(setting.default)}`"
        lines.append(
            f"| `{setting.name}` | `{_flag_of(setting.name)}` | `TASKGROVE_{setting.name.upper()}` "
            f"| {_KINDS[setting.name].unit} | {default} | {setting.metadata['help']} |"
        )
    return "\n".join(lines)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns what the command line says; ends the process with status 2 where that is wrong."""
    parser = _parser()
    commands.add_to(parser, ("--data-dir", "--config"))
    _, rest = _parser(add_help=False).parse_known_args(arguments)
    if rest and rest[0].startswith("-") and rest[0] != "--":
        # Of an unknown flag before the command, the value would be told to be an unknown command.
        parser.parse_args(rest[:1])
    return parser.parse_args(arguments)


def _parser(*, add_help: bool = True) -> argparse.ArgumentParser:
    """Returns the parser of the settings, which knows no command."""
    parser = argparse.ArgumentParser(
        prog="taskgroved",
        description="Serves Taskgrove: queues tasks for coding agents, runs each in a git worktree of its own, "
        "and streams every line.",
        epilog="Each flag may also be given as an environment variable (--data-dir: TASKGROVE_DATA_DIR; several "
        "values separated by ':', addresses by ',') or as a key of the TOML file (data_dir). Flags come before the "
        "environment, the environment before the file.",
        allow_abbrev=False,
        add_help=add_help,
    )
    version = importlib.metadata.version("taskgrove")
    parser.add_argument("--version", action="version", version=f"taskgroved {version}")
    parser.add_argument("--config", metavar="FILE", help="A TOML file with settings. Environment: TASKGROVE_CONFIG.")
    for setting in fields(Settings):
        flag = _flag_of(setting.name)
        unit = _KINDS[setting.name].unit.upper()
        text = setting.metadata["help"].replace("%", "%%")
        if setting.default not in (None, (), False):
            text += f" Default: {_show(setting.default)}."
        if isinstance(setting.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif isinstance(setting.default, tuple):
            parser.add_argument(flag, action="append", metavar=unit, help=text)
        else:
            parser.add_argument(flag, metavar=unit, help=text)
    return parser


def _flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(f"The settings file {path} cannot be read: {error}") from error
    unknown = values.keys() - {setting.name for setting in fields(Settings)}
    if unknown:
        raise SettingsInvalid(f"The settings file {path} has unknown keys: {', '.join(sorted(unknown))}.")
    return values


def _convert(name: str, value: Any, source: str) -> Any:
    kind = _KINDS[name]
    converted = kind.convert(value)
    if converted is None:
        raise SettingsInvalid(f"{source}: {value!r} is not {kind.expected}.")
    return converted


_KINDS: Mapping[str, _Kind] = {setting.name: setting.metadata["kind"] for setting in fields(Settings)}
