"""From a clone to an environment: on machines that lack something, and where it is ended half-way."""

from __future__ import annotations

import ensurepip
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

from support import disks

# An environment takes seconds, and a busy machine many more.
pytestmark = pytest.mark.timeout(300)

SOURCE = Path(__file__).parents[2]
PROGRAM = SOURCE / "scripts" / "environment.sh"

#: The Python that made the environment of these tests, as a person has one on PATH.
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = str(Path(sys.base_prefix, "bin", f"python{VERSION}"))

#: Where ensurepip has pip from, so that no test needs a network.
WHEELS = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).with_name("_bundled")

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1", "PIP_FIND_LINKS": str(WHEELS), "PIP_CONFIG_FILE": os.devnull}

#: What of a module that is not installed Python says; and of a Python that is old.
WITHOUT = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r} and sys.prefix == sys.base_prefix:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
OLD = "sys.version_info = (3, 9, 2, 'final', 0); sys.version = '3.9.2 (main)'"

UV = """\
#!/bin/sh
echo "$@" > "$UV_SAID"
unset PYTHONPATH
while [ "$1" != --python ]; do shift; done
exec {python} -m pip --python "$2" install --quiet pip
"""


class Machine:
    """A machine whose Python lacks some modules, with a PATH of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name in ("sh", "dirname", "make", "git"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        # Whether it is Debian's, and who asks, must make no difference.
        self.install("apt-get", "#!/bin/sh\n")
        self.venv = directory / "venv"
        # What most tests are not about: pip's own way takes a fraction of ensurepip's time.
        self.python(without("ensurepip"))

    def python(self, beginning: str) -> None:
        """Puts a Python there that first does what is said."""
        place = self._directory / "beginning"
        place.mkdir(exist_ok=True)
        (place / "sitecustomize.py").write_text(f"import sys\n{beginning}\n", encoding="utf-8")
        self.install("python3", f'#!/bin/sh\nPYTHONPATH={place} exec {PYTHON} "$@"\n')

    def install(self, name: str, script: str) -> None:
        """Puts a program on PATH."""
        (self.bin / name).write_text(script, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts to make the environment."""
        return subprocess.Popen(
            [PROGRAM, "python3", self.venv, *arguments],
            env={"PATH": str(self.bin), "HOME": str(self._directory), **OFFLINE, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def make(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Makes the environment; returns the exit status, and what was said about what is wrong."""
        process = self.start(*arguments, **environment)
        _, said = process.communicate(timeout=250)
        assert "Traceback" not in said
        return process.returncode, said

    def has(self, module: str) -> bool:
        """Tells whether the environment is finished and has a module."""
        if not (self.venv / ".ready").exists() or (self.venv / ".unfinished").exists():
            return False
        command = [str(self.venv / "bin" / "python"), "-c", f"import {module}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> str:
    """A package to install, which needs nothing to be built with."""
    place = tmp_path / "package"
    place.mkdir()
    (place / "backend.py").write_text(
        textwrap.dedent("""\
        import zipfile

        def build_wheel(directory, settings=None, metadata=None):
            name = "tried-1-py3-none-any.whl"
            with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
                wheel.writestr("tried.py", "")
                wheel.writestr("tried-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tried\\nVersion: 1\\n")
                wheel.writestr("tried-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
                wheel.writestr("tried-1.dist-info/RECORD", "")
            return name
        """),
        encoding="utf-8",
    )
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n', encoding="utf-8"
    )
    return str(place)


def without(*names: str) -> str:
    return WITHOUT.format(names=names)


def test_an_environment_is_made_and_brought_up_to_date(machine: Machine, package: str) -> None:
    machine.python("")
    assert machine.make() == (0, "")
    assert machine.has("pip")
    assert machine.make(package) == (0, "")
    assert machine.has("tried")


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check"])
def test_make_without_ensurepip_says_the_one_command_that_helps(machine: Machine, target: str) -> None:
    machine.python(without("ensurepip", "pip"))
    command = [str(machine.bin / "make"), "-C", str(SOURCE), target, "PYTHON=python3", f"VENV={machine.venv}"]
    environment = {"PATH": str(machine.bin), "HOME": str(machine.bin), **OFFLINE}
    for _ in range(2):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
        assert ended.returncode == 2
        lines = ended.stderr.splitlines()
        command_line = f"Run: {'' if os.geteuid() == 0 else 'sudo '}apt install python{VERSION}-venv"
        assert [line for line in lines if "apt install" in line] == [command_line]
        assert "uv" in lines[2]
        assert not machine.venv.exists()


def test_what_else_is_missing_is_told_in_the_same_command(machine: Machine) -> None:
    machine.python(without("ensurepip", "pip"))
    (machine.bin / "git").unlink()
    status, said = machine.make()
    assert status == 1
    assert "needs git 2.38" in said
    assert "apt install git python" in said
    (machine.bin / "python3").unlink()
    status, said = machine.make()
    assert status == 1
    assert "there is no 'python3' on PATH" in said
    assert "apt install git python3 python3-venv" in said
    assert not machine.venv.exists()


@pytest.mark.parametrize("old", ["python", "git"])
def test_what_is_too_old_is_told(machine: Machine, old: str) -> None:
    if old == "git":
        (machine.bin / "git").unlink()
        machine.install("git", "#!/bin/sh\necho git version 2.30.2\n")
    else:
        machine.python(OLD)
    status, said = machine.make()
    assert status == 1
    assert {"git": "needs git 2.38 or newer", "python": "needs Python 3.11 or newer"}[old] in said
    assert {"git": "2.30.2", "python": "is 3.9.2"}[old] in said
    assert not machine.venv.exists()


def test_pip_comes_through_uv_from_where_pip_is_configured_to_look(machine: Machine, tmp_path: Path) -> None:
    machine.python(without("ensurepip", "pip"))
    machine.install("uv", UV.format(python=PYTHON))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://packages.example/simple\n", encoding="utf-8")
    said = tmp_path / "said"
    assert machine.make(PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), UV_SAID=str(said))[0] == 0
    assert machine.has("pip")
    assert f"--index-url https://packages.example/simple --find-links {WHEELS} --no-index pip" in said.read_text(
        encoding="utf-8"
    )


def test_what_was_half_made_before_is_made_anew(machine: Machine) -> None:
    # As `python3 -m venv` leaves it behind without ensurepip.
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", machine.venv], check=True)
    (machine.venv / "left").touch()
    status, said = machine.make()
    assert (status, said) == (0, f"{machine.venv} was not finished: it is made anew.\n")
    assert machine.has("pip")
    assert not (machine.venv / "left").exists()


def test_a_directory_of_something_else_is_not_touched(machine: Machine) -> None:
    machine.venv.mkdir()
    (machine.venv / "letter").touch()
    status, said = machine.make()
    assert status == 1
    assert "is there already and is no virtual environment" in said
    assert [path.name for path in machine.venv.iterdir()] == ["letter"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_was_ended_half_way_is_made_anew(machine: Machine, tmp_path: Path, number: signal.Signals) -> None:
    waits = tmp_path / "requirements"
    os.mkfifo(waits)
    process = machine.start(f"-r {waits}")
    # It is open once pip has it open, which then waits for its content.
    with waits.open("wb"):
        # As a terminal does it: to all of them.
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=250)
    assert "Traceback" not in said.partition("Interrupted")[2]
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert "Interrupted: nothing of it is left" in said
        assert not machine.venv.exists()
        return
    assert (machine.venv / ".unfinished").exists()
    assert machine.make() == (0, f"{machine.venv} was not finished: it is made anew.\n")
    assert machine.has("pip")


def test_pip_that_installs_for_its_user_as_a_rule_installs_into_the_environment(
    machine: Machine, package: str, tmp_path: Path
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[install]\nuser = true\n", encoding="utf-8")
    assert machine.make(package, PIP_CONFIG_FILE=str(configuration), PIP_USER="1") == (0, "")
    assert machine.has("tried")


def test_what_cannot_be_downloaded_leaves_nothing_or_what_was_there(machine: Machine, package: str) -> None:
    missing = "--retries 0 no-such-package-of-ours"
    status, said = machine.make(missing)
    assert status == 1
    assert "nothing of it is left" in said
    assert not machine.venv.exists()
    assert machine.make(package)[0] == 0
    status, said = machine.make(missing)
    assert status == 1
    assert "is as it was before" in said
    assert machine.has("tried")


def test_a_full_disk_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    with disks.mounted(tmp_path / "small", "1m") as disk:
        machine.venv = disk / "venv"
        status, _ = machine.make()
        assert status == 1
        assert not machine.venv.exists()
