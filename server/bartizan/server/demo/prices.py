"""What models cost: public list prices, in US dollars for a million tokens."""

from dataclasses import dataclass

VERSION = "list-2026-01"
"""Goes out with every span that has a cost, so that one can tell which prices it was made with."""

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """A model, its prices and how fast it answers.

    Attributes:
        name: as its provider calls it.
        provider: as in gen_ai.provider.name.
        input: dollars for a million tokens read.
        output: dollars for a million tokens written.
        cached: dollars for a million tokens read from a cache.
        first_token_s: a usual time until the first token, in seconds.
        tokens_per_s: how fast it writes after that.
    """

    name: str
    provider: str
    input: float
    output: float
    cached: float
    first_token_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `cache_read` is a part of `input`, `reasoning` a part of `output`."""

    input: int
    output: int
    cache_read: int = 0
    reasoning: int = 0


GPT_4O = Model("gpt-4o", "openai", 2.50, 10.00, 1.25, 0.55, 85)
GPT_4O_MINI = Model("gpt-4o-mini", "openai", 0.15, 0.60, 0.075, 0.40, 110)
EMBEDDING = Model("text-embedding-3-small", "openai", 0.02, 0.0, 0.02, 0.12, 1_000)
SONNET = Model("claude-sonnet-4", "anthropic", 3.00, 15.00, 0.30, 0.90, 70)
HAIKU = Model("claude-3-5-haiku", "anthropic", 0.80, 4.00, 0.08, 0.50, 95)
GEMINI_PRO = Model("gemini-2.5-pro", "gcp.gemini", 1.25, 10.00, 0.31, 1.40, 120)
GEMINI_FLASH = Model("gemini-2.5-flash", "gcp.gemini", 0.30, 2.50, 0.075, 0.35, 180)

MODELS = (GPT_4O, GPT_4O_MINI, EMBEDDING, SONNET, HAIKU, GEMINI_PRO, GEMINI_FLASH)


def cost_usd(model: Model, usage: Usage) -> float:
    """Returns the price of one call; what came from a cache is not paid for twice."""
    fresh = usage.input - usage.cache_read
    parts = fresh * model.input + usage.cache_read * model.cached + usage.output * model.output
    return parts / MILLION
