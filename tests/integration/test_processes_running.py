"""A process under a supervisor gets what its spec says, and its end is told as it was."""

from __future__ import annotations

import errno
import gc
import os
import select
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import process_room
from support.process_room import Room, end_of
from taskgrove_server.processes import exits, files, program, starting, supervised
from taskgrove_server.processes.ending import ProcessEnd


@pytest.fixture(params=[False, True], ids=["directly", "forked"])
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    with process_room.room(tmp_path, forked=request.param) as opened:
        yield opened


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_an_exit_code_is_told_as_it_was(room: Room, code: int) -> None:
    end = end_of(room.start(room.spec("sh", "-c", f"exit {code}")))
    assert (end.exit_code, end.signal, end.spawn_error) == (code, None, None)
    assert end.supervised
    assert not end.stopped
    assert end.swept == 0
    assert end.end_time is not None
    assert abs(end.end_time.timestamp() - time.time()) < process_room.BOUND


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("HUP", 129)])
def test_a_signal_is_told_as_a_shell_shows_it(room: Room, name: str, code: int) -> None:
    end = end_of(room.start(room.spec("sh", "-c", f"kill -{name} $$")))
    assert (end.exit_code, end.signal) == (code, code - 128)


def test_output_is_appended_to_the_log(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo one; echo two; exit 3")
    Path(spec.log_path).write_bytes(b"zero\n")
    assert end_of(room.start(spec)).exit_code == 3
    assert room.log(spec.run_id) == b"zero\none\ntwo\n"


def test_the_environment_is_exactly_the_one_given_and_the_marker(room: Room) -> None:
    odd = os.fsdecode(b"caf\xe9 \xff=\n")
    spec = room.spec("/usr/bin/env", "-0", environment={"A": "1", "ODD": odd, "EMPTY": ""})
    end_of(room.start(spec))
    assert sorted(room.log(spec.run_id).split(b"\0")) == sorted(
        [b"", b"A=1", b"ODD=" + os.fsencode(odd), b"EMPTY=", f"TASKGROVE_RUN_ID={spec.run_id}".encode()]
    )


def test_a_process_inherits_no_descriptors_and_leads_a_session_in_its_directory(room: Room) -> None:
    script = (
        "opendir D, '/proc/self/fd'; my @fds = grep { /^[0-9]/ && $_ != fileno(D) } readdir D;"
        "print 'fds ', join(',', sort @fds), qq(\\n);"
        "print getpgrp() == $$ ? 'leads' : 'follows', qq(\\n); print readlink('/proc/self/cwd'), qq(\\n);"
    )
    directory = room.path / "here"
    directory.mkdir()
    spec = room.spec("perl", "-e", script, directory=str(directory))
    end_of(room.start(spec))
    assert room.log(spec.run_id).decode().splitlines() == ["fds 0,1,2", "leads", str(directory)]


def test_a_process_finds_no_signal_blocked_or_ignored(room: Room) -> None:
    spec = room.spec("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    end_of(room.start(spec))
    blocked, ignored = (int(line.split()[1], 16) for line in room.log(spec.run_id).splitlines())
    # 32 and 33 are the C library's own.
    assert (blocked, ignored & 0x7FFFFFFF) == (0, 0)


def test_what_has_started_leaves_no_secret_on_disk_and_nothing_that_others_may_read(room: Room) -> None:
    spec = room.spec(
        "sh", "-c", "echo ready; cat", environment={"KEY": "s3cr3t"}, stdin=b"pr0mpt", keep_stdin_open=True
    )
    room.start(spec)
    room.wait_for(spec.run_id, b"ready")
    directory = room.path / spec.run_id
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes()
            assert b"pr0mpt" not in path.read_bytes()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(spec.log_path).stat().st_mode) == 0o600
    assert "s3cr3t" not in repr(spec)


@pytest.mark.parametrize(
    ("argv", "words", "number"),
    [
        (("no-such-program",), ["'no-such-program' was not found"], errno.ENOENT),
        (("/no/such/program",), ["'/no/such/program' was not found"], errno.ENOENT),
        (("/etc/passwd",), ["'/etc/passwd' cannot be started", "Permission denied"], errno.EACCES),
        (("true", "x" * 200_000), ["'true' cannot be started", "Argument list too long"], errno.E2BIG),
        (("true", "nul\0byte"), ["'true' cannot be started", "null"], None),
    ],
)
def test_a_program_that_cannot_be_started_is_named_with_the_reason(
    room: Room, argv: tuple[str, ...], words: list[str], number: int | None
) -> None:
    end = end_of(room.start(room.spec(*argv)))
    assert end.exit_code is None
    assert end.supervised
    assert (end.spawn_stage, end.spawn_errno, end.never_started) == ("program", number, False)
    assert all(word in (end.spawn_error or "") for word in words), end.spawn_error


def test_a_program_that_is_being_replaced_is_told_from_one_that_is_not_there(room: Room) -> None:
    program = room.path / "program"
    shutil.copy("/bin/true", program)
    spec = room.spec(str(program))
    with program.open("ab"):
        end = end_of(room.start(spec))
    assert (end.spawn_stage, end.spawn_errno) == ("program", errno.ETXTBSY)
    assert end_of(room.start(room.spec(str(program)))).exit_code == 0


@pytest.mark.parametrize("most", [8, 9, 10, 11])
def test_a_machine_short_of_descriptors_is_told_from_a_program_that_is_not_there(room: Room, most: int) -> None:
    spec = room.spec("true")
    directory = process_room.write_orders(room, spec)
    command = f"ulimit -n {most}; exec {sys.executable} -I -S {program.PROGRAM} {directory}"
    subprocess.run(["sh", "-c", command], timeout=process_room.BOUND, check=True)
    end = room.adopt(spec.run_id)
    assert isinstance(end, ProcessEnd)
    assert (end.exit_code, end.supervised, end.spawn_stage, end.spawn_errno) == (None, True, "pipes", errno.EMFILE)


def test_a_directory_that_is_gone_is_named(room: Room) -> None:
    end = end_of(room.start(room.spec("true", directory="/no/such/place")))
    assert end.spawn_error == "The directory '/no/such/place' cannot be entered: No such file or directory."
    assert (end.spawn_stage, end.spawn_errno) == ("directory", errno.ENOENT)


def test_a_log_that_cannot_be_opened_is_named(room: Room) -> None:
    spec = room.spec("true")
    Path(spec.log_path).mkdir()
    end = end_of(room.start(spec))
    assert end.spawn_error == f"The log {spec.log_path!r} cannot be opened: Is a directory."
    assert (end.spawn_stage, end.spawn_errno) == ("log", errno.EISDIR)


def test_a_program_is_found_on_its_own_path_and_not_on_the_servers(room: Room) -> None:
    programs = room.path / "bin"
    programs.mkdir()
    tool = programs / "only-here"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o700)
    spec = room.spec("only-here", environment={"PATH": f"/nowhere:{programs}"})
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id) == b"found\n"
    assert end_of(room.start(room.spec("only-here"))).spawn_error


