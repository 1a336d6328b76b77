"""Everything else: what the package `apprise` can reach. An optional extra."""

import asyncio
import importlib
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from bartizan.alerts.notifiers.mail_text import plain_text
from bartizan.alerts.notifiers.secret import (
    Secret,
    check_sources,
    given,
    in_file,
    in_variable,
    sources_of,
)
from bartizan.alerts.notifiers.wording import clean, message_of
from bartizan.plugins.config import PluginConfig, missing_package
from bartizan.plugins.notification import (
    Cause,
    Delivered,
    Notification,
    Permanent,
    Retryable,
    Severity,
    Status,
)

TYPES: Mapping[Severity, str] = {
    Severity.CRITICAL: "failure",
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
}
MAX_LINES = 20
MAX_THREADS = 4


class AppriseConfig(PluginConfig):
    """The configuration of the notifier `apprise`."""

    # Its addresses can make the server write files, run commands and reach any host.
    operator_keys = sources_of("urls") | {"urls"}
    secret_keys = frozenset({"urls"})

    urls: SecretStr | None = given("Apprise's addresses, one a line: `ntfy://…`.")
    urls_file: Path | None = in_file("urls")
    urls_env: str | None = in_variable("urls")
    timeout_ms: int = Field(
        20_000, ge=100, le=60_000, description="How long one delivery may take."
    )

    @model_validator(mode="after")
    def _has_its_urls(self) -> Self:
        check_sources(self, "urls")
        return self


class Apprise:
    """Hands the text of a notification to apprise, which says yes or no and nothing more.

    A no is tried again. Checks of addresses and certificates are apprise's own.
    """

    Config = AppriseConfig

    def __init__(self, config: AppriseConfig, *, environ: Mapping[str, str] = os.environ) -> None:
        """Loads apprise. Raises ConfigError if it is not installed."""
        try:
            self._package: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise missing_package("notifier 'apprise'", error, "apprise") from error
        # It logs addresses, which hold passwords, and bodies that came back.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._urls = Secret(config, "urls", environ)
        self._timeout_s = config.timeout_ms / 1_000
        # Of its own: a service that hangs must not hold up the other channels.
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="apprise")

    async def notify(self, notification: Notification) -> Delivered:
        """Delivers the notification to every address. Raises Retryable or Permanent."""
        late = False
        try:
            async with asyncio.timeout(self._timeout_s):
                run = asyncio.get_running_loop().run_in_executor
                taken = await run(self._threads, self._sent, notification)
        except TimeoutError:
            taken, late = False, True
        if late:
            raise Retryable("no answer in time", cause=Cause.DEADLINE)
        if not taken:
            raise Retryable("apprise could not deliver to every address")
        return Delivered()

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _sent(self, notification: Notification) -> bool:
        apobj = self._package.Apprise()
        addresses = self._urls.text().split()
        if not addresses or not all(apobj.add(address) for address in addresses):
            raise Permanent("apprise does not know an address of 'urls'", Cause.CLIENT)
        message = message_of(notification, MAX_LINES)
        firing = notification.status is Status.FIRING
        title = clean(message.headline, 250)
        try:
            return bool(
                apobj.notify(
                    title=title,
                    body=plain_text(message),
                    notify_type=TYPES[notification.severity] if firing else "success",
                    body_format="text",
                )
            )
        except Exception:
            # Whatever a service's code raises may quote its address.
            return False
