"""Secrets: API keys, private keys, tokens, and passwords in URLs and connection strings."""

import asyncio
import threading
from collections.abc import Sequence

from bartizan.guardrails.engine.looking import Looks
from bartizan.guardrails.engine.secret_scan import SecretScan
from bartizan.guardrails.secrets_config import Allowed, SecretsConfig
from bartizan.guardrails.secrets_detectors import detectors, own
from bartizan.guardrails.secrets_found import Found
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 8_000
"""A closer look at this much takes about half a millisecond, as long as a switch of threads."""


class Secrets:
    """Finds secrets by their form, by their place, and by the name they are given to.

    Categories: `secret.` and the kind: `secret.github_token`. A finding covers the secret alone,
    so that what stands around it stays whole.
    """

    Config = SecretsConfig

    def __init__(self, config: SecretsConfig) -> None:
        """Makes the guardrail. It compiles its expressions at `start` or at the first check."""
        self._config = config
        self._wanted = config.wanted()
        self._allowed = Allowed(config)
        self._scan: SecretScan | None = None
        self._starting = asyncio.Lock()
        self._looks = Looks("secrets", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Compiles the expressions. Takes a tenth of a second."""
        async with self._starting:
            if self._scan is None:
                self._scan = await asyncio.to_thread(self._compiled)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the secrets in each text, in the order of the texts."""
        scan = await self._started()
        return await self._looks.at_candidates([text.value for text in texts], scan.candidates)

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    async def _started(self) -> SecretScan:
        if self._scan is None:
            await self.start()
        assert self._scan is not None
        return self._scan

    def _compiled(self) -> SecretScan:
        named = [own(one.name, one.pattern) for one in self._config.formats]
        return SecretScan([*detectors(self._wanted), *named])

    def _look(self, value: str, gone: threading.Event) -> list[Finding]:
        assert self._scan is not None
        found = self._scan.find(value, gone)
        return [_finding(one) for one in found if self._counts(value, one)]

    def _counts(self, value: str, one: Found) -> bool:
        return one.category in self._wanted and value[one.start : one.end] not in self._allowed


def _finding(one: Found) -> Finding:
    code = f"SECRET_BY_{one.basis.name}"
    return Finding(f"secret.{one.category}", one.score, one.start, one.end, code)
