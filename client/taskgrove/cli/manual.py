"""The manual: `taskgrove help COMMAND`, laid out as manual pages are."""

from __future__ import annotations

import functools
import inspect
import shutil
from collections.abc import Sequence

import click

from taskgrove.cli import exits, paging

#: (variables, what they do, the commands that read them; none means all).
_ENVIRONMENT: Sequence[tuple[str, str, frozenset[str]]] = (
    ("TASKGROVE_TARGET", "The server, where --target does not name one.", frozenset()),
    ("TASKGROVE_TOKEN", "The server's bearer token, where --token does not give it.", frozenset()),
    (
        "TASKGROVE_TLS_*",
        "What an encrypted connection is made with: CA, CERT and KEY are PEM files, SERVER_NAME is a name.",
        frozenset(),
    ),
    (
        "TASKGROVE_DATA_DIR",
        "Where the default server keeps its socket and its token.  [default: ~/.local/share/taskgrove]",
        frozenset(),
    ),
    ("NO_COLOR", "Anything in it turns colours off.", frozenset()),
    ("TASKGROVE_PAGER, PAGER", "The pager; cat means none.  [default: less -FRX]", frozenset({"diff", "help"})),
    ("VISUAL, EDITOR", "The editor.  [default: vi]", frozenset({"edit", "doctor"})),
    ("TASKGROVE_CLAUDE", "The Claude Code program.  [default: claude]", frozenset({"doctor", "run"})),
)

_WIDEST = 90
#: What a line of text next to a column of options takes.
_NARROWEST = 20


class Group(click.Group):
    """A group whose help shows the commands under headings, in the order in which a newcomer meets them."""

    @functools.cached_property
    def sections(self) -> dict[str, list[str]]:
        """The names of the commands, by heading."""
        return {}

    def add_section(self, heading: str, *commands: click.Command) -> None:
        """Adds commands below a heading."""
        for command in commands:
            self.add_command(command)
            self.sections.setdefault(heading, []).append(command.name or "")

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the commands in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Writes the commands, below their headings."""
        width = max(map(len, self.commands))
        for heading, names in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(width), self.commands[name].get_short_help_str(formatter.width - width - 6))
                        for name in names
                    ]
                )


@click.command(
    "help",
    epilog="""\
\b
Examples:
  taskgrove help
  taskgrove help land
  taskgrove help lists update
""",
)
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@paging.no_pager
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...], *, no_pager: bool) -> None:
    """Shows the manual of a command, with examples.

    On a terminal through a pager, as man does. Without a command, shows the manual of the program.
    """
    root = ctx.find_root()
    page_ctx = click.Context(root.command, info_name="taskgrove", help_option_names=ctx.help_option_names)
    path: list[click.Command] = [root.command]
    for word in words:
        group = path[-1]
        command = group.get_command(page_ctx, word) if isinstance(group, click.Group) else None
        if command is None:
            raise click.UsageError(f"There is no command {' '.join(words)!r}: see taskgrove --help.", ctx)
        path.append(command)
        page_ctx = click.Context(command, info_name=word, parent=page_ctx)
    bold = paging.on_terminal() and paging.wants_colour()
    width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))
    text = page(page_ctx, width=width, bold=bold)
    with paging.paged(enabled=not no_pager) as out:
        out.write(text.encode())


def page(ctx: click.Context, *, width: int, bold: bool) -> str:
    """Returns the manual page of a context's command."""
    command = ctx.command
    formatter = _Formatter(width, bold=bold)
    with formatter.section("name"):
        formatter.write_text(f"{ctx.command_path} - {command.get_short_help_str(200).rstrip('.')}")
    with formatter.section("synopsis"):
        formatter.write_usage(ctx.command_path, " ".join(command.collect_usage_pieces(ctx)), prefix="")
    with formatter.section("description"):
        formatter.write_text(inspect.cleandoc(command.help or ""))
    # Arguments are told of in the description: only newer versions of click list them.
    parameters = [one for one in command.get_params(ctx) if isinstance(one, click.Option)]
    records = [record for one in parameters if (record := one.get_help_record(ctx))]
    with formatter.section("options"):
        formatter.write_dl(records)
    for heading, commands in _commands(command).items():
        with formatter.section(heading):
            formatter.write_dl([(one.name or "", one.get_short_help_str(200)) for one in commands])
    with formatter.section("examples"):
        formatter.write_lines(examples(command))
    with formatter.section("exit status"):
        formatter.write_dl([(str(code), meaning) for code, meaning in exits.MEANINGS.items()])
    with formatter.section("environment"):
        top = ctx.command_path.split()[1:2]
        formatter.write_dl(
            [(names, what) for names, what, readers in _ENVIRONMENT if not top or _is_read(readers, top[0])]
        )
    with formatter.section("see also"):
        formatter.write_text(", ".join(_related(ctx)))
    return formatter.getvalue()


def examples(command: click.Command) -> list[str]:
    """Returns the lines of a command's examples, which stand in its epilog up to an empty line."""
    lines = inspect.cleandoc(command.epilog or "").replace("\b\n", "").splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("Example")), len(lines))
    block = lines[start + 1 :]
    end = block.index("") if "" in block else len(block)
    return [line.strip() for line in block[:end]]


class _Formatter(click.HelpFormatter):
    """Writes sections as manual pages have them."""

    def __init__(self, width: int, *, bold: bool) -> None:
        super().__init__(indent_increment=4, width=width)
        self._bold = bold

    def write_heading(self, heading: str) -> None:
        """Writes a heading in capitals."""
        text = heading.upper()
        self.write(f"\x1b[1m{text}\x1b[m\n" if self._bold else f"{text}\n")

    def write_lines(self, lines: Sequence[str]) -> None:
        """Writes lines as they are."""
        for line in lines:
            self.write(f"{'':>{self.current_indent}}{line}\n")


def _commands(command: click.Command) -> dict[str, list[click.Command]]:
    """Returns the commands of a group by heading; none for what is no group."""
    if isinstance(command, Group) and command.sections:
        return {heading: [command.commands[name] for name in names] for heading, names in command.sections.items()}
    return {"commands": list(command.commands.values())} if isinstance(command, click.Group) else {}


def _related(ctx: click.Context) -> list[str]:
    """Returns the manuals to read next: those of a command's neighbours, and of the whole program."""
    if ctx.parent is None:
        return ["taskgrove help COMMAND", "taskgroved --help"]
    siblings = next(commands for commands in _commands(ctx.parent.command).values() if ctx.command in commands)
    place = " ".join(["taskgrove help", *ctx.parent.command_path.split()[1:]])
    return [*(f"{place} {one.name}" for one in siblings if one is not ctx.command), "taskgrove help"]


def _is_read(readers: frozenset[str], command: str) -> bool:
    return not readers or command in readers
