"""The command behind `make bench`: python -m benchmarks [NAME ...] [--quick] [--output DIRECTORY]."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path
from typing import Protocol, cast

from benchmarks.report import Report

#: Each is a module of this package that has `run`.
BENCHMARKS = (
    "streaming",
    "latency",
    "watchers",
    "resuming",
    "first_line",
    "printing",
    "calls",
    "many_runs",
    "many_tasks",
    "many_lines",
    "retaining",
    "cancelling",
    "starting",
    "reviewing",
)

RESULTS = Path(__file__).parent / "results"


class Benchmark(Protocol):
    """Measures one thing."""

    def run(self, *, quick: bool) -> Report:
        """Returns the figures. `quick` only shows that everything works: its figures mean nothing."""
        ...


def main() -> None:
    """Runs the benchmarks one after the other, prints a table for each, and writes each to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="show that all works, with figures that mean nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON files go")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    for name in arguments.names or BENCHMARKS:
        start = time.monotonic()
        benchmark = cast("Benchmark", importlib.import_module(f"benchmarks.{name}"))
        report = benchmark.run(quick=arguments.quick)
        path = report.write(arguments.output, quick=arguments.quick)
        print(report.text())
        print(f"{time.monotonic() - start:.0f} s; figures of every run in {path}\n", flush=True)


if __name__ == "__main__":
    main()
