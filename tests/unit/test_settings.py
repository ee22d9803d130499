from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from taskgrove_server import settings
from taskgrove_server.settings import Settings, SettingsInvalid

README = Path(__file__).parents[2] / "README.md"

#: For each setting: texts with the values that they mean, and what is refused.
VALUES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "data_dir": ({"/d": Path("/d"), "d": Path("d")}, ["", "\0", "~nobody-of-this-name/d"]),
    "listen": (
        {
            "unix:/s": ("unix:/s",),
            "127.0.0.1:0": ("127.0.0.1:0",),
            "unix:/s,[::1]:1, localhost:0": ("unix:/s", "[::1]:1", "localhost:0"),
            "127.0.0.1:1,unix:/a,b:1/s,c,unix:/d": ("127.0.0.1:1", "unix:/a,b:1/s,c", "unix:/d"),
        },
        ["", "\0"],
    ),
    "tls_cert": ({"/cert": Path("/cert")}, ["", "\0"]),
    "tls_key": ({"/key": Path("/key")}, ["", "\0"]),
    "tls_client_ca": ({"/client_ca": Path("/client_ca")}, ["", "\0"]),
    "slots": ({"1": 1, "1024": 1024}, ["", "0", "-1", "1025", "1.5", "four", "1e2"]),
    "max_watchers": ({"1": 1, "1000000": 1000000}, ["", "0", "1000001", "many"]),
    "allowed_roots": ({"/a": ("/a",), "/a:/b c": ("/a", "/b c")}, ["", ":", "/a:", "relative", "/a:b", "\0"]),
    "claude": ({"/opt/claude": "/opt/claude"}, [""]),
    "pass_environment": ({"A": ("A",), "A:B_*": ("A", "B_*")}, ["", "A::B"]),
    "min_free_space": ({"0": 0, "1048576": 1048576}, ["", "-1", "1048577", "1.5", "1G"]),
    "run_timeout": ({"0.5": 0.5, "31622400": 31622400.0}, ["", "0", "-1", "31622401", "nan", "inf", "1h"]),
    "stall_timeout": ({"0.5": 0.5, "1800": 1800.0}, ["", "0", "-1", "inf"]),
    "linger": ({"0": 0.0, "1e1": 10.0}, ["", "-0.1", "nan", "ten"]),
    "log_limit": ({"1": 1, "1048576": 1048576}, ["", "0", "-1", "1048577", "1.5", "1G"]),
    "interrupt_grace": ({"0": 0.0, "3.5": 3.5}, ["", "-1", "soon"]),
    "sigint_grace": ({"0": 0.0, "3.5": 3.5}, ["", "-1", "soon"]),
    "sigterm_grace": ({"0": 0.0, "3.5": 3.5}, ["", "-1", "soon"]),
    "sweep_grace": ({"0": 0.0, "3.5": 3.5}, ["", "-1", "soon"]),
    "retry_pause": ({"0": 0.0, "60": 60.0}, ["", "-1", "inf"]),
    "git_timeout": ({"1": 1.0}, ["", "0", "-1", "inf"]),
    "branch_prefix": ({"agents/": "agents/"}, [""]),
    "event_retention": ({"0.5": 0.5, "604800": 604800.0}, ["", "0", "-1", "inf"]),
    "max_events": ({"1": 1, "1000000": 1000000}, ["", "0", "1000001", "all"]),
    "request_retention": (
        {"86400": 86400.0, "604800.5": 604800.5, "31622400": 31622400.0},
        ["", "0", "-1", "86399", "86399.9", "31622401", "nan", "inf", "7d"],
    ),
    "task_retention": ({"0": 0.0, "2592000": 2592000.0}, ["", "-1", "31622401", "30d"]),
    "log_retention": ({"0": 0.0, "604800.5": 604800.5}, ["", "-1", "31622401", "inf"]),
    "author_name": ({"Grace Hopper": "Grace Hopper"}, [""]),
    "author_email": ({"g@example.org": "g@example.org"}, [""]),
    "stop_runs": ({"true": True, "YES": True, "1": True, "false": False, "no": False, "0": False}, ["", "maybe", "2"]),
    "idle_exit": ({"0": 0.0, "60": 60.0}, ["", "-1", "never"]),
    "log_level": ({"debug": "debug", "error": "error"}, ["", "INFO", "verbose"]),
}

TEXTS = [(name, text, value) for name, (good, _) in VALUES.items() for text, value in good.items()]
REFUSED = [(name, text) for name, (_, bad) in VALUES.items() for text in bad]


def flags(name: str, text: str) -> list[str]:
    """Returns the flags that say what one variable of the environment does."""
    flag = f"--{name.replace('_', '-')}"
    if name == "stop_runs":
        return [flag if text in {"true", "YES", "1"} else flag.replace("--", "--no-")]
    if name in {"allowed_roots", "pass_environment"}:
        return [f"{flag}={part}" for part in text.split(":")]
    if name == "listen":
        return [f"{flag}={address}" for address in VALUES[name][0].get(text, [text])]
    return [f"{flag}={text}"]


def variable(name: str) -> str:
    return f"TASKGROVE_{name.upper()}"


def in_file(path: Path, name: str, value: object) -> list[str]:
    path.write_text(f"{name} = {json.dumps(value)}\n", encoding="utf-8")
    return [f"--config={path}"]


def test_this_table_has_every_setting() -> None:
    assert list(VALUES) == [setting.name for setting in fields(Settings)]


def test_without_anything_the_defaults_hold() -> None:
    assert settings.load([], {}) == Settings()


