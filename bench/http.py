#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What the HTTP API costs beside a bare aiohttp handler.

wrk creates and ends conversations through the HTTP API of a TEN app, and in
turns through a handler that makes the same two calls of Tavus and nothing
else. Then 500 event streams are opened at each. Prints throughput, latency
and memory; exits 1 if the API has less than 0.6 of the bare handler's
throughput, if a request failed, or if it left a conversation running.

    .venv/bin/python bench/http.py [--rounds 5] [--seconds 5] [--streams 500]

Needs wrk (Debian: apt-get install wrk).
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path


def _stand_aside() -> None:
    """Puts the standard library's http in this file's place.

    Python looks for modules in the folder of the script first, so whatever
    imports http in a benchmark finds this file.
    """
    here = Path(__file__).parent
    others = [entry for entry in sys.path if Path(entry).absolute() != here]
    spec = importlib.machinery.PathFinder.find_spec("http", others)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["http"] = module
    spec.loader.exec_module(module)


if __name__ == "http":
    _stand_aside()
elif __name__ == "__main__":
    import http_run

    sys.exit(http_run.main(__doc__ or ""))