def test_a_spec_without_a_program_is_refused(room: Room) -> None:
    with pytest.raises(ValueError, match="names no program"):
        room.start(room.spec())


def test_a_run_directory_starts_one_process_only(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo once")
    end_of(room.start(spec))
    with pytest.raises(FileExistsError):
        starting.start(room.path / spec.run_id, spec)
    assert room.log(spec.run_id) == b"once\n"


def test_megabytes_of_input_arrive_whole(room: Room) -> None:
    spec = room.spec("wc", "-c", stdin=b"x" * 8_000_000)
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id).split() == [b"8000000"]


def test_input_that_nobody_reads_holds_nothing_up(room: Room) -> None:
    spec = room.spec("sh", "-c", "echo ready; sleep 0.1; exit 5", stdin=b"x" * 8_000_000)
    assert end_of(room.start(spec)).exit_code == 5


def test_input_is_closed_after_the_first_bytes_unless_it_is_kept_open(room: Room) -> None:
    spec = room.spec("cat", stdin=b"all there is")
    assert end_of(room.start(spec)).exit_code == 0
    assert room.log(spec.run_id) == b"all there is"


def test_input_that_is_kept_open_takes_messages_in_order_until_it_is_closed(room: Room) -> None:
    spec = room.spec("cat", stdin=b"first\n", keep_stdin_open=True)
    handle = room.start(spec)
    large = b"z" * 300_000 + b"\n"
    expected = b"first\n"
    for message in (b"second\n", large, b"third\n"):
        handle.send(message)
        expected += message
    room.wait_for(spec.run_id, b"third\n")
    assert not handle.ended()
    handle.close_stdin()
    assert end_of(handle).exit_code == 0
    assert room.log(spec.run_id) == expected
    assert not list((room.path / spec.run_id).glob("stdin*"))


