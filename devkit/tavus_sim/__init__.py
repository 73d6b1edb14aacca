#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A local Tavus: its REST API, webhooks and rooms, with faults on demand.

``python -m tavus_sim`` serves it; ``Simulator`` is the same without sockets.
"""

from .faults import Fault
from .messages import Refusal, SimReply, SimRequest
from .server import SimServer
from .simulator import Simulator
from .threaded import ThreadedSim
from .worker import AvatarVideo

__all__ = [
    "AvatarVideo",
    "Fault",
    "Refusal",
    "SimReply",
    "SimRequest",
    "SimServer",
    "Simulator",
    "ThreadedSim",
]
