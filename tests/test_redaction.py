#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""No secret passes the one place that masks."""

import copy
import io
import json
import logging
import pickle
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.tavus_python.redaction import (
    MASK,
    LogMask,
    Secret,
    mask,
    mask_log,
    redact,
    redact_value,
    secrets_in,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyIjoiY2ExIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("", ""),
        ("a", "***"),
        ("123456789012345", "***"),
        ("1234567890123456", "1234***"),
        ("tvs_0123456789abcdef", "tvs_***"),
    ],
)
def test_a_mask_shows_four_characters_of_a_long_secret(
    secret: str, shown: str
) -> None:
    assert mask(secret) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invalid access token", "Invalid access token"),
        (f"token {JWT}.", "token ***."),
        (f"cut {JWT[:30]}", "cut ***"),
        (
            f"https://tavus.daily.co/c1?t={JWT}&a=1",
            "https://tavus.daily.co/c1?t=***&a=1",
        ),
        ("https://h/?a=1&t=opaque", "https://h/?a=1&t=***"),
        ("https://h/?at=1", "https://h/?at=1"),
        ("next=https://h/?token=a", "next=https://h/?token=***"),
        ("the token= is empty", "the token= is empty"),
        ("livekit_room_token=abc, x=1", "livekit_room_token=*** x=1"),
        ("https://h/?X-Api-Key=abc#f", "https://h/?X-Api-Key=***#f"),
        ("wss://u:p@ss@h:1/x", "wss://***@h:1/x"),
        ("mail me@h about a/b", "mail me@h about a/b"),
        ("https://h/x@y", "https://h/x@y"),
    ],
)
def test_free_text_loses_what_looks_like_a_secret(
    text: str, expected: str
) -> None:
    assert redact(text) == expected


def test_given_secrets_go_the_longest_first() -> None:
    assert redact("abcd-efgh abcd", "abcd", "abcd-efgh") == "*** ***"


def test_empty_and_tiny_secrets_leave_the_text_readable() -> None:
    assert redact("a banana", "", "a") == "a banana"


@given(
    st.text(),
    st.text(string.ascii_letters + string.digits, min_size=4),
    st.text(),
)
def test_no_given_secret_is_left(before: str, secret: str, after: str) -> None:
    assert secret not in redact(before + secret + after, secret)


def test_a_long_hostile_text_is_redacted_in_linear_time() -> None:
    # A quadratic pattern would need hours for these, and the timeout ends it.
    for part in (
        "a",
        "://",
        "eyJ",
        "token",
        "?t",
        "eyJaaaaaaaa.",
        "=:@",
        "token=",
    ):
        redact(part * 200_000)


def test_everything_under_a_secret_name_is_masked() -> None:
    value = {
        "api_key": "0123456789abcdef",
        "Authorization": {"scheme": "Bearer", "parts": ["x", 1, None]},
        "require_auth": True,
        "plain": ["text", 1, None, f"a {JWT}", "our secret"],
        "nested": {"SECRET": "x", "name": "y" * 201},
    }
    assert redact_value(value, "our secret") == {
        "api_key": "0123***",
        "Authorization": {"scheme": "***", "parts": ["***", "***", None]},
        "require_auth": True,
        "plain": ["text", 1, None, "a ***", "***"],
        "nested": {
            "SECRET": "***",
            "name": "y" * 200 + "… (201 characters)",
        },
    }


def test_a_redacted_value_is_a_copy() -> None:
    value = {"a": {"token": "t"}}
    redact_value(value)
    assert value == {"a": {"token": "t"}}


def test_the_secrets_of_a_request_are_found_by_their_names() -> None:
    body = {
        "agora_settings": {"token": "a", "channel": "b"},
        "callback_url": "https://h/hook/c",
        "layers": {"llm": {"api_key": "d", "headers": {"Authorization": "e"}}},
        "auth": [{"parts": ["f", 7, None, True]}],
        "conversation_name": "g",
    }
    found = list(secrets_in(body))
    assert found == ["a", "https://h/hook/c", "d", "e", "f"]
    assert list(secrets_in(None)) == []


def test_a_secret_is_a_text_that_no_repr_shows() -> None:
    secret = Secret("hush-hush")
    body = {"token": secret, "list": [secret]}
    assert "hush" not in repr(body)
    assert secret == "hush-hush" and f"a {secret}" == "a hush-hush"
    assert json.loads(json.dumps(body)) == body
    for again in (copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
        assert again == secret and repr(again) == "'***'"


@pytest.fixture
def lines() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    logger, written = logging.getLogger("a.library"), io.StringIO()
    handler = logging.StreamHandler(written)
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)
    for one in list(logger.filters):
        logger.removeFilter(one)


def test_the_log_of_a_library_is_masked_with_its_tracebacks(lines) -> None:
    logger, written = lines
    mask_log("a.library")
    mask_log("a.library")
    assert len(logger.filters) == 1
    logger.error("refused: %s", JWT)
    try:
        raise ValueError(f"no such token: {JWT}")
    except ValueError:
        logger.exception("https://me:hush@proxy is of no use")
    text = written.getvalue()
    assert text.startswith("refused: ***\nhttps://***@proxy is of no use\n")
    assert "ValueError: no such token: ***" in text
    assert "eyJ" not in text and "hush" not in text


def test_a_log_loses_the_secrets_that_its_mask_knows(lines) -> None:
    logger, written = lines
    logger.addFilter(LogMask("our secret"))
    logger.error("%s", json.dumps({"x": "our secret"}))
    logger.error("100 % sure")  # no arguments, so no placeholder
    assert written.getvalue() == '{"x": "***"}\n100 % sure\n'


HOOK = "s3cret-of-a-Hook/path?x=1"


@pytest.mark.parametrize(
    "quoted",
    [
        HOOK.upper(),
        quote(HOOK),
        quote(HOOK, safe=""),
        quote(quote(HOOK, safe=""), safe=""),
        "".join(f"%{ord(one):02x}" for one in HOOK),
        "".join(f"%{ord(one):02X}" for one in HOOK.swapcase()),
    ],
)
def test_a_secret_goes_in_any_spelling(quoted: str) -> None:
    told = redact(f"bad url: {quoted}, sorry", HOOK)
    assert told == f"bad url: {MASK}, sorry"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "https://h/"])
@pytest.mark.parametrize("after", ["", "/", "/x", "/xyz"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("secret", [HOOK, "\xff\xfe>>>???~~~hush", "a" * 9])
def test_a_secret_in_base64_goes_wherever_it_stands(
    before: str, after: str, encode: Callable[[bytes], bytes], secret: str
) -> None:
    whole = encode(f"{before}{secret}{after}".encode()).decode()
    told = redact(f"<{whole}>", secret)
    assert MASK in told
    # No more is left than what it shares with its neighbours.
    left = told[1:-1].replace(MASK, "")
    assert len(left) <= len(encode(f"{before}{after}".encode())) + 4


def test_a_long_part_of_a_webhooks_address_is_a_secret_by_itself() -> None:
    url = "https://h.example/api/tavus/webhook/abcdefghij0123456789?key=short"
    assert list(secrets_in({"callback_url": url})) == [
        url,
        "abcdefghij0123456789",
    ]


def test_text_with_percent_signs_and_no_secret_stays_as_it_is() -> None:
    assert redact("100%25 of 5%", HOOK) == "100%25 of 5%"
