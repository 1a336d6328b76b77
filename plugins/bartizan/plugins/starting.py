"""Lets a plugin load what it needs."""

from bartizan.plugins.config import missing_package
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.errors import BartizanError, ConfigError
from bartizan.plugins.rules import Rule


async def start(plugin: Guardrail, rule: Rule) -> None:
    """Starts the plugin of a rule, if it has anything to start; raises ConfigError."""
    begin = getattr(plugin, "start", None)
    if begin is None:
        return
    what = f"guardrail '{rule.plugin}' of rule '{rule.id}'"
    try:
        await begin()
    except BartizanError:
        raise
    except ImportError as error:
        raise missing_package(what, error) from error
    except Exception as error:
        # The type alone: a message may quote a secret of the configuration.
        failed = f"{what} cannot be started: {type(error).__name__}"
        raise ConfigError("PLUGIN_START_FAILED", failed) from error
