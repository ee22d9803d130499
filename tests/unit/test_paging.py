"""Pages by key, without a server: any rows, any size, any token."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import ListRunsRequest, ListTasksRequest
from taskgrove_server.api import paging
from taskgrove_server.domain import errors

#: A thing is a number of bytes here.
Rows = list[tuple[int, int]]


def convert(size: int) -> Task:
    return Task(description="d" * size)


def page_of(rows: Rows, request: ListTasksRequest) -> tuple[list[Task], str]:
    """Does what a method does: asks for one row more than fits, from after the position."""
    (after,) = paging.position(request, int) or (0,)
    found = [((at,), size) for at, size in rows if at > after][: paging.size(request.page_size) + 1]
    return paging.cut(request, found, convert)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, paging.PAGE_BYTES * 2), max_size=12),
    page_size=st.integers(1, 14),
    positions=st.sets(st.integers(1, 2**63 - 1), min_size=12, max_size=12),
)
@example(sizes=[paging.PAGE_BYTES] * 3, page_size=3, positions=set(range(1, 13)))
def test_a_walk_finds_every_row_once_whatever_their_sizes(
    sizes: list[int], page_size: int, positions: set[int]
) -> None:
    rows = list(zip(sorted(positions), sizes, strict=False))
    request = ListTasksRequest(page_size=page_size)
    seen: list[int] = []
    while True:
        page, token = page_of(rows, request)
        seen += [len(task.description) for task in page]
        assert len(page) <= page_size
        assert len(page) <= 1 or sum(task.ByteSize() for task in page) <= paging.PAGE_BYTES
        if not token:
            break
        assert page
        request.page_token = token
    assert seen == sizes


def test_a_page_that_holds_all_leads_nowhere() -> None:
    rows = [(number, 1) for number in range(1, 4)]
    for page_size in (3, 4):
        page, token = page_of(rows, ListTasksRequest(page_size=page_size))
        assert (len(page), token) == (3, "")


@pytest.mark.parametrize(("asked", "expected"), [(0, 50), (1, 1), (499, 499), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_the_size_of_a_page_has_a_default_and_a_bound(asked: int, expected: int) -> None:
    assert paging.size(asked) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_token_leads_to_where_the_page_ended(at: int) -> None:
    request = ListTasksRequest(task_list_id="a" * 12, states=[Task.STATE_FAILED])
    request.page_token = paging._token(request, (at,))
    assert paging.position(request, int) == (at,)
    # How many things the next page may have is no filter.
    request.page_size = 7
    assert paging.position(request, int) == (at,)


@given(st.text(min_size=1) | st.binary(min_size=1, max_size=40).map(lambda raw: raw.hex()))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(errors.InvalidPageToken):
        paging.position(ListTasksRequest(page_token=text), int)


@given(st.integers(1, 2**40), st.data())
def test_a_token_that_was_changed_anywhere_is_refused(at: int, data: st.DataObject) -> None:
    request = ListTasksRequest()
    token = paging._token(request, (at,))
    # Of the last character before the padding, bits are unused.
    index = data.draw(st.integers(0, len(token.rstrip("=")) - 2))
    character = data.draw(st.sampled_from("ABCabc019-_").filter(lambda other: other != token[index]))
    request.page_token = token[:index] + character + token[index + 1 :]
    with pytest.raises(errors.InvalidPageToken):
        paging.position(request, int)


def test_a_token_is_bound_to_the_type_of_its_request() -> None:
    token = paging._token(ListTasksRequest(), (5,))
    with pytest.raises(errors.InvalidPageToken):
        paging.position(ListRunsRequest(page_token=token), int)


@pytest.mark.parametrize(
    "at", [(), (1, 2), ("1",), (2**63,), (-(2**63) - 1,), (True,), (1.0,), ([1],), (None,)], ids=repr
)
def test_a_token_that_somebody_made_up_is_refused_for_its_shape(at: Any) -> None:
    token = paging._token(ListTasksRequest(), at)
    with pytest.raises(errors.InvalidPageToken):
        paging.position(ListTasksRequest(page_token=token), int)


@pytest.mark.parametrize("packed", [b"[" * 3000, b"{}", b"1", b"[1", b"\xff", b""])
def test_a_token_that_holds_no_position_is_refused(packed: bytes) -> None:
    token = base64.urlsafe_b64encode(paging._digest(ListTasksRequest(), packed) + packed).decode()
    with pytest.raises(errors.InvalidPageToken):
        paging.position(ListTasksRequest(page_token=token), int)


def test_a_position_of_several_parts_comes_back_as_it_was() -> None:
    token = paging._token(ListTasksRequest(), (5, "tree", -1))
    assert paging.position(ListTasksRequest(page_token=token), int, str, int) == (5, "tree", -1)


def test_making_a_token_leaves_the_request_as_it_is() -> None:
    request = ListTasksRequest(page_size=3, page_token="x", states=[Task.STATE_QUEUED])
    before = ListTasksRequest.FromString(request.SerializeToString())
    paging._token(request, (5,))
    assert request == before
