#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""How a send should be done."""


class SendOptions:
    """Options of `send_data` and friends.

    Args:
        wait_for_result: wait until the runtime has routed the message, and
            return its error; otherwise the send always returns None.
    """

    def __init__(self, wait_for_result: bool = False) -> None:
        self.wait_for_result = wait_for_result
