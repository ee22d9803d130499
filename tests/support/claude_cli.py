"""The real Claude Code, run the way the server runs it, but with nothing of the server around."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.model_api import ModelApi, Step
from taskgrove_server.agents.agent import Exit, Launch, LaunchRequest
from taskgrove_server.agents.claude import Claude
from taskgrove_server.domain import config, ids
from taskgrove_server.domain.config import RunConfig
from taskgrove_server.domain.ids import SessionId
from taskgrove_server.domain.run import Outcome

#: Seconds that a process may take before it is killed and the test fails.
PATIENCE = 40.0


def executable() -> str:
    """Returns the path of the pinned Claude Code; fails the test when it is not installed."""
    try:
        package = importlib.metadata.distribution("claude-agent-sdk")
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("claude-agent-sdk, which brings Claude Code along, is not installed: run `make setup`")
    path = Path(str(package.locate_file("claude_agent_sdk/_bundled/claude")))
    if not path.is_file():
        pytest.fail(f"claude-agent-sdk has no {path}: run `make setup`")
    return str(path)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one process."""

    launch: Launch
    lines: list[bytes]
    outcome: Outcome
    #: The API key, by which the API's requests are found.
    key: str
    seconds: float


class Workplace:
    """A home and a directory to work in, for runs that follow each other."""

    def __init__(self, api: ModelApi, root: Path) -> None:
        self._api = api
        self.root = root
        self.directory = root / "work"
        self.directory.mkdir()
        (root / "home").mkdir()

    def run(
        self,
        *steps: Step,
        prompt: str = "Do it.",
        settings: RunConfig | None = None,
        session_id: SessionId | None = None,
        resumes: bool = False,
        session_cost_usd: float = 0.0,
        cancel_when: Callable[[], None] | None = None,
        **environment: str,
    ) -> Ran:
        """Runs Claude Code against an API that follows the steps.

        The run is cancelled when `cancel_when` returns, as the supervisor does it first: by the interrupt, and by
        closing standard input.
        """
        key = self._api.script(*steps)
        settings = config.resolve(settings or RunConfig(), RunConfig())
        claude = Claude(executable())
        request = LaunchRequest(
            prompt=prompt,
            config=settings,
            session_id=session_id or ids.new_session_id(),
            resumes=resumes,
            directory=str(self.directory),
            working_dir=str(self.directory),
            run_directory=tempfile.mkdtemp(dir=self.root),
            environment={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.root / "home"),
                "ANTHROPIC_BASE_URL": self._api.url,
                "ANTHROPIC_API_KEY": key,
                "IS_SANDBOX": "1",
                **environment,
            },
        )
        launch = claude.launch(request)
        parser = claude.parser(
            session_id=request.session_id,
            structured=bool(settings.output_schema),
            session_cost_usd=session_cost_usd,
        )
        start = time.monotonic()
        lines: list[bytes] = []
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self.directory,
                env=launch.environment,
                start_new_session=True,
            ) as process,
        ):
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            stdin, stdout = process.stdin, process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(launch.stdin)
            stdin.flush()

            def stop() -> None:
                stdin.write(launch.interrupt)
                stdin.close()

            def cancel() -> None:
                assert cancel_when is not None
                cancel_when()
                stop()

            if cancel_when:
                threading.Thread(target=cancel, daemon=True).start()
            for line in stdout:
                lines.append(line)
                parser.feed(line)
                if parser.progress.hopeless and not stdin.closed:
                    stop()
                if parser.progress.done:
                    stdin.close()
            code = process.wait()
            watchdog.cancel()
            errors.seek(0)
            stderr = errors.read().decode(errors="replace")
        end = Exit(
            code=128 - code if code < 0 else code,
            stderr=stderr,
            stopped_for=parser.progress.hopeless,
            cancelled=cancel_when is not None,
        )
        return Ran(launch, lines, parser.finish(end), key, time.monotonic() - start)

    def record(self, ran: Ran, path: Path) -> None:
        """Writes a run's lines to a file, without what belongs to this machine."""
        text = b"".join(ran.lines).decode().replace(str(self.root), "/home/user")
        # Claude Code names the folder of a project's memory after its path, and a socket after its process.
        text = text.replace(re.sub(r"[^A-Za-z0-9]", "-", str(self.root)), "-home-user")
        text = re.sub(r"/tmp/cc-socks/\d+", "/tmp/cc-socks/1", text)
        path.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text), encoding="utf-8")
