#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The example app: runs the graphs of property.json, or of ``--property``."""

import argparse
from pathlib import Path

from ten_runtime import App, TenEnv


class TavusApp(App):
    """An app with the properties of a file.

    Args:
        properties: The file, as TEN's server writes it for each channel;
            None for the app's own property.json.
    """

    # By name only: TEN aborts at positional arguments of an App.
    def __init__(self, *, properties: Path | None) -> None:
        super().__init__()
        self._properties = properties

    def on_configure(self, ten_env: TenEnv) -> None:
        if self._properties is not None:
            ten_env.init_property_from_json(
                self._properties.read_text(encoding="utf-8")
            )
        ten_env.on_configure_done()


def main() -> None:
    """Runs until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--property", type=Path, help="a file in place of property.json"
    )
    properties = parser.parse_args().property
    if properties is not None and not properties.is_file():
        parser.error(f"--property: there is no file {properties}")
    TavusApp(properties=properties).run(False)
    print("tavus: the app is closed.", flush=True)


if __name__ == "__main__":
    main()
