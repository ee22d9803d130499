"""The commands, over a stand-in for the client: exit codes, what is printed where, and what Ctrl-C does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import click.testing
import grpc
import pytest

import taskgrove
from support import repositories
from taskgrove import errors, watching
from taskgrove.cli import exits, program
from taskgrove.v1 import failure_pb2, run_pb2, task_list_pb2, task_pb2, task_service_pb2

Task = task_pb2.Task
CancelResponse = task_service_pb2.CancelResponse

ID = "k3v5m2qxw7ab"
OUTPUT = b'{"type": "output",  "stream": "stdout", "text": "hello \\u001b[2J"}\n'

#: A step of a watch: an event, or something that happens while the next event is waited for.
type_step = watching.WatchEvent | Callable[[], object]


def a_task(state: Task.State = Task.STATE_QUEUED, **fields: Any) -> Task:
    return Task(id=ID, task_list_id="listlistlist", title="Fix it", state=state, run_count=1, **fields)


class StandIn:
    """Answers as a client does, from what a test put into it."""

    def __init__(self) -> None:
        self.task = a_task()
        self.run = run_pb2.Run(id="r", task_id=ID, number=1, agent="command")
        self.task_lists: list[task_list_pb2.TaskList] = []
        #: Steps of each next watch.
        self.watches: list[Sequence[type_step]] = []
        self.watched_after: list[int] = []
        self.requests: list[tuple[Any, ...]] = []
        self.outcome = CancelResponse.OUTCOME_STOPPING
        self.failure: errors.TaskgroveError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def watch(self, task_id: str, *, after_line: int = 0) -> Watch:
        assert task_id == ID
        self.watched_after.append(after_line)
        return Watch(self.watches.pop(0))

    def get_task(self, task_id: str) -> Task:
        self._ask("get_task", task_id)
        return self.task

    def enqueue(self, task_list_id: str, title: str, **fields: Any) -> Task:
        self._ask("enqueue", task_list_id, title, fields)
        return self.task

    def continue_task(self, task_id: str, prompt: str) -> Task:
        self._ask("continue", task_id, prompt)
        return self.task

    def cancel(self, task_id: str) -> CancelResponse:
        self._ask("cancel", task_id)
        return CancelResponse(task=self.task, outcome=self.outcome)

    def list_runs(self, task_id: str) -> Iterator[run_pb2.Run]:
        assert task_id == ID
        return iter([self.run])

    def list_tasks(self, **filters: Any) -> Iterator[Task]:
        self._ask("list_tasks", filters)
        return iter([self.task] * 3)

    def get_task_list(self, task_list_id: str) -> task_list_pb2.TaskList:
        for task_list in self.task_lists:
            if task_list.id == task_list_id:
                return task_list
        raise errors.TaskListNotFound("It is gone.")

    def list_task_lists(
        self, *, working_dir: Path | None = None, page_size: int = 0
    ) -> Iterator[task_list_pb2.TaskList]:
        return iter([one for one in self.task_lists if working_dir is None or one.working_dir == str(working_dir)])

    def create_task_list(
        self, title: str, *, working_dir: Path | None = None, defaults: taskgrove.RunConfig | None = None
    ) -> task_list_pb2.TaskList:
        self._ask("create_task_list", title, working_dir)
        return task_list_pb2.TaskList(
            id="newnewnewnew", title=title, working_dir=str(working_dir or ""), defaults=defaults
        )

    def update_task_list(
        self, task_list_id: str, *, title: str | None, defaults: taskgrove.RunConfig | None
    ) -> task_list_pb2.TaskList:
        self._ask("update_task_list", task_list_id, title, defaults)
        return task_list_pb2.TaskList(id=task_list_id, title=title or "", defaults=defaults)

    def _ask(self, *request: Any) -> None:
        self.requests.append(request)
        if self.failure:
            raise self.failure


class Watch:
    """Plays the steps of a watch."""

    def __init__(self, steps: Sequence[type_step]) -> None:
        self._steps = steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[watching.WatchEvent]:
        for step in self._steps:
            if callable(step):
                step()
            else:
                yield step


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()

    def client(target: str | None, *, token: str | None) -> StandIn:
        assert target == "localhost:1"
        return made

    monkeypatch.setattr(taskgrove, "Client", client)
    return made


def invoke(*arguments: str, stdin: str = "") -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        program.taskgrove, ["--target", "localhost:1", *arguments], input=stdin, catch_exceptions=False
    )


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def rests(state: Task.State, **fields: Any) -> list[type_step]:
    return [
        watching.Opened(a_task(), 1, 0),
        watching.TaskChanged(a_task(Task.STATE_RUNNING)),
        taskgrove.Line(1, 1, OUTPUT),
        watching.Rested(a_task(state, **fields)),
    ]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (Task.STATE_SUCCEEDED, exits.SUCCEEDED),
        (Task.STATE_FAILED, exits.FAILED),
        (Task.STATE_CANCELLED, exits.CANCELLED),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_exit_code_tells_how_the_task_rests(
    stand_in: StandIn, state: Task.State, code: int, flags: tuple[str, ...]
) -> None:
    stand_in.watches = [rests(state)]
    assert invoke("watch", ID, *flags).exit_code == code
    stand_in.watches = [rests(state)]
    assert invoke("run", "Fix it", "--list", "listlistlist", *flags).exit_code == code
    stand_in.watches = [rests(state)]
    assert invoke("continue", ID, "More", *flags).exit_code == code


def test_a_person_reads_the_lines_made_harmless_and_a_summary(stand_in: StandIn) -> None:
    stand_in.watches = [rests(Task.STATE_SUCCEEDED, result="hello")]
    result = invoke("watch", ID)
    assert result.stdout.splitlines()[:3] == [f"task {ID}  Fix it", "── run 1 · command", "hello "]
    assert "✔ succeeded" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_the_lines_byte_for_byte_and_nothing_else(stand_in: StandIn) -> None:
    strange = b"\xff not json \r\n"
    stand_in.watches = [
        [
            watching.Opened(a_task(), 1, 2),
            taskgrove.Line(1, 1, OUTPUT),
            taskgrove.Line(2, 1, strange),
            watching.Rested(
                a_task(
                    Task.STATE_FAILED,
                    failure=failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_AUTH, message="No key \x1b[2J."),
                )
            ),
        ]
    ]
    result = invoke("watch", ID, "--json")
    assert result.stdout_bytes == OUTPUT + strange
    assert result.stderr.splitlines() == [f"Task {ID}: queued.", f"Task {ID}: failed.", "Auth: No key ."]


def test_a_retry_has_a_heading_of_its_own(stand_in: StandIn) -> None:
    stand_in.run = run_pb2.Run(number=2, agent="claude", model="opus", is_retry=True)
    stand_in.watches = [
        [
            watching.Opened(a_task(Task.STATE_RUNNING), 1, 0),
            taskgrove.Line(7, 2, b'{"type": "system", "subtype": "init"}\n'),
            watching.Rested(a_task(Task.STATE_SUCCEEDED)),
        ]
    ]
    assert "── run 2 · retry after a failure · claude · opus\n" in invoke("watch", ID, "--after-line", "6").stdout
    assert stand_in.watched_after == [6]


def test_ctrl_c_in_watch_detaches_and_says_how_to_come_back(stand_in: StandIn) -> None:
    stand_in.watches = [[watching.Opened(a_task(), 1, 0), taskgrove.Line(41, 1, OUTPUT), interrupt]]
    result = invoke("watch", ID)
    assert result.exit_code == exits.INTERRUPTED
    assert f"taskgrove watch {ID} --after-line 41" in result.stderr
    assert ("cancel", ID) not in stand_in.requests


def test_ctrl_c_in_run_cancels_once_and_goes_on_after_the_last_line_shown(stand_in: StandIn) -> None:
    stand_in.watches = [
        [watching.Opened(a_task(), 1, 0), taskgrove.Line(1, 1, OUTPUT), interrupt],
        [
            watching.Opened(a_task(Task.STATE_RUNNING, cancel_requested=True), 1, 1),
            taskgrove.Line(2, 1, OUTPUT),
            watching.Rested(a_task(Task.STATE_CANCELLED)),
        ],
    ]
    result = invoke("run", "Fix it", "--list", "listlistlist", "--json")
    assert result.exit_code == exits.CANCELLED
    assert result.stdout_bytes == OUTPUT * 2
    assert stand_in.watched_after == [0, 1]
    assert stand_in.requests[-1] == ("cancel", ID)
    assert f"Task {ID} is being stopped. Press Ctrl-C again to leave at once." in result.stderr


def test_a_second_ctrl_c_in_run_leaves_at_once(stand_in: StandIn) -> None:
    stand_in.watches = [[watching.Opened(a_task(), 1, 0), interrupt], [interrupt]]
    result = invoke("run", "Fix it", "--list", "listlistlist")
    assert result.exit_code == exits.INTERRUPTED
    assert [request[0] for request in stand_in.requests] == ["enqueue", "cancel"]


def test_ctrl_c_while_a_line_is_printed_waits_until_it_is_whole(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.watches = [
        [watching.Opened(a_task(), 1, 0), taskgrove.Line(1, 1, OUTPUT), taskgrove.Line(2, 1, OUTPUT)],
        [watching.Opened(a_task(), 1, 0), watching.Rested(a_task(Task.STATE_CANCELLED))],
    ]
    printed: list[bytes] = []

    def print_line(line: bytes) -> None:
        interrupt()
        printed.append(line)

    monkeypatch.setattr("taskgrove.cli.output.print_line", print_line)
    assert invoke("run", "Fix it", "--list", "listlistlist", "--json").exit_code == exits.CANCELLED
    assert printed == [OUTPUT]
    assert stand_in.watched_after == [0, 1]


def test_the_interrupt_handler_is_put_back(stand_in: StandIn) -> None:
    before = signal.getsignal(signal.SIGINT)
    stand_in.watches = [rests(Task.STATE_SUCCEEDED)]
    invoke("watch", ID)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_refused_call_is_one_sentence(stand_in: StandIn) -> None:
    stand_in.failure = errors.TaskNotFound("There is no task 'x\x1b[2J'.", reason="TASK_NOT_FOUND")
    result = invoke("watch", ID)
    assert result.exit_code == exits.REFUSED
    assert result.stderr == "taskgrove: There is no task 'x'.\n"
    assert not result.stdout


def test_an_unreachable_server_is_named(stand_in: StandIn) -> None:
    stand_in.failure = errors.ServerUnavailable("connection refused", code=grpc.StatusCode.UNAVAILABLE)
    result = invoke("ls")
    assert result.exit_code == exits.REFUSED
    assert result.stderr == "taskgrove: Cannot reach localhost:1: connection refused\n"


def test_enqueue_prints_the_id_alone(stand_in: StandIn) -> None:
    assert invoke("enqueue", "Fix it", "--list", "listlistlist").stdout == f"{ID}\n"
    shown = json.loads(invoke("enqueue", "Fix it", "--list", "listlistlist", "--json").stdout)
    assert shown["id"] == ID
    assert shown["state"] == "STATE_QUEUED"


def test_every_option_of_a_task_reaches_the_server(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (tmp_path / "agent.md").write_text("---\nname: x\n---\n", encoding="utf-8")
    options = {
        "--description": "-",
        "--agent": "claude",
        "--model": "opus",
        "--system-prompt": "Be brief.",
        "--agent-file": f"{tmp_path}/agent.md",
        "--schema": f"{tmp_path}/schema.json",
        "--permission-mode": "plan",
        "--max-turns": "7",
        "--timeout": "1h30m",
        "--stall-timeout": "10m",
        "--linger": "5s",
    }
    several = ["--subtask", "A", "--subtask", "B", "--allow-tool", "Edit", "--allow-tool", "Bash(git *)"]
    words = [word for option in options.items() for word in option]
    invoke("enqueue", "Fix it", "--list", "listlistlist", *words, *several, stdin="From a pipe.\n")
    [(_, task_list_id, title, fields)] = stand_in.requests
    assert (task_list_id, title) == ("listlistlist", "Fix it")
    assert fields["description"] == "From a pipe.\n"
    assert fields["subtasks"] == ("A", "B")
    config: taskgrove.RunConfig = fields["overrides"]
    assert (config.agent, config.model, config.system_prompt) == ("claude", "opus", "Be brief.")
    assert config.agent_path == f"{tmp_path}/agent.md"
    assert config.output_schema == '{"type": "object"}'
    assert config.permission_mode == "plan"
    assert list(config.allowed_tools) == ["Edit", "Bash(git *)"]
    assert config.max_turns == 7
    assert (config.run_timeout.seconds, config.stall_timeout.seconds, config.linger.seconds) == (5400, 600, 5)
    assert not config.HasField("command")


def test_words_after_two_dashes_are_a_program_with_its_own_options(stand_in: StandIn) -> None:
    result = invoke("enqueue", "Check", "--list", "listlistlist", "--", "make", "--json", "--", "-h")
    assert result.stdout == f"{ID}\n"
    config: taskgrove.RunConfig = stand_in.requests[0][3]["overrides"]
    assert config.agent == "command"
    assert list(config.command.argv.values) == ["make", "--json", "--", "-h"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "fix", "the", "login"], "unexpected extra argument"),
        (["run", "Fix", "--"], "A program must follow --"),
        (["run", "Fix", "--agent", "claude", "--", "make"], "takes no words after --"),
        (["run", "Fix", "--timeout", "soon"], "no span of time"),
        (["run", "Fix", "--schema", "/nowhere"], "Cannot read '/nowhere'"),
        (["watch", ID, "--after-line", "-1"], "--after-line"),
        (["ls", "--state", "happy"], "happy"),
        (["lists", "update", "listlistlist"], "Nothing to change"),
        (["cancel"], "TASK"),
    ],
)
def test_wrong_usage_is_told_apart(stand_in: StandIn, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == exits.USAGE
    assert message in result.stderr
    assert not stand_in.requests


def test_a_task_goes_to_the_list_of_the_repository_around_the_directory(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    (top / "src").mkdir(exist_ok=True)
    stand_in.task_lists = [task_list_pb2.TaskList(id="theirstheirs", working_dir=str(top))]
    invoke("enqueue", "Fix it", "--dir", f"{top}/src")
    assert stand_in.requests[-1][1] == "theirstheirs"


def test_a_list_is_made_for_a_repository_that_has_none(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    stand_in.task_lists = [task_list_pb2.TaskList(id="othersothers", working_dir="/elsewhere")]
    invoke("enqueue", "Fix it", "--dir", str(top))
    assert stand_in.requests[0] == ("create_task_list", "project", top)
    assert stand_in.requests[1][1] == "newnewnewnew"


def test_outside_a_repository_the_sandbox_list_is_used_and_said_so(stand_in: StandIn, tmp_path: Path) -> None:
    result = invoke("enqueue", "Fix it", "--dir", str(tmp_path))
    assert stand_in.requests[0] == ("create_task_list", "sandbox", None)
    assert "Not in a git repository" in result.stderr
    stand_in.task_lists = [
        task_list_pb2.TaskList(id="namednamed12", title="sandbox", working_dir="/a/repository/named/sandbox"),
        task_list_pb2.TaskList(id="sandboxsandb", title="sandbox"),
    ]
    invoke("enqueue", "Fix it", "--dir", str(tmp_path))
    assert stand_in.requests[-1][1] == "sandboxsandb"


def test_a_repository_that_git_cannot_use_is_not_taken_for_none(stand_in: StandIn, tmp_path: Path) -> None:
    bare = repositories.make_bare_repository(tmp_path / "bare.git")
    result = invoke("enqueue", "Fix it", "--dir", str(bare))
    assert result.exit_code == exits.REFUSED
    assert "work tree" in result.stderr
    assert not stand_in.requests


def test_continue_watches_from_the_tasks_last_line(stand_in: StandIn) -> None:
    stand_in.task = a_task(last_line=17)
    stand_in.watches = [rests(Task.STATE_SUCCEEDED)]
    assert invoke("continue", ID, "-", stdin="And the tests.").exit_code == exits.SUCCEEDED
    assert stand_in.requests == [("continue", ID, "And the tests.")]
    assert stand_in.watched_after == [17]


def test_continue_can_leave_without_watching(stand_in: StandIn) -> None:
    assert invoke("continue", ID, "More", "--detach").stdout == f"{ID}\n"
    assert not stand_in.watched_after


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (CancelResponse.OUTCOME_CANCELLED, "is cancelled"),
        (CancelResponse.OUTCOME_STOPPING, "is being stopped"),
        (CancelResponse.OUTCOME_TOO_LATE, "already succeeded"),
        (CancelResponse.OUTCOME_ALREADY_RESTED, "at rest already: queued"),
    ],
)
def test_cancel_says_what_came_of_it(stand_in: StandIn, outcome: CancelResponse.Outcome, said: str) -> None:
    stand_in.outcome = outcome
    result = invoke("cancel", ID, ID)
    assert result.exit_code == exits.SUCCEEDED
    assert result.stdout.count(said) == 2


def test_cancel_goes_on_after_a_task_that_is_refused(stand_in: StandIn) -> None:
    stand_in.failure = errors.TaskNotFound("There is no such task.", reason="TASK_NOT_FOUND")
    result = invoke("cancel", "a", "b")
    assert result.exit_code == exits.REFUSED
    assert stand_in.requests == [("cancel", "a"), ("cancel", "b")]


def test_ls_is_a_table_bounded_by_the_limit(stand_in: StandIn) -> None:
    stand_in.task.create_time.GetCurrentTime()
    result = invoke("ls", "--limit", "2", "--state", "queued", "--state", "running")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "TITLE", "AGE", "TIME", "RUNS", "LIST"]
    assert [line.split()[:4] for line in lines] == [[ID, "queued", "Fix", "it"]] * 2
    assert stand_in.requests[0][1]["states"] == (Task.STATE_QUEUED, Task.STATE_RUNNING)


def test_ls_as_json_is_one_object_a_line(stand_in: StandIn) -> None:
    lines = invoke("ls", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [ID] * 3


def test_show_has_the_task_and_its_runs(stand_in: StandIn) -> None:
    stand_in.task = a_task(Task.STATE_SUCCEEDED, result="All green.", description="Please.")
    stand_in.run = run_pb2.Run(number=1, agent="claude", model="opus", input_tokens=5, exit_code=0, session_id="s-1")
    result = invoke("show", ID)
    for shown in ("Fix it", "Please.", "listlistlist (deleted)", "run 1 · claude · opus", "s-1", "All green."):
        assert shown in result.stdout
    parsed = json.loads(invoke("show", ID, "--json").stdout)
    assert parsed["task"]["result"] == "All green."
    assert parsed["runs"][0]["input_tokens"] == "5"


def test_updating_one_default_of_a_list_keeps_the_others(stand_in: StandIn) -> None:
    stand_in.task_lists = [
        task_list_pb2.TaskList(
            id="listlistlist",
            defaults=taskgrove.run_config(model="opus", max_turns=5, allowed_tools=["Edit"], system_prompt="Brief."),
        )
    ]
    invoke("lists", "update", "listlistlist", "--allow-tool", "Read", "--unset", "max-turns")
    [(_, _, title, defaults)] = stand_in.requests
    assert title is None
    assert defaults == taskgrove.run_config(model="opus", allowed_tools=["Read"], system_prompt="Brief.")


def test_a_list_is_made_for_the_top_level_of_a_repository(stand_in: StandIn, tmp_path: Path) -> None:
    top = repositories.make_repository(tmp_path / "project")
    (top / "src").mkdir(exist_ok=True)
    assert invoke("lists", "create", "Mine", "--dir", f"{top}/src", "--model", "opus").stdout == "newnewnewnew\n"
    assert stand_in.requests == [("create_task_list", "Mine", top)]
    refused = invoke("lists", "create", "Mine", "--dir", str(tmp_path))
    assert refused.exit_code == exits.REFUSED
    assert "not in a git repository" in refused.stderr


@pytest.mark.parametrize(
    "command",
    ["run", "enqueue", "watch", "continue", "cancel", "ls", "show"]
    + [f"lists {name}" for name in ("create", "ls", "show", "update", "delete")],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    for flag in ("-h", "--help"):
        result = invoke(*command.split(), flag)
        assert result.exit_code == 0
        assert f"\n    taskgrove {command} " in result.stdout or f"\n    taskgrove {command}\n" in result.stdout


def test_the_help_documents_the_exit_codes() -> None:
    shown = invoke("--help").stdout
    for code in (exits.SUCCEEDED, exits.FAILED, exits.USAGE, exits.CANCELLED, exits.REFUSED, exits.INTERRUPTED):
        assert f"\n    {code} " in shown


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_cli_extra_one_sentence_says_what_to_install(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from taskgrove import cli; cli.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"taskgrove: the command line needs the package {package!r}: pip install 'taskgrove[cli]'\n"
    )
