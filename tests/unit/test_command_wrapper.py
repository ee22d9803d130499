"""The wrapper of the command agent, as the process that it is."""

from __future__ import annotations

import base64
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import tasks_gates
from taskgrove_server.agents.command import WRAPPER

PATIENCE = 30.0


@contextmanager
def wrapped(*program: str) -> Generator[subprocess.Popen[bytes]]:
    """Starts the wrapper in a group of its own, as the supervisor does, and leaves nothing of it behind."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(WRAPPER), *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # which the program gets too
            process.wait(PATIENCE)


def run(*program: str, stdin: bytes = b"") -> tuple[list[dict[str, Any]], int]:
    with wrapped(*program) as process:
        output, _ = process.communicate(stdin, timeout=PATIENCE)
        return [json.loads(line) for line in output.splitlines()], process.returncode


def shell(script: str, stdin: bytes = b"") -> tuple[list[dict[str, Any]], int]:
    return run("/bin/sh", "-c", script, stdin=stdin)


def line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE)[0], "no line came"
    return dict(json.loads(process.stdout.readline()))


def joined(lines: list[dict[str, Any]], stream: str = "stdout") -> bytes:
    """Returns the bytes that the lines stand for."""
    data = b""
    for each in lines:
        if each.get("stream") == stream:
            text = base64.b64decode(each["base64"]) if "base64" in each else each["text"].encode()
            data += text + (b"" if each.get("newline") is False else b"\n")
    return data


def test_each_line_of_output_is_one_line_that_says_which_stream_it_came_from() -> None:
    lines, code = shell("echo one; echo; printf 'two\\n' >&2; printf 'a \"quote\", a \\\\, an ü'")
    assert code == 0
    assert [each for each in lines if each.get("stream") == "stdout"] == [
        {"type": "output", "stream": "stdout", "text": "one"},
        {"type": "output", "stream": "stdout", "text": ""},
        {"type": "output", "stream": "stdout", "text": 'a "quote", a \\, an ü', "newline": False},
    ]
    assert {"type": "output", "stream": "stderr", "text": "two"} in lines
    assert lines[-1] == {"type": "exit", "exit_code": 0}


def test_a_line_that_is_no_utf8_arrives_byte_for_byte_and_its_neighbours_stay_text() -> None:
    lines, _ = shell("printf 'good\\n\\377\\000\\n\\303\\274\\n\\376'")
    assert [("base64" in each) for each in lines[:-1]] == [False, True, False, True]
    assert joined(lines) == b"good\n\xff\x00\n\xc3\xbc\n\xfe"


def test_random_bytes_arrive_byte_for_byte() -> None:
    data = os.urandom(300_000)
    lines, _ = run("cat", stdin=data)
    assert joined(lines) == data


def test_a_line_arrives_as_soon_as_it_is_written() -> None:
    with wrapped("/bin/sh", "-c", "echo ready; read answer; echo $answer") as process:
        assert process.stdin is not None
        assert line(process)["text"] == "ready"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert line(process)["text"] == "go"


def test_the_prompt_reaches_the_program_as_it_is() -> None:
    prompt = "Grüße\r\n\0 and no newline at the end".encode()
    assert joined(run("cat", stdin=prompt)[0]) == prompt


def test_whoever_writes_a_prompt_learns_that_the_program_does_not_read_it() -> None:
    with wrapped("/bin/sh", "-c", "exec <&-; echo closed; exec sleep 120") as process:
        assert process.stdin is not None
        assert line(process)["text"] == "closed"
        with pytest.raises(BrokenPipeError):
            os.write(process.stdin.fileno(), b"too late")


def test_the_exit_code_is_recorded_and_passed_on() -> None:
    lines, code = shell("exit 75")
    assert (lines, code) == ([{"type": "exit", "exit_code": 75}], 75)


def test_a_signal_that_ends_the_program_is_recorded_and_the_code_is_that_of_a_shell() -> None:
    lines, code = shell("kill -SEGV $$")
    assert (lines, code) == ([{"type": "exit", "exit_code": 139, "signal": 11}], 139)


def test_a_program_that_is_missing_or_no_program_is_reported_with_the_reason() -> None:
    lines, code = run("/nowhere/program")
    assert code == 127
    assert lines[0]["exit_code"] == 127
    assert "/nowhere/program" in lines[0]["error"]
    assert lines[0]["errno"] == errno.ENOENT
    lines, code = run("/etc/hostname")
    assert code == 126
    assert "/etc/hostname" in lines[0]["error"]
    assert lines[0]["errno"] in {errno.EACCES, errno.ENOEXEC}


def test_a_line_of_64_megabytes_arrives_whole_in_a_time_that_grows_only_with_its_length() -> None:
    program = "import sys; sys.stdout.write('x' * 64_000_000)"
    start = time.monotonic()
    lines, _ = run(sys.executable, "-c", program)
    assert time.monotonic() - start < PATIENCE / 2
    assert [len(each["text"]) for each in lines[:-1]] == [64_000_000]


def test_a_line_without_end_is_written_in_pieces() -> None:
    lines, _ = run(sys.executable, "-c", "import sys; sys.stdout.write('x' * 70_000_000 + '\\nend\\n')")
    assert len(lines) == 4
    assert lines[0]["newline"] is False
    assert joined(lines) == b"x" * 70_000_000 + b"\nend\n"


def test_what_the_program_leaves_running_does_not_hold_the_wrapper() -> None:
    start = time.monotonic()
    lines, code = shell("sleep 120 & echo $!; exit 3")
    os.kill(int(lines[0]["text"]), signal.SIGKILL)
    assert time.monotonic() - start < 10
    assert (lines[1:], code) == ([{"type": "exit", "exit_code": 3}], 3)


def test_what_the_program_leaves_chattering_does_not_hold_the_wrapper() -> None:
    start = time.monotonic()
    lines, code = shell("(while :; do echo chatter; done) & exit 4")  # ended by SIGPIPE
    assert time.monotonic() - start < 10
    assert (lines[-1], code) == ({"type": "exit", "exit_code": 4}, 4)


def test_all_that_was_written_before_the_end_is_kept_even_when_something_holds_the_pipe() -> None:
    lines, _ = shell("sleep 120 & echo $!; head -c 60000 /dev/zero | tr '\\0' x; exit 0")
    os.kill(int(lines[0]["text"]), signal.SIGKILL)
    assert joined(lines[1:]) == b"x" * 60_000


def test_a_program_that_closes_its_output_is_waited_for() -> None:
    with wrapped("/bin/sh", "-c", "exec >&- 2>&-; read answer; exit 5") as process:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert line(process) == {"type": "exit", "exit_code": 5}


def test_a_signal_to_the_group_reaches_the_program_once_and_its_last_words_are_recorded() -> None:
    # Python handles every signal that arrives, where a shell runs one trap for several. The signal may come while
    # the first print is still on its way out, in which another print would raise.
    program = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"caught\\n"))
print("ready", flush=True)
sys.stdin.read()
print("last words", flush=True)
sys.exit(6)
"""
    with wrapped(sys.executable, "-c", program) as process:
        assert line(process)["text"] == "ready"
        os.killpg(process.pid, signal.SIGTERM)
        assert line(process)["text"] == "caught"
        rest, _ = process.communicate(timeout=PATIENCE)
    assert [json.loads(each).get("text") for each in rest.splitlines()] == ["last words", None]
    assert process.returncode == 6


def test_an_interrupt_that_ends_the_program_is_recorded() -> None:
    with wrapped("/bin/sh", "-c", "echo ready; exec sleep 120") as process:
        assert line(process)["text"] == "ready"
        os.killpg(process.pid, signal.SIGINT)
        assert line(process) == {"type": "exit", "exit_code": 130, "signal": 2}
        assert process.wait(PATIENCE) == 130


def test_a_program_that_is_stopped_is_continued_to_obey() -> None:
    with wrapped("/bin/sh", "-c", "trap 'echo obeyed; exit 7' TERM; echo $$; kill -STOP $$") as process:
        program = int(line(process)["text"])
        stat = Path(f"/proc/{program}/stat")
        tasks_gates.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the program is stopped")
        os.killpg(process.pid, signal.SIGTERM)
        assert line(process)["text"] == "obeyed"
        assert process.wait(PATIENCE) == 7
