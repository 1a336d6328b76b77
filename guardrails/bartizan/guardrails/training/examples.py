"""What each head learns from: rows of the data, written ones, and the same after each trick."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bartizan.guardrails.engine.normalise import views
from bartizan.guardrails.training.corpus import LONGEST_CHARACTERS, Row
from bartizan.guardrails.training.evasion import SPELLINGS, TRICKS
from bartizan.guardrails.training.grammar import Grammar, Sections, read_sections

GRAMMAR = "grammar"
"""The source of what is written here."""

SYSTEM = frozenset({"own_system_prompts", "purplellama_pi_sys", "purplellama_pi_multiling_sys"})
"""Prompts of the system role, which is not scanned."""

PLANTED = frozenset({"own_embedded", "embedded_public", "bipia_train"})
CLEAN_RESULTS = frozenset(
    {
        "own_embedded_benign",
        "bipia_context_train",
        "benign:code-litestar",
        "benign:code-prefect",
        "benign:docs-logfire",
        "benign:docs-otel-collector",
        "benign:docs-otel-semconv",
        "benign:docs-prefect",
        "benign:docs-temporal",
        "benign:json-temporal-histories",
        "benign:toolbench",
        "benign:traces-openinference",
    }
)
"""What tools give back. The rest is what users write."""

TRICKED_SHARE = 0.4
"""Of the texts, how many are learned once more after a trick."""

SPELT = sorted(SPELLINGS | {"homoglyphs", "zero_width"})

LONGEST_TRICKED = 1_500
CARRIER_CHARACTERS = (300, 1_800)


@dataclass(frozen=True, slots=True)
class Written:
    """How many texts of a section to write, and what they are."""

    section: str
    count: int
    label: bool


FOR_USERS = (
    Written("attack", 7_000, True),
    Written("foreign_attack", 3_500, True),
    Written("benign", 9_000, False),
    Written("foreign_benign", 3_500, False),
)
FOR_TOOLS = (Written("document", 5_000, False),)
OF_ABUSE = (
    Written("abuse", 9_000, True),
    Written("harmless", 14_000, False),
    Written("benign", 3_000, False),
    Written("foreign_benign", 2_500, False),
    Written("document", 2_000, False),
)
OF_HATE = (
    Written("hate", 4_000, True),
    Written("polite_hate", 800, True),
    Written("insult", 2_000, False),
    Written("harmless", 9_000, False),
)
HATEFUL = frozenset(
    {"edos", "hatemoji_build", "stormfront_vicomtech", "toxigen_demos", "jigsaw_bias_templates"}
)
"""Sources whose abuse is about groups of people."""
PLANTED_COUNT = 9_000

PROFANE = re.compile(
    r"\b(?:fuck\w*|motherfuck\w*|(?:bull|horse)?shit\w*|bitch\w*|ass(?:hole|hat|wipe)s?|asses"
    r"|bastards?|cunts?|dick(?:head|s)?|cocksuck\w*|cock|puss(?:y|ies)|whores?|sluts?|douche\w*"
    r"|piss(?:ed|ing|es)?|crap\w*|damn\w*|goddamn\w*|wank\w*|twats?|pricks?|faggots?|fags?"
    r"|nigg(?:a|er)s?|hoes?|tits|titties|jizz|cum|dumbass\w*|jackass\w*|arse\w*|bollocks|bugger"
    r"|bloody hell|wtf|stfu|af|ass|dyke|retard(?:ed|s)?|spic|kike|tranny|coon)\b",
    re.IGNORECASE,
)


def for_users(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns what the head for texts of users learns from."""
    kept = [row for row in rows if row.source not in SYSTEM | PLANTED and _is_of_user(row)]
    sections = read_sections("attacks", "benign", "languages", "tools")
    return _finished(kept + list(_written(sections, FOR_USERS, seed)), seed)


def _is_of_user(row: Row) -> bool:
    return row.source not in {"own_embedded_benign", "bipia_context_train"}


