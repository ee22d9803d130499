"""Claude Code, driven over standard input and output as lines of JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskgrove_server.agents import agent_definition, arguments, claude_prompt, claude_stream, environment, lines
from taskgrove_server.agents.agent import Capabilities, Installation, Launch, LaunchRefused, LaunchRequest
from taskgrove_server.domain import config
from taskgrove_server.domain.failures import Failure, FailureKind
from taskgrove_server.domain.ids import SessionId

#: Where its credentials come from, and the few settings that an operator sets for the whole server.
_VARIABLES = (
    "ANTHROPIC_*",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
    "CLAUDE_CODE_MAX_RETRIES",
    "CLAUDE_CODE_USE_*",
    "API_TIMEOUT_MS",
    # Without it Claude Code refuses bypassPermissions to root.
    "IS_SANDBOX",
)

#: The credentials of a cloud are passed on only to an agent that is told to use that cloud.
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": ("AWS_*", "CLAUDE_CODE_SKIP_BEDROCK_AUTH"),
    "CLAUDE_CODE_USE_VERTEX": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "GCLOUD_PROJECT",
        "CLOUDSDK_CONFIG",
        "CLOUD_ML_REGION",
        "VERTEX_REGION_*",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    ),
    "CLAUDE_CODE_USE_FOUNDRY": ("AZURE_*", "CLAUDE_CODE_SKIP_FOUNDRY_AUTH"),
}

_SETTINGS = {
    # Else tools may go on after the result, and one run may have several results.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
}

_INTERRUPT = {"type": "control_request", "request_id": "interrupt", "request": {"subtype": "interrupt"}}


class Claude:
    """The backend for Claude Code.

    `executable` is looked up on the PATH that the agent gets; `pass_environment` names further variables of
    the server's environment that it gets, a `*` at the end standing for any rest.
    """

    name = "claude"
    capabilities = Capabilities(sessions=True, models=True, structured_output=True, usage=True, interrupts=True)

    def __init__(self, executable: str = "claude", pass_environment: Sequence[str] = ()) -> None:
        self._executable = executable
        self._pass_environment = tuple(pass_environment)

    def find(self, environment: Mapping[str, str]) -> Installation:
        """Tells how Claude Code is installed."""
        variables = self._environment(environment)
        try:
            path = self._find(variables)
        except LaunchRefused as refused:
            return Installation(problem=refused.failure.message)
        return Installation(path=path, version_argv=(path, "--version"), environment=variables)

    def launch(self, request: LaunchRequest) -> Launch:
        """Returns the process of a run; raises LaunchRefused when it cannot be started as it is configured."""
        variables = self._environment(request.environment)
        wanted = request.config
        definition = agent_definition.read(wanted.agent_path, request.working_dir) if wanted.agent_path else None
        model = wanted.model or (definition.model if definition else None) or config.DEFAULT_MODEL
        argv = [
            self._find(variables),
            "--print",
            "--verbose",
            "--input-format=stream-json",
            "--output-format=stream-json",
            f"--{'resume' if request.resumes else 'session-id'}={request.session_id}",
            f"--model={model}",
        ]
        # Values go behind a `=` in the same argument, so that none can pass for a flag, and none is taken for
        # a further value of a flag that takes several.
        if definition:
            argv += [f"--agents={_agents(definition)}", f"--agent={definition.name}"]
        if wanted.permission_mode:
            argv.append(f"--permission-mode={wanted.permission_mode}")
        if request.worktree not in (None, request.directory):
            # Below its current directory is all that it may edit unasked.
            argv.append(f"--add-dir={request.worktree}")
        argv += [f"--allowedTools={tool}" for tool in wanted.allowed_tools]
        if wanted.setting_sources:
            sources = [source for source in wanted.setting_sources if source != config.NO_SETTINGS]
            argv.append(f"--setting-sources={','.join(sources)}")
        if wanted.output_schema:
            argv.append(f"--json-schema={_schema(wanted.output_schema)}")
        if wanted.max_turns:
            argv.append(f"--max-turns={wanted.max_turns}")
        if wanted.system_prompt:
            path = Path(request.run_directory, "system_prompt.md")
            path.write_text(wanted.system_prompt, encoding="utf-8")
            argv.append(f"--append-system-prompt-file={path}")
        arguments.check(argv)
        return Launch(
            argv=tuple(argv),
            environment=variables,
            stdin=_line(claude_prompt.message(request.prompt)),
            # So that a run can be interrupted, and because some releases, such as 2.1.197, may lose the end of
            # their output once standard input is closed (anthropics/claude-code#77112).
            keep_stdin_open=True,
            interrupt=_line(_INTERRUPT),
            model=model,
        )

    def parser(self, *, session_id: SessionId, structured: bool, session_cost_usd: float) -> claude_stream.ClaudeParser:
        """Returns a parser for a run's lines."""
        del session_id  # The lines name it, unless the session was never begun.
        return claude_stream.ClaudeParser(structured=structured, session_cost_usd=session_cost_usd)

    def _environment(self, server: Mapping[str, str]) -> dict[str, str]:
        clouds = [name for switch, names in _CLOUDS.items() if _is_on(server.get(switch)) for name in names]
        return environment.pass_on(server, *_VARIABLES, *clouds, *self._pass_environment) | _SETTINGS

    def _find(self, variables: Mapping[str, str]) -> str:
        found = shutil.which(self._executable, path=variables.get("PATH", os.defpath))
        if not found:
            path = variables.get("PATH", os.defpath)
            message = (
                f"Claude Code (`{self._executable}`) was not found on the server's PATH, `{path}`. Install it, or "
                "set the server's `claude` setting to where it is."
            )
            raise LaunchRefused(Failure(FailureKind.AGENT_NOT_FOUND, message))
        # The agent's current directory is another one than the server's.
        return str(Path(found).absolute())


def _is_on(switch: str | None) -> bool:
    return (switch or "").lower() not in {"", "0", "false", "no", "off"}


def _agents(definition: agent_definition.AgentDefinition) -> str:
    values: dict[str, object] = {"description": definition.description, "prompt": definition.prompt}
    if definition.tools is not None:
        values["tools"] = definition.tools
    if definition.disallowed_tools:
        values["disallowedTools"] = definition.disallowed_tools
    # The model is not among them: --model decides.
    return json.dumps({definition.name: values}, ensure_ascii=False)


def _schema(text: str) -> str:
    """Returns an output schema as Claude Code takes it.

    It knows draft 7 alone, and is lost over any other `$schema`: 2.1.330 ends, and 2.1.197 goes on without a schema.
    What it takes for the output in the end is held against the whole schema (runner/run_output.py).
    """
    schema = lines.parse_object(text) or {}
    return text if schema.pop("$schema", None) is None else json.dumps(schema)


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
