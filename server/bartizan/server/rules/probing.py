"""Tries a rule before it is in force: on a few ordinary texts, or on those that somebody gives."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Ask, Failure
from bartizan.plugins.rules import Mode, Rule, RuleSet, Stage
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.live import LiveRules, make_live

ORDINARY = (
    "Could you tell me when my order will arrive?",
    "Thank you, that is all for today.",
    "The meeting was moved to the afternoon, as two of us are travelling.",
    "Please write a short note that thanks the team for its work this week.",
    "What is the difference between a list and a tuple?",
    "The report is ready; the figures of the last quarter are on the second page.",
    "I would like to change the colour of the button from blue to green.",
    "It rained all morning, so we stayed inside and played cards.",
    "Which of these two plans costs less over a year?",
    "The test passed on the second try after the cache was cleared.",
)
MUCH = 0.9
PROBE_SECONDS = 5.0
START_SECONDS = 30.0
"""A plugin that takes longer to start would hold up the rules of everybody else."""

NO_PROJECT = 0
"""Whose pseudonyms a trial makes: nobody's, so that nobody can turn them back."""

EVERYWHERE = "it finds something in {found} of {asked} ordinary texts: it would match everything"
FAILED = "it failed on {asked} ordinary texts"
TOO_SLOW = "it did not finish on {asked} ordinary texts in time"
NOT_TRIED = "it was not tried on ordinary texts: there was no time left for it"


@asynccontextmanager
async def trial(rule: Rule, others: RuleSet, book: RuleBook) -> AsyncIterator[LiveRules]:
    """Makes a rule ready to judge on its own, enforced and inline, with the members it combines.

    Raises ConfigError if it names another rule in vain or its plugin cannot be had.
    """
    _check_operator_keys(rule, book)
    names = set(rule.when.rules()) if rule.when is not None else set()
    members = [one for one in others if one.id in names and one.id != rule.id]
    tried = rule.changed(mode=Mode.ENFORCE, stage=Stage.INLINE, after=(), sample=1.0)
    live = await _ready(RuleSet((*members, tried)).check(), book)
    try:
        yield live
    finally:
        await live.retire()


async def _ready(rules: RuleSet, book: RuleBook) -> LiveRules:
    try:
        async with asyncio.timeout(START_SECONDS):
            return await make_live(
                rules,
                book.pool,
                hash_key=book.hash_key,
                vault=book.vault(NO_PROJECT),
                metrics=book.unheard,
                tolerant=False,
            )
    except TimeoutError:
        problem = f"the plugin did not start within {START_SECONDS:g} seconds; try again later"
        raise ConfigError("PLUGIN_START_FAILED", problem) from None


def _check_operator_keys(rule: Rule, book: RuleBook) -> None:
    """Raises ConfigError for a rule of a project that reaches beyond the texts it is shown."""
    house = book.house.rules.by_id.get(rule.id)
    if not rule.plugin or (house is not None and house.config == rule.config):
        return
    forbidden = book.registry.config_type(rule.plugin).operator_keys & rule.config.keys()
    if forbidden:
        names = ", ".join(f"'{key}'" for key in sorted(forbidden))
        raise ConfigError(
            "OPERATOR_ONLY",
            f"rule '{rule.id}': config: only the server's rules file may set {names}",
            field="config",
        )


async def warnings_of(
    rule: Rule, others: RuleSet, book: RuleBook, seconds: float = PROBE_SECONDS
) -> Sequence[str]:
    """Returns what the author of a rule may want to think about; raises ConfigError.

    The rule is made ready in any case, and tried for so many seconds at most.
    """
    async with trial(rule, others, book) as live:
        return await warned(rule, live, seconds)


async def warned(rule: Rule, live: LiveRules, seconds: float) -> Sequence[str]:
    """Returns what the author of a rule may want to think about, given its trial."""
    if seconds <= 0:
        return [NOT_TRIED]
    roles = rule.where.roles or (Role.USER, Role.ASSISTANT, Role.TOOL_RESULT)
    texts = [Text(role, value) for role in roles for value in ORDINARY]
    judgement = await live.judge(texts, None, Ask(frozenset({rule.id}), seconds))
    failures = {report.failure for report in judgement.reports} - {None}
    if failures:
        told = TOO_SLOW if failures == {Failure.TIMEOUT} else FAILED
        return [told.format(asked=len(texts))]
    if len(judgement.decisions) >= MUCH * len(texts):
        return [EVERYWHERE.format(found=len(judgement.decisions), asked=len(texts))]
    return []
