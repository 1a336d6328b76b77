"""Tries a rule before it is in force: on a few ordinary texts, or on those that somebody gives."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import Ask
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

EVERYWHERE = "it finds something in {found} of {asked} ordinary texts: it would match everything"
NOT_TRIED = "it did not finish on {asked} ordinary texts within {seconds:g} seconds"


@asynccontextmanager
async def trial(rule: Rule, others: RuleSet, book: RuleBook) -> AsyncIterator[LiveRules]:
    """Makes a rule ready to judge on its own, enforced and inline, with the members it combines.

    Raises ConfigError if its plugin cannot be had.
    """
    names = set(rule.when.rules()) if rule.when is not None else set()
    members = [one for one in others if one.id in names and one.id != rule.id]
    tried = rule.model_copy(
        update={"mode": Mode.ENFORCE, "stage": Stage.INLINE, "after": (), "sample": 1.0}
    )
    live = await make_live(
        RuleSet((*members, tried)),
        book.pool,
        hash_key=book.hash_key,
        metrics=book.unheard,
        tolerant=False,
    )
    try:
        yield live
    finally:
        await live.retire()


async def warnings_of(rule: Rule, others: RuleSet, book: RuleBook) -> Sequence[str]:
    """Returns what the author of a rule may want to think about; raises ConfigError."""
    roles = rule.where.roles or (Role.USER, Role.ASSISTANT, Role.TOOL_RESULT)
    texts = [Text(role, value) for role in roles for value in ORDINARY]
    async with trial(rule, others, book) as live:
        judgement = await live.judge(texts, None, Ask(frozenset({rule.id}), PROBE_SECONDS))
    if not judgement.complete:
        return [NOT_TRIED.format(asked=len(texts), seconds=PROBE_SECONDS)]
    if len(judgement.decisions) >= MUCH * len(texts):
        return [EVERYWHERE.format(found=len(judgement.decisions), asked=len(texts))]
    return []
