#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The LiveKit server and the participants that other tests rely on."""

import numpy as np
import psutil
from support.livekit import LiveKitServer, Peer
from support.sounds import frequency_hz, loud_s

pytest_plugins = ["support.livekit_fixtures"]


async def test_participants_hear_and_see_each_other(
    livekit_server: LiveKitServer,
) -> None:
    async with (
        Peer(livekit_server, "support", "alice") as alice,
        Peer(livekit_server, "support", "bob", kind="agent") as bob,
    ):
        await alice.until_with("bob")
        bob.read_texts("words")
        await alice.say_tone(440)
        await bob.until(lambda: loud_s(bob.heard["alice"].pcm) > 0.9)
        assert abs(frequency_hz(bob.heard["alice"].pcm) - 440) < 5

        await bob.show_picture()
        await alice.until(
            lambda: "bob" in alice.seen and alice.seen["bob"].frames >= 3
        )
        picture = alice.seen["bob"].last
        assert picture is not None
        assert (picture.width, picture.height) == (320, 180)
        assert np.ptp(np.frombuffer(picture.data, np.uint8)) > 100

        await alice.room.local_participant.publish_data(b"1", topic="t")
        await alice.room.local_participant.send_text("hi", topic="words")
        await bob.until(lambda: bool(bob.packets and bob.texts))
        assert (bob.packets[0].topic, bob.packets[0].content) == ("t", b"1")
        assert (bob.texts[0].sender, bob.texts[0].content) == ("alice", b"hi")


async def test_participants_come_back_after_a_restart(
    own_livekit_server: LiveKitServer,
) -> None:
    async with Peer(own_livekit_server, "support", "alice") as alice:
        back: list[bool] = []
        alice.room.on("reconnected", lambda: back.append(True))
        own_livekit_server.restart()
        await alice.until(lambda: bool(back), timeout_s=60)


async def test_no_user_of_the_machine_sees_the_servers_secret(
    own_livekit_server: LiveKitServer,
) -> None:
    servers = [
        process
        for process in psutil.Process().children(recursive=True)
        if "livekit-server" in " ".join(process.cmdline())
    ]
    assert servers
    for process in servers:
        assert own_livekit_server.api_secret not in " ".join(process.cmdline())
