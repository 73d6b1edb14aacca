#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Which error a reply means, and what a person reads."""

import copy
import json
import pickle
import ssl
import time
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from ten_packages.extension.tavus_python import errors
from ten_packages.extension.tavus_python.errors import (
    TavusError,
    error_from_failure,
    error_from_reply,
)

SECRET = "tavus-key-that-nobody-may-see"
KINDS = {
    "audio",
    "auth",
    "avatar",
    "credits",
    "concurrency",
    "not_found",
    "validation",
    "rate_limited",
    "server",
    "journal",
    "network",
    "timeout",
    "protocol",
    "cancelled",
    "stopping",
}
# Texts as documented or reported: reference/tavus-api.md, section 1.1.
REFUSED = [
    (400, "User has reached maximum concurrent conversations", "concurrency"),
    (400, "Invalid conversation_id", "not_found"),
    (400, "Invalid replica_uuid", "not_found"),
    (400, "Invalid persona_id", "not_found"),
    (400, "Cannot have both persona_id and pal_id", "validation"),
    (400, "There was an error creating the conversation", "validation"),
    (401, "Invalid access token", "auth"),
    (402, "The user is out of conversational credits", "credits"),
    (403, "", "auth"),
    (404, "Objectives not found", "not_found"),
    (405, "", "validation"),
    (409, "The document is busy", "validation"),
    (422, "Invalid JSON patch format", "validation"),
]
# What may go well later, and whether Tavus may have acted this time.
FAILED = [
    (408, "timeout", False),
    (429, "rate_limited", False),
    (500, "server", True),
    (503, "server", True),
    (522, "server", True),
]


@pytest.mark.parametrize("member", ["error", "message"])
@pytest.mark.parametrize(("status", "text", "kind"), REFUSED)
def test_a_refusal_did_nothing_and_will_stay(status, text, kind, member):
    body = json.dumps({member: text}).encode()
    error = error_from_reply(status, {}, body)
    assert (error.kind, error.status) == (kind, status)
    assert (error.retryable, error.sent) == (False, False)
    assert error.message == text or not text
    assert str(error) == f"{error.message} (HTTP {status}) - {error.hint}"


@pytest.mark.parametrize(("status", "kind", "sent"), FAILED)
def test_a_failure_may_pass(status, kind, sent):
    error = error_from_reply(status, {}, b"")
    assert (error.kind, error.status) == (kind, status)
    assert (error.retryable, error.sent) == (True, sent)


def test_a_redirect_will_stay_one():
    error = error_from_reply(302, {}, b"")
    assert (error.kind, error.retryable, error.sent) == (
        "protocol",
        False,
        True,
    )


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b"404", b"{"])
def test_a_404_that_is_not_tavus_own_says_nothing_about_the_id(body):
    error = error_from_reply(404, {}, body)
    assert (error.kind, error.retryable, error.sent) == (
        "protocol",
        True,
        False,
    )


def test_a_wrong_certificate_is_not_tried_again():
    where = ConnectionKey("tavus.example", 443, True, True, None, None, None)
    wrong = ssl.CertificateError("certificate has expired")
    error = error_from_failure(
        aiohttp.ClientConnectorCertificateError(where, wrong)
    )
    assert error.kind == "network"
    assert (error.retryable, error.sent) == (False, False)
    assert "certificate has expired" in error.message


def test_every_kind_has_its_class_and_its_hint():
    classes = [
        one
        for one in TavusError.__subclasses__()
        if one.__module__ == errors.__name__
    ]
    assert {one.kind for one in classes} == KINDS
    assert len(classes) == len(KINDS)
    assert len({one.hint for one in classes}) == len(KINDS)


def test_an_error_without_a_status_reads_well():
    error = errors.TavusTimeoutError("no answer in time")
    assert str(error) == (
        "no answer in time - Tavus or the network is slow; try again"
    )


@pytest.mark.parametrize("again", [copy.copy, lambda e: _pickled(e)])
def test_an_error_survives_being_copied(again):
    error = errors.TavusServerError("x", status=503, retry_after_s=2.0)
    assert vars(again(error)) == vars(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Tavus gave no explanation"),
        (b"{}", "Tavus gave no explanation"),
        (b"null", "Tavus gave no explanation"),
        (b'"just words"', "just words"),
        (b'["a","b"]', '["a", "b"]'),
        (b'{"detail":"a detail"}', "a detail"),
        (b'{"error":"","message":"second"}', "second"),
        (b'{"error":{"code":7}}', '{"code": 7}'),
        (b'{"other":"x"}', '{"other": "x"}'),
        (b"plain words", "plain words"),
        (b" <!doctype html><p>Bad Gateway", "the answer was a web page"),
        (b"two\r\n  lines", "two lines"),
        (b"\xff", "�"),
        (b'{"error":"\\ud800 \\u001b[31m"}', "� �[31m"),
        (b"[" * 50_000, "[" * 300),
        (b"x" * 500_000, "x" * 300),
        (f'{{"error":"{SECRET}"}}'.encode(), "***"),
        ((" " * 290 + f"key {SECRET}").encode(), "key ***"),
    ],
)
def test_what_is_read_from_a_body(body, message):
    error = error_from_reply(418, {}, body, secrets=(SECRET,))
    assert error.message == message


def test_a_secret_at_the_cut_leaves_no_piece():
    body = ("x" * 290 + SECRET).encode()
    error = error_from_reply(418, {}, body, secrets=(SECRET,))
    assert error.message == "x" * 290 + "***"


@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_read(name, value, seconds):
    error = error_from_reply(429, {name: value}, b"")
    assert error.retry_after_s == seconds


def test_retry_after_can_be_a_date(monkeypatch):
    now_s = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now_s)
    date = formatdate(now_s + 8, usegmt=True)
    error = error_from_reply(503, {"Retry-After": date}, b"")
    assert error.retry_after_s == 8.0


def _pickled(error: TavusError) -> TavusError:
    return pickle.loads(pickle.dumps(error))
