"""The tables of errors are complete, on both sides of the wire."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from taskgrove.v1 import error_reason_pb2
from taskgrove_server.api import error_table
from taskgrove_server.domain import errors

PROTO = Path(__file__).parents[2] / "protos/taskgrove/v1/error_reason.proto"

REASONS = {name.removeprefix("ERROR_REASON_") for name, _ in error_reason_pb2.ErrorReason.items()} - {"UNSPECIFIED"}


def leaves(base: type[errors.TaskgroveError]) -> set[type[errors.TaskgroveError]]:
    below = base.__subclasses__()
    return {leaf for child in below for leaf in leaves(child)} if below else {base}


def test_every_domain_error_has_a_code_and_a_reason() -> None:
    assert set(error_table.TABLE) == leaves(errors.TaskgroveError)


def test_the_table_and_the_enum_have_the_same_reasons() -> None:
    used = {reason for _, reason in error_table.TABLE.values()} | {error_table.INTERNAL[1]}
    assert used == REASONS


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = inspect.getdoc(errors) or ""
    for error in leaves(errors.TaskgroveError):
        assert error.__name__ in drawn


@pytest.mark.parametrize("error", list(error_table.TABLE))
def test_the_code_of_each_reason_stands_in_the_proto(error: type[errors.TaskgroveError]) -> None:
    code, reason = error_table.TABLE[error]
    above = PROTO.read_text().split(f"ERROR_REASON_{reason} ")[0]
    assert code.name in above.rsplit("ERROR_REASON_", 1)[-1]


@pytest.mark.parametrize("text", ["caf\udce9", "\udce2\udc82", "\ud800", "\udcff" * 2000, "\u00fc" * 2000])
def test_whatever_text_an_error_carries_can_be_sent(text: str) -> None:
    for error in (errors.CheckoutDirty(text, text, files=[text]), errors.InvalidRequest((text, text))):
        status = error_table.to_status(error)
        read = type(status).FromString(status.SerializeToString())
        assert len(read.message.encode()) <= error_table.LONGEST_TEXT + len("\u2026".encode())


def test_bytes_that_are_no_text_are_replaced() -> None:
    status = error_table.to_status(errors.RepositoryFailed("no \udce2\udc82x"))
    assert status.message == "Git failed on the repository: no \ufffdx"
