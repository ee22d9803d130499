"""The errors that the protos' comments promise, read from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROTOS = Path(__file__).parents[2] / "protos/taskgrove/v1"

_SERVICE = re.compile(r"((?:^//.*\n)+)^service (\w+) \{\n((?:^(?:  .*)?\n)*)", re.MULTILINE)
_RPC = re.compile(r"((?:^  //.*\n)+)^  rpc (\w+)\(", re.MULTILINE)
_REASON = re.compile(r"((?:^  //.*\n)+)^  ERROR_REASON_(\w+) = \d+;", re.MULTILINE)
_CODE = re.compile(r"\b([A-Z][A-Z_]+[A-Z]) \(([A-Z_, ]+)\)")


@dataclass(frozen=True, slots=True)
class Reason:
    """One ErrorReason: what it means, in one paragraph or several, and its line of codes and metadata."""

    name: str
    meaning: str
    codes: str


@dataclass(frozen=True, slots=True)
class Service:
    """The errors of a service's methods; each error is a pair of a code and a reason."""

    name: str
    common: list[tuple[str, str]]
    methods: dict[str, list[tuple[str, str]]]


def services() -> list[Service]:
    """Returns what each service promises, in the order of the files and of the methods."""
    found: list[Service] = []
    for path in sorted(PROTOS.glob("*_service.proto")):
        for comment, name, body in _SERVICE.findall(path.read_text(encoding="utf-8")):
            methods = {rpc: list(_errors(text)) for text, rpc in _RPC.findall(body)}
            found.append(Service(name, list(_errors(comment)), methods))
    return found


def reasons() -> list[Reason]:
    """Returns what each reason means, in the order of the file."""
    text = (PROTOS / "error_reason.proto").read_text(encoding="utf-8")
    found: list[Reason] = []
    for comment, name in _REASON.findall(text):
        *meaning, codes = _plain(comment).split("\n\n")
        found.append(Reason(name, " ".join(" ".join(meaning).split()), " ".join(codes.split())))
    return [reason for reason in found if reason.name != "UNSPECIFIED"]


def _errors(comment: str) -> Iterator[tuple[str, str]]:
    _, _, listed = " ".join(_plain(comment).split()).partition("Errors")
    for code, names in _CODE.findall(listed):
        for reason in names.split(","):
            yield code, reason.strip()


def _plain(comment: str) -> str:
    return "\n".join(line.strip().removeprefix("//").removeprefix(" ") for line in comment.splitlines())