@pytest.mark.parametrize(("name", "text", "value"), TEXTS)
def test_a_flag_and_a_variable_say_the_same(name: str, text: str, value: Any) -> None:
    expected = Settings(**{name: value})
    assert settings.load([], {variable(name): text}) == expected
    assert settings.load(flags(name, text), {}) == expected


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_bad_value_is_refused_with_its_place_and_what_is_expected(name: str, text: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        settings.load([], {variable(name): text})
    assert str(caught.value).startswith(f"{variable(name)}: {text!r} is not ")
    if name != "stop_runs":
        flag = f"--{name.replace('_', '-')}"
        with pytest.raises(SettingsInvalid, match=f"^{flag}: "):
            settings.load(flags(name, text), {})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("slots", 3, 3),
        ("run_timeout", 90, 90.0),
        ("linger", 0.5, 0.5),
        ("stop_runs", True, True),
        ("allowed_roots", ["/a", "/b:c"], ("/a", "/b:c")),
        ("allowed_roots", [], ()),
        ("listen", "unix:/s,127.0.0.1:1", ("unix:/s", "127.0.0.1:1")),
        ("listen", ["unix:/s", "127.0.0.1:1"], ("unix:/s", "127.0.0.1:1")),
        ("listen", [], ()),
        ("pass_environment", ["A"], ("A",)),
        ("log_level", "warning", "warning"),
    ],
)
def test_the_file_has_values_of_their_own_types(tmp_path: Path, name: str, value: object, expected: Any) -> None:
    assert settings.load(in_file(tmp_path / "c", name, value), {}) == Settings(**{name: expected})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slots", True),
        ("slots", 2.0),
        ("slots", [1]),
        ("linger", True),
        ("linger", [1]),
        ("listen", 7431),
        ("listen", ["unix:/s", ""]),
        ("listen", ["unix:/s", 7431]),
        ("allowed_roots", 5),
        ("allowed_roots", ["/a", 5]),
        ("allowed_roots", ["relative"]),
        ("pass_environment", [""]),
        ("stop_runs", [True]),
        ("log_level", 1),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_file_and_key(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "c"
    with pytest.raises(SettingsInvalid, match=f"^{re.escape(str(path))}: {name}: "):
        settings.load(in_file(path, name, value), {})


@pytest.mark.parametrize("name", [name for name in VALUES if name != "stop_runs"])
def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path, name: str) -> None:
    good = VALUES[name][0]
    (text, value), (other_text, other) = (*good.items(), *good.items())[:2]
    default = [f"--config={tmp_path / 'c'}"]
    (tmp_path / "c").write_text("", encoding="utf-8")
    assert getattr(settings.load(default, {variable(name): text}), name) == value
    assert getattr(settings.load([*default, *flags(name, other_text)], {variable(name): text}), name) == other
    if isinstance(value, str):
        default = in_file(tmp_path / "c", name, other_text)
        assert getattr(settings.load(default, {}), name) == other
        assert getattr(settings.load(default, {variable(name): text}), name) == value


def test_a_flag_can_turn_off_what_the_environment_turns_on() -> None:
    assert settings.load(["--no-stop-runs"], {"TASKGROVE_STOP_RUNS": "1"}).stop_runs is False


def test_a_list_of_flags_replaces_that_of_the_environment() -> None:
    given = settings.load(["--allowed-roots", "/a", "--allowed-roots", "/b"], {"TASKGROVE_ALLOWED_ROOTS": "/c"})
    assert given.allowed_roots == ("/a", "/b")


def test_the_file_is_named_by_a_flag_before_the_environment(tmp_path: Path) -> None:
    in_file(tmp_path / "a", "slots", 5)
    in_file(tmp_path / "b", "slots", 6)
    environment = {"TASKGROVE_CONFIG": str(tmp_path / "a")}
    assert settings.load([], environment).slots == 5
    assert settings.load(["--config", str(tmp_path / "b")], environment).slots == 6


def test_unknown_keys_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("zeal = 1\nslots = 2\nalso = 2\n", encoding="utf-8")
    with pytest.raises(SettingsInvalid, match=r"unknown keys: also, zeal\.$"):
        settings.load(["--config", str(tmp_path / "c")], {})


def test_paths_may_start_at_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/grace")
    given = settings.load(["--data-dir", "~/data", "--allowed-roots", "~/projects"], {})
    assert (given.data_directory, given.allowed_roots) == (Path("/home/grace/data"), ("/home/grace/projects",))


@pytest.mark.parametrize("named", [{"tls_cert"}, {"tls_key"}, {"tls_client_ca"}, {"tls_cert", "tls_client_ca"}])
def test_the_files_of_tls_go_together(named: set[str]) -> None:
    with pytest.raises(SettingsInvalid, match="together"):
        _ = settings.load([f"--{name.replace('_', '-')}=/f" for name in named], {}).tls_files
    assert settings.load([], {}).tls_files is None


def test_the_socket_lies_in_the_data_directory_unless_told() -> None:
    assert settings.load(["--data-dir", "/d"], {}).addresses == ("unix:/d/taskgroved.sock",)
    assert settings.load(["--data-dir", "/d", "--listen", "[::1]:1"], {}).addresses == ("[::1]:1",)


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.load(["--data-dir", "d"], {}).data_directory == tmp_path / "d"


def test_the_table_in_the_readme_is_that_of_the_settings() -> None:
    _, _, after = README.read_text(encoding="utf-8").partition("<!-- settings -->\n")
    written, end, _ = after.partition("\n<!-- /settings -->")
    assert end
    assert written == settings.table()


def test_the_help_names_every_setting_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.load(["--help"], {})
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for setting in fields(Settings):
        assert f"--{setting.name.replace('_', '-')}" in told
    assert "Default: 14400." in told
