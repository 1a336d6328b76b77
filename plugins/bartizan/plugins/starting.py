"""Lets a plugin load what it needs."""

from bartizan.plugins.config import missing_package
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.errors import BartizanError, ConfigError


async def start(plugin: Guardrail, what: str) -> None:
    """Starts a plugin, if it has anything to start. `what` names it. Raises ConfigError."""
    begin = getattr(plugin, "start", None)
    if begin is None:
        return
    try:
        await begin()
    except BartizanError:
        raise
    except ImportError as error:
        raise missing_package(what, error) from error
    # Out of a task, SystemExit would end the server.
    except (Exception, SystemExit) as error:
        # The type alone: a message may quote a secret of the configuration.
        failed = f"{what} cannot be started: {type(error).__name__}"
        raise ConfigError("PLUGIN_START_FAILED", failed) from error
