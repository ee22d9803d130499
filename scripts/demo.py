"""Shows the whole of Taskgrove once, on a scratch data directory, and leaves nothing running or lying about.

The steps are the commands that a person would type; each is printed before it is run.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

BIN = Path(sys.executable).parent

#: What the command agent does in the demo: a real change, and then a check of it.
COMMAND = """\
echo 'Reading the program and its test'
sleep 0.4
sed -i.bak 's/return a - b/return a + b/' calculator.py && rm calculator.py.bak
echo 'Mended add() in calculator.py'
sleep 0.4
python3 -m unittest -v 2>&1
"""

FILES = {
    "calculator.py": 'def add(a: int, b: int) -> int:\n    """Returns the sum of two numbers."""\n    return a - b\n',
    "test_calculator.py": (
        "import unittest\n\nfrom calculator import add\n\n\n"
        "class Add(unittest.TestCase):\n    def test_sum(self) -> None:\n        self.assertEqual(add(2, 3), 5)\n"
    ),
    ".gitignore": "__pycache__/\n",
}

DESCRIPTION = "The unit test fails. Find the mistake in calculator.py and mend it. Change nothing else."


def main() -> int:
    """Runs the demo; returns the exit status of the task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default="command", choices=["command", "claude"])
    agent = parser.parse_args().agent
    if agent == "claude" and shutil.which("claude") is None:
        print("make demo AGENT=claude needs Claude Code: the program 'claude' is not on PATH.", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="taskgrove-demo-"))
    try:
        return demo(scratch, agent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def demo(scratch: Path, agent: str) -> int:
    """Runs the demo in a directory of its own."""
    repository = make_repository(scratch / "calculator")
    data = scratch / "data"
    os.environ["TASKGROVE_TARGET"] = f"unix:{data}/taskgroved.sock"
    heading("Starting a server on a scratch data directory")
    show([BIN / "taskgroved", "--data-dir", data])
    with (scratch / "taskgroved.log").open("wb") as log:
        server = subprocess.Popen(
            [BIN / "taskgroved", "--data-dir", data, "--stop-runs"], stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        if not serves(server, scratch / "taskgroved.log"):
            return 1
        return run_task(repository, agent)
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run_task(repository: Path, agent: str) -> int:
    """Queues the task, watches it, and shows what it did."""
    heading(f"Queuing a task for the {agent} agent, and watching it")
    work = ["--", "sh", "-c", COMMAND] if agent == "command" else ["--agent", agent]
    command: list[str | Path] = [BIN / "taskgrove", "run", "Mend the add function"]
    command += ["--dir", repository, "--description", DESCRIPTION, *work]
    show(command, cut=len(command) - 1 if agent == "command" else None)
    status = subprocess.run(command, check=False).returncode
    listed = subprocess.run([BIN / "taskgrove", "ls", "--json"], capture_output=True, check=True)
    task = json.loads(listed.stdout.splitlines()[0])
    worktree = task.get("worktree", {})
    if status != 0 or not worktree:
        print(f"The task has not succeeded: {task.get('failure', {}).get('message', task['state'])}", file=sys.stderr)
        return status or 1
    heading("The result: what the agent said last")
    print(textwrap.indent(task["result"].strip(), "  "))
    heading("The change, committed on the task's own branch")
    print(f"branch  {worktree['branch']}\ncommit  {worktree['head_commit']}\n")
    diff: list[str | Path] = ["git", "-C", repository, "diff", f"{worktree['base_commit']}..{worktree['branch']}"]
    show(diff)
    sys.stdout.flush()
    subprocess.run(["git", "--no-pager", *diff[1:]], check=True)
    heading("Stopping the server; nothing is left running")
    return 0


def make_repository(path: Path) -> Path:
    """Makes a small repository whose one test fails."""
    path.mkdir(parents=True)
    for name, content in FILES.items():
        (path / name).write_text(content)
    identity = ["-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Add a calculator"]):
        subprocess.run(["git", *identity, *command], cwd=path, check=True)
    return path


def serves(server: subprocess.Popen[bytes], log: Path) -> bool:
    """Waits until the server serves; shows its log if it does not."""
    deadline = time.monotonic() + 30
    while " is ready on " not in log.read_text(errors="replace"):
        if server.poll() is not None or time.monotonic() > deadline:
            print(f"The server does not serve:\n{log.read_text(errors='replace')}", file=sys.stderr)
            return False
        time.sleep(0.05)
    return True


def heading(text: str) -> None:
    """Prints a heading."""
    print(f"\n== {text}", flush=True)


def show(command: list[str | Path], cut: int | None = None) -> None:
    """Prints a command as a person would type it, with what is left out from `cut` on shown as dots."""
    words = [word.name if isinstance(word, Path) and word.parent == BIN else str(word) for word in command]
    text = shlex.join(words[:cut]) + (" '...'" if cut is not None else "")
    print(f"$ {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
