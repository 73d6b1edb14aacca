#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What TavusClient repeats, how long it pauses, and where lists end."""

import json
import random
from typing import Any

import pytest
from ten_packages.extension.tavus_python import tavus_http
from ten_packages.extension.tavus_python.errors import (
    TavusError,
    TavusNetworkError,
    TavusProtocolError,
    TavusRateLimitError,
    TavusServerError,
)
from ten_packages.extension.tavus_python.tavus_client import (
    Reply,
    TavusClient,
)

KEY = "tavus-key-that-nobody-may-see"


class Scripted(TavusClient):
    """A client whose network is a list of replies and errors."""

    def __init__(self, *script: Reply | TavusError, **options: Any) -> None:
        super().__init__(KEY, **options)
        self.script = list(script)
        self.sent: list[tuple[str, str, dict[str, str] | None]] = []

    async def _send(self, method, path, *, query=None, body=None, **_) -> Reply:
        self.sent.append((method, path, query))
        step = self.script.pop(0)
        if isinstance(step, TavusError):
            raise step
        return step


def page(*ids: str, total: int | None = None) -> Reply:
    body: dict[str, Any] = {"data": [{"conversation_id": i} for i in ids]}
    if total is not None:
        body["total_count"] = total
    return Reply(200, {}, json.dumps(body).encode())


@pytest.fixture(name="pauses")
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have slept, and no sleep."""
    taken: list[float] = []

    async def note(delay_s: float) -> None:
        taken.append(delay_s)

    monkeypatch.setattr(tavus_http.asyncio, "sleep", note)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    return taken


# Pauses


BUSY = Reply(503, {}, b"")
FOUND = Reply(200, {}, b'{"conversation_id":"c1"}')


async def test_pauses_double(pauses):
    client = Scripted(*[BUSY] * 4, FOUND, attempts=5, backoff_s=0.25)
    await client.get_conversation("c1")
    assert pauses == [0.25, 0.5, 1.0, 2.0]


async def test_pauses_have_a_longest(pauses):
    client = Scripted(*[BUSY] * 9, FOUND, attempts=10, backoff_s=1)
    await client.get_conversation("c1")
    assert pauses[-5:] == [10.0] * 5


async def test_retry_after_is_waited_for(pauses):
    busy = Reply(429, {"Retry-After": "7"}, b"")
    await Scripted(busy, FOUND).get_conversation("c1")
    assert pauses == [7.0]


async def test_a_long_retry_after_is_left_to_the_caller(pauses):
    client = Scripted(Reply(429, {"Retry-After": "60"}, b""), FOUND)
    with pytest.raises(TavusRateLimitError) as caught:
        await client.get_conversation("c1")
    assert caught.value.retry_after_s == 60.0
    assert pauses == []


async def test_one_attempt_is_one_attempt(pauses):
    client = Scripted(BUSY, FOUND, attempts=1)
    with pytest.raises(TavusServerError):
        await client.get_conversation("c1")
    assert pauses == []


async def test_a_patch_that_may_have_worked_is_not_repeated():
    client = Scripted(TavusNetworkError("it broke"), FOUND)
    with pytest.raises(TavusNetworkError):
        await client.patch_persona("p1", [])
    assert len(client.sent) == 1


async def test_not_modified_is_no_answer_to_anything_but_a_patch():
    client = Scripted(Reply(304, {}, b""))
    with pytest.raises(TavusProtocolError):
        await client.get_conversation("c1")


# Lists


async def listed(*script: Reply | TavusError) -> str:
    """The ids that a list gives which takes all of these replies."""
    client = Scripted(*script, attempts=1)
    found = [c.conversation_id async for c in client.list_conversations()]
    assert client.script == []
    return " ".join(found)


async def test_a_list_is_read_to_its_end_whatever_its_total():
    assert await listed(page("a", "b", total=3), page("c"), page()) == "a b c"
    pages = [page("a", total=1), page("b", total=1), page(total=1)]
    assert await listed(*pages, *pages) == "a b"
    assert await listed(page("a", total=-1), page(total=-1)) == "a"
    client = Scripted(page("a"), page())
    _ = [c async for c in client.list_conversations()]
    assert [query["page"] for _, _, query in client.sent if query] == ["1", "2"]


async def test_a_page_past_the_last_may_be_refused():
    refused = Reply(400, {}, b'{"error":"no such page"}')
    assert await listed(page("a", total=1), refused) == "a"
    with pytest.raises(TavusError):
        await listed(refused)


async def test_a_list_that_shifts_while_it_is_read_is_read_again():
    # a ends when its page has been read, and b moves to that page.
    shifted = [page("a", total=3), page("c", total=2), page(total=2)]
    again = [page("b", total=2), page("c", total=2), page(total=2)]
    assert await listed(*shifted, *again) == "a c b"
    # d and e begin: the second page has no news, and the third has.
    shifted = [page("a", "b", total=3), page("b", total=4), page("c"), page()]
    again = [page("d", "a"), page("b", "c"), page()]
    assert await listed(*shifted, *again) == "a b c d"


async def test_without_a_total_a_long_list_is_read_until_nothing_is_new():
    first = [page("a"), page("c"), page()]
    again = [page("b"), page("c"), page()]
    assert await listed(*first, *again, *again) == "a c b"


async def test_a_total_that_is_too_large_costs_one_more_reading():
    once = [page("a", "b", total=500), page(total=500)]
    assert await listed(*once, *once) == "a b"


async def test_a_row_that_moved_to_the_next_page_comes_once():
    pages = [page("a", "b", total=3), page("b", "c", total=3), page(total=3)]
    assert await listed(*pages) == "a b c"


async def test_a_server_that_knows_no_pages_is_asked_twice_at_most():
    assert await listed(page("a", total=5), page("a", total=5)) == "a"


async def test_unreadable_rows_do_not_hide_the_others():
    body = b'{"data":[1,{"persona_id":null},{"persona_id":"p1"}]}'
    client = Scripted(Reply(200, {}, body), page())
    found = [p.persona_id async for p in client.list_personas()]
    assert found == ["p1"]


async def test_a_row_whose_id_cannot_be_read_is_a_conversation():
    rows = [
        {"conversation_id": "/", "conversation_name": "a"},
        {"conversation_id": None, "conversation_name": "b"},
        {"conversation_name": "c"},
        {"conversation_id": "", "conversation_name": "c"},
    ]
    body = json.dumps({"data": rows}).encode()
    client = Scripted(Reply(200, {}, body), Reply(200, {}, body))
    found = [
        (c.conversation_id, c.conversation_name)
        async for c in client.list_conversations()
    ]
    assert found == [("/", "a"), ("", "b"), ("", "c")]


async def test_an_endless_list_is_an_error(monkeypatch):
    monkeypatch.setattr(tavus_http, "_MAX_PAGES", 3)
    client = Scripted(page("c1"), page("c2"), page("c3"))
    with pytest.raises(TavusProtocolError, match="over 3 pages"):
        _ = [c async for c in client.list_conversations()]


@pytest.mark.parametrize("body", [b"{}", b'{"data":{}}', b'"x"', b""])
async def test_what_is_no_list_is_an_error(body):
    client = Scripted(Reply(200, {}, body), attempts=1)
    with pytest.raises(TavusProtocolError):
        _ = [c async for c in client.list_conversations()]
