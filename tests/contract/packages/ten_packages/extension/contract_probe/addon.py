#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""An addon whose extensions are given by the test that runs."""

from collections.abc import Callable

from ten_runtime import (
    Addon,
    AsyncExtension,
    TenEnv,
    register_addon_as_extension,
)

# What to make, by node name; "" is for every other name.
MAKERS: dict[str, Callable[[str], AsyncExtension]] = {}


@register_addon_as_extension("contract_probe")
class ContractProbeAddon(Addon):
    """Makes what MAKERS says."""

    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        make = MAKERS.get(name) or MAKERS[""]
        ten_env.on_create_instance_done(make(name), context)
