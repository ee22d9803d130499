"""What `taskgroved` is asked for on its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgrove_server import settings
from taskgrove_server.commands import Command, Deed


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], Command(Deed.SERVE)),
        (["--slots", "2"], Command(Deed.SERVE)),
        (["--rotate-token"], Command(Deed.ROTATE_TOKEN)),
        (["backup", "d"], Command(Deed.BACKUP, Path("d"))),
        (["backup", "d", "--with-token"], Command(Deed.BACKUP, Path("d"), with_token=True)),
        (["backup", "--", "-d"], Command(Deed.BACKUP, Path("-d"))),
        (["restore", "/d"], Command(Deed.RESTORE, Path("/d"))),
    ],
)
def test_a_command_is_known_beside_flags(arguments: list[str], command: Command) -> None:
    assert settings.command(arguments) == command


@pytest.mark.parametrize(
    ("arguments", "data_dir"),
    [
        (["--data-dir", "/one", "backup", "d"], "/one"),
        (["backup", "d", "--data-dir", "/one"], "/one"),
        (["backup", "--data-dir=/one", "d"], "/one"),
        (["--data-dir", "/two", "restore", "d", "--data-dir", "/one"], "/one"),
        (["restore", "d"], "/of/the/environment"),
    ],
)
def test_the_data_directory_is_named_before_or_behind_a_command(arguments: list[str], data_dir: str) -> None:
    loaded = settings.load(arguments, {"TASKGROVE_DATA_DIR": "/of/the/environment"})
    assert loaded.data_directory == Path(data_dir)


def test_a_file_of_settings_counts_for_commands(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('data_dir = "/of/the/file"\n')
    loaded = settings.load(["backup", "d", "--config", str(tmp_path / "settings.toml")], {})
    assert loaded.data_directory == Path("/of/the/file")


@pytest.mark.parametrize(
    "arguments", [["backup"], ["restore"], ["backup", "a", "b"], ["serve"], ["restore", "d", "-x"]]
)
def test_a_command_that_is_none_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        settings.command(arguments)
    assert refused.value.code == 2


def test_two_things_at_once_are_refused() -> None:
    with pytest.raises(settings.SettingsInvalid, match="--rotate-token and backup are two things"):
        settings.command(["--rotate-token", "backup", "d"])
