"""E-mail, by SMTP."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from bartizan.alerts.notifiers.mail_message import Envelope, mail_of, thread_of
from bartizan.alerts.notifiers.secret import (
    Secret,
    check_sources,
    given,
    in_file,
    in_variable,
    sources_of,
)
from bartizan.alerts.notifiers.settings import REACH_KEYS, ChannelConfig
from bartizan.alerts.notifiers.smtp import LATER, Login, Server, SmtpClient, Tls, refusal
from bartizan.plugins.notification import Delivered, Notification

ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$"
HOST = r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,250}[A-Za-z0-9])?$"
PORTS: Mapping[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}
MAX_PARTLY_SENT = 100

Mailbox = Annotated[str, Field(pattern=ADDRESS)]


class MailConfig(ChannelConfig):
    """The configuration of the notifier `email`."""

    operator_keys = REACH_KEYS | sources_of("password")
    secret_keys = frozenset({"password"})

    host: str = Field(pattern=HOST, description="The server that takes the mail.")
    port: int | None = Field(
        None, ge=1, le=65_535, description="Default: 587, with tls 465, without any 25."
    )
    tls: Tls = Field(
        "starttls",
        description="`starttls` (refused if the server offers none), `tls` from the first byte, "
        "or `none`.",
    )
    username: str = Field("", max_length=320, description="The login, if the server wants one.")
    password: SecretStr | None = given("The password of the login.")
    password_file: Path | None = in_file("password")
    password_env: str | None = in_variable("password")
    sender: Mailbox = Field(description="Who the mail comes from: `alerts@example.com`.")
    sender_name: str = Field(
        "Bartizan", max_length=60, pattern=r"^[\w .'-]*$", description="The name beside it."
    )
    recipients: tuple[Mailbox, ...] = Field(
        min_length=1, max_length=50, description="Who gets it. All see each other."
    )

    @model_validator(mode="after")
    def _has_a_safe_login(self) -> Self:
        check_sources(self, "password", required=bool(self.username))
        if self.username and self.tls == "none":
            raise ValueError("a login needs tls: its password would be read by everybody")
        if not self.username.isprintable():
            raise ValueError("a username is one line of text")
        return self


class Mail:
    """Sends a mail for each notification; those of one group form a thread.

    If the server refuses some recipients for now, the others get the mail once and the rest when
    it is tried again.
    """

    Config = MailConfig

    def __init__(
        self,
        config: MailConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        server = Server(config.host, config.port or PORTS[config.tls], config.tls)
        user, _, domain = config.sender.rpartition("@")
        self._envelope = Envelope(
            Address(config.sender_name, user, domain), tuple(dict.fromkeys(config.recipients))
        )
        self._username = config.username
        self._sender = config.sender
        self._password = Secret(config, "password", environ)
        self._client = SmtpClient(config.dialer(), server, config.timeout_s)
        self._clock = clock
        self._partly_sent: OrderedDict[str, frozenset[str]] = OrderedDict()

    async def notify(self, notification: Notification) -> Delivered:
        """Sends a mail. Raises Retryable or Permanent."""
        mail = mail_of(notification, self._envelope, self._clock())
        identity = str(mail["Message-ID"])
        everybody = self._envelope.recipients
        had_it = self._partly_sent.get(identity, frozenset())
        wanted = [one for one in everybody if one not in had_it]
        login = await self._login()
        refused = await self._client.send(self._sender, wanted, mail.as_bytes(), login)
        have_it = had_it | (set(wanted) - refused.keys())
        told = f"{len(refused)} of {len(everybody)} recipients"
        later = [code for code in refused.values() if code in LATER]
        if later or not have_it:
            self._remember(identity, have_it)
            raise refusal(told, (later or list(refused.values()))[0])
        self._partly_sent.pop(identity, None)
        return Delivered(thread_of(notification, mail), f"{told} refused" if refused else "")

    async def aclose(self) -> None:
        """Holds nothing."""

    async def _login(self) -> Login | None:
        if not self._username:
            return None
        password = await asyncio.to_thread(self._password.reveal, ascii_only=False)
        return Login(self._username, password)

    def _remember(self, identity: str, had_it: frozenset[str]) -> None:
        self._partly_sent[identity] = had_it
        if len(self._partly_sent) > MAX_PARTLY_SENT:
            self._partly_sent.popitem(last=False)