def for_tools(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns what the head for results of tools and retrieved texts learns from."""
    kept = [row for row in rows if row.source in PLANTED | CLEAN_RESULTS]
    attacks = [row for row in rows if row.label and row.source not in PLANTED]
    sections = read_sections("attacks", "benign", "languages", "tools")
    documents = list(_written(sections, FOR_TOOLS, seed))
    clean = [row for row in kept if not row.label] + documents
    planted = list(_planted(sections, clean, seed))
    short = [row for row in attacks if len(row.text) <= LONGEST_TRICKED]
    return _finished(kept + documents + planted + short, seed)


def of_abuse(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns what the model of abuse learns from."""
    return _finished([*rows, *_written(_about_abuse(), OF_ABUSE, seed)], seed)


def of_hate(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns what the model of hate against groups of people learns from."""
    kept = [row for row in rows if not row.label or row.source in HATEFUL or row.kind == "hate"]
    return _finished([*kept, *_written(_about_abuse(), OF_HATE, seed)], seed)


def written_hate(seed: int) -> list[Row]:
    """Returns the texts written about groups of people, and insults that are about none."""
    about = [one for one in OF_HATE if one.section != "harmless"]
    return list(_written(_about_abuse(), about, seed))


def of_profanity(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns what the model of profanity learns from: its labels go by the words alone."""
    texts = [*rows, *_written(_about_abuse(), OF_ABUSE, seed)]
    labelled = [replace(row, label=bool(PROFANE.search(row.text))) for row in texts]
    return _finished(labelled, seed)


def _about_abuse() -> Sections:
    return read_sections("attacks", "benign", "languages", "tools", "toxicity")


def _written(sections: Sections, wanted: Sequence[Written], seed: int) -> Iterator[Row]:
    grammar = Grammar(sections, seed)
    for one in wanted:
        for text in grammar.texts(one.section, one.count):
            yield Row(text, one.label, f"{GRAMMAR}:{one.section}")


def _planted(sections: Sections, clean: Sequence[Row], seed: int) -> Iterator[Row]:
    grammar = Grammar(sections, seed + 1)
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    for place in range(PLANTED_COUNT):
        section = "foreign_attack" if place % 10 == 0 else "tool_attack"
        order = grammar.text(section)
        carrier = chance.choice(clean)
        # Whoever leaves the carrier's source out leaves this out as well.
        source = carrier.source if not carrier.source.startswith(GRAMMAR) else f"{GRAMMAR}:tool"
        yield Row(_planted_in(order, carrier.text, chance), True, source)


def _planted_in(order: str, carrier: str, chance: random.Random) -> str:
    longest = chance.randint(*CARRIER_CHARACTERS)
    start = chance.randrange(max(1, len(carrier) - longest))
    around = carrier[start : start + longest]
    way = chance.random()
    if way < 0.25:
        return order
    at = 0 if way < 0.4 else len(around) if way < 0.65 else _gap(around, chance)
    before, after = around[:at], around[at:]
    border = chance.choice((" ", " ", "\n", "\n\n", '", "', ". ", " - "))
    return f"{before}{border if before else ''}{order}{border if after else ''}{after}"


def _gap(text: str, chance: random.Random) -> int:
    at = text.find(" ", chance.randrange(len(text) + 1))
    return len(text) if at < 0 else at


def _finished(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns rows as guardrails see them, some of them a second time after a trick."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    found = [_seen(row) for row in rows]
    for row in rows:
        if chance.random() < TRICKED_SHARE and len(row.text) <= LONGEST_TRICKED:
            trick = TRICKS[chance.choice(SPELT)]
            found.append(_seen(replace(row, text=trick(row.text, chance), split="tricked")))
    return found


def _seen(row: Row) -> Row:
    return replace(row, text=views(row.text[:LONGEST_CHARACTERS])[0].text)
