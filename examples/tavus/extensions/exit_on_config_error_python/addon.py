#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Registers the extension with the TEN runtime."""

from ten_runtime import Addon, TenEnv, register_addon_as_extension


@register_addon_as_extension("exit_on_config_error_python")
class ExitOnConfigErrorExtensionAddon(Addon):
    """Makes instances of the extension, one per graph node."""

    def on_create_instance(
        self, ten_env: TenEnv, name: str, context: object
    ) -> None:
        # pylint: disable=import-outside-toplevel
        from .extension import ExitOnConfigErrorExtension

        ten_env.on_create_instance_done(
            ExitOnConfigErrorExtension(name), context
        )
