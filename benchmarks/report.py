"""A benchmark's figures: one table for a person, one JSON file for a program."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

#: A figure, a word, or nothing where there is nothing to tell.
Cell = float | str | None


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be, as a ratio to the limit or the peer beside it wherever there is one."""

    what: str
    value: float
    bound: float
    #: The value is to be the bound at least; otherwise at most.
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Tells whether the figure is as it should be."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(slots=True)
class Report:
    """What came of one benchmark. A column's name holds its unit; every row has a cell for each column."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list[Sequence[Cell]])
    targets: list[Target] = field(default_factory=list[Target])
    #: Runs that went wrong, in words. They are never left out silently.
    failures: list[str] = field(default_factory=list[str])
    #: What a reader has to know to read the figures rightly.
    notes: list[str] = field(default_factory=list[str])
    #: The figures of every single run, from which the table's medians were made.
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def text(self) -> str:
        """Returns the table, the targets, and what else there is to say."""
        cells = [[str(column) for column in self.columns]]
        cells += [[_shown(cell) for cell in row] for row in self.rows]
        widths = [max(len(row[index]) for row in cells) for index in range(len(self.columns))]
        lines = [self.title, ""]
        for number, row in enumerate(cells):
            first, *others = zip(row, widths, strict=True)
            shown = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
            lines.append("  ".join(shown).rstrip())
            if number == 0:
                lines.append("  ".join("-" * width for width in widths))
        lines += ["", *(_of_target(target) for target in self.targets)]
        lines += [f"FAILED RUN: {failure}" for failure in self.failures]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def write(self, directory: Path, *, quick: bool) -> Path:
        """Writes the figures, and what they were measured on, as JSON; returns the file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        values = {**asdict(self), "quick": quick, "machine": _machine()}
        values["targets"] = [{**asdict(target), "met": target.met} for target in self.targets]
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return path


def _of_target(target: Target) -> str:
    bound = f"{'at least' if target.at_least else 'at most'} {_shown(target.bound)}"
    return f"{'met   ' if target.met else 'MISSED'}  {target.what}: {_shown(target.value)} ({bound})"


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if cell >= 1000 or (cell == int(cell) and abs(cell) < 1e15):
        return f"{cell:,.0f}"
    return f"{cell:.3g}"


def _machine() -> Mapping[str, str | int | None]:
    packages = {name: metadata.version(name) for name in ("grpcio", "protobuf", "peewee", "gitpython")}
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": sys.version.split()[0], **packages}
