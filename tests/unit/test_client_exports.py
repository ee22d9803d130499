from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import metadata

import taskgrove
from taskgrove import aio, blocking, errors, lines, watching


def test_all_names_everything_that_the_package_shows() -> None:
    shown = {
        name for name, value in vars(taskgrove).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(taskgrove.__all__) == shown | {"__version__"}
    assert list(taskgrove.__all__) == sorted(set(taskgrove.__all__))


def test_every_error_and_every_event_is_shown() -> None:
    for module in (errors, lines, watching):
        own = {
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
        }
        assert own - {"Receiver", "Resume"} <= set(taskgrove.__all__)


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    for one, twin in ((blocking.Client, aio.AsyncClient), (blocking.Watch, aio.AsyncWatch)):
        methods = {name for name in dir(one) if not name.startswith("_")}
        assert methods == {name for name in dir(twin) if not name.startswith("_")}
        for name in methods:
            if inspect.isfunction(method := getattr(one, name)):
                assert inspect.signature(method).parameters == inspect.signature(getattr(twin, name)).parameters, name


def test_the_version_is_that_of_the_distribution() -> None:
    assert taskgrove.__version__ == metadata.version("taskgrove")


def test_the_library_needs_grpcio_and_protobuf_only() -> None:
    # In a process of its own, in which nothing else can be imported.
    block = (
        "import sys\n"
        "for name in ('click', 'rich', 'peewee', 'git', 'yaml', 'google.rpc', 'taskgrove_server'):\n"
        "    sys.modules[name] = None\n"
        "import taskgrove, taskgrove.v1.task_service_pb2_grpc\n"
    )
    ran = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
