#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The page behind a conversation's URL: says what it is, and lets a person
be a participant by keeping it open."""

import html
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name (simulated)</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto;
       max-width: 34rem; padding: 0 1rem; text-align: center; }
</style>
<h1>$name</h1>
<p>This is a simulation of a Tavus room. No face will come, and nothing is
billed. You count as a participant for as long as this page is open.</p>
<p id="state" role="status">$state</p>
$script
</html>
""")
_SCRIPT = Template("""<script>
const here = "/sim/conversations/$conversation_id";
const state = document.getElementById("state");
fetch(here + "/join", { method: "POST" }).then(async (reply) => {
  if (!reply.ok) throw new Error((await reply.json()).error);
  state.textContent = "You are in.";
  addEventListener("pagehide", () => navigator.sendBeacon(here + "/leave"));
}).catch((problem) => { state.textContent = problem.message; });
</script>""")


def room_page(conversation_id: str, name: str, closed: str | None) -> bytes:
    """The page of one room.

    Args:
        conversation_id: which.
        name: the conversation's name.
        closed: why one cannot join; ``None`` when one can.

    Returns:
        HTML.
    """
    script = _SCRIPT.substitute(conversation_id=conversation_id)
    page = _PAGE.substitute(
        name=html.escape(name),
        state=html.escape(closed or "Joining …"),
        script="" if closed else script,
    )
    return page.encode()