@pytest.mark.parametrize("size", [0, 500_000])
def test_a_process_that_closes_its_input_costs_its_supervisor_nothing(room: Room, size: int) -> None:
    spec = room.spec("sh", "-c", "exec <&-; echo closed; sleep 0.6", stdin=b"x" * size, keep_stdin_open=True)
    handle = room.start(spec)
    room.wait_for(spec.run_id, b"closed")
    ticks = Path(f"/proc/{room.supervisor(spec.run_id)}/stat")
    assert not handle.ended(0.4)
    used = sum(map(int, ticks.read_bytes().rpartition(b")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    assert used < 0.2
    handle.send(b"for nobody\n")
    assert end_of(handle).exit_code == 0


def test_the_last_64_kib_of_megabytes_of_errors_are_kept(room: Room) -> None:
    spec = room.spec("perl", "-e", 'print STDERR "line $_\n" for 1..300000; exit 4')
    handle = room.start(spec)
    end = end_of(handle)
    assert end.exit_code == 4
    assert end.stderr.endswith("line 299999\nline 300000\n")
    assert len(end.stderr) == 64 * 1024
    assert (room.path / spec.run_id / files.STDERR).stat().st_size == 64 * 1024
    assert room.log(spec.run_id) == b""


def test_errors_that_are_no_text_are_kept_as_far_as_they_are(room: Room) -> None:
    end = end_of(room.start(room.spec("perl", "-e", r'print STDERR "a\xff\xfeb"')))
    assert end.stderr == "a��b"


def test_the_result_has_to_be_waited_for(room: Room) -> None:
    handle = room.start(room.spec("sleep", "60"))
    with pytest.raises(RuntimeError, match="has not ended yet"):
        handle.result()


def test_calls_after_the_end_do_nothing(room: Room) -> None:
    handle = room.start(room.spec("true", keep_stdin_open=True))
    end = end_of(handle)
    for _ in range(3000):  # more than the FIFO holds
        handle.stop()
    handle.close_stdin()
    handle.send(b"late")
    assert handle.result() is end
    handle.close()
    handle.close()
    handle.stop()


def test_an_ended_supervisor_is_no_zombie(room: Room) -> None:
    handle = room.start(room.spec("true"))
    supervisor = room.supervisor(handle.run_id)
    end_of(handle)
    process_room.until(lambda: not Path(f"/proc/{supervisor}").exists(), "the supervisor is reaped")


def test_a_handle_closed_early_lets_the_process_go_on_and_is_reaped_later(room: Room) -> None:
    handle = room.start(room.spec("cat", keep_stdin_open=True))
    supervisor = room.supervisor(handle.run_id)
    run_id = handle.run_id
    handle.close()
    del handle
    room.handles.clear()
    gc.collect()  # would warn of a Popen that nobody has waited for, and warnings are errors
    assert process_room.lives(supervisor)
    adopted = room.adopt(run_id)
    assert isinstance(adopted, supervised.Supervised)
    adopted.stop()
    assert end_of(adopted).exit_code == 143
    end_of(room.start(room.spec("true")))
    process_room.until(lambda: not Path(f"/proc/{supervisor}").exists(), "the supervisor is reaped")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("launching", {"json", "re", "signal", "enum", "typing", "dataclasses", "pathlib", "subprocess"}),
        ("supervising", {"typing", "dataclasses", "inspect", "pathlib", "subprocess"}),
    ],
)
def test_a_supervisor_imports_nothing_that_is_slow(module: str, unwanted: set[str]) -> None:
    root = Path(starting.__file__).parents[2]
    script = (
        f"import sys; sys.path.append({str(root)!r}); import taskgrove_server.processes.{module}; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert not unwanted & set(done.stdout.split())


def test_thirty_at_once_each_get_their_own_end(room: Room) -> None:
    codes: dict[int, int | None] = {}

    def one(number: int) -> None:
        spec = room.spec("sh", "-c", f"cat; exit {number}", stdin=str(number).encode())
        codes[number] = end_of(room.start(spec)).exit_code
        assert room.log(spec.run_id) == str(number).encode()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(process_room.BOUND)
    assert codes == {number: number for number in range(30)}


def test_an_end_can_be_polled_where_the_system_has_no_descriptor_for_it() -> None:
    over = threading.Event()
    descriptor = exits.by_thread(over.wait)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert not poll.poll(20)
    over.set()
    assert poll.poll(process_room.BOUND * 1000)
    os.close(descriptor)
