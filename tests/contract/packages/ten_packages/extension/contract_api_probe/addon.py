#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The same probe, behind a manifest that declares types."""

from ten_runtime import Addon, TenEnv, register_addon_as_extension

from ..contract_probe.addon import MAKERS


@register_addon_as_extension("contract_api_probe")
class ContractApiProbeAddon(Addon):
    """Makes what MAKERS says."""

    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        ten_env.on_create_instance_done(MAKERS[""](name), context)
