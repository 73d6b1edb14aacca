#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Certificates for servers of tests, which the clients in here believe."""

import ssl

import aiohttp.connector
import pytest
import trustme


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that aiohttp believes in this process."""
    authority = trustme.CA()
    # pylint: disable-next=protected-access
    authority.configure_trust(aiohttp.connector._SSL_CONTEXT_VERIFIED)
    return authority


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """What a server of these names, or addresses, speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
