"""The order of things: which conversation goes on when. The same seed gives the same traffic."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count
from random import Random

from bartizan.server.demo import coding, incidents, research, sales, support
from bartizan.server.demo.script import Turn

Scenario = Callable[[Random], Iterator[Turn]]

OPEN_CONVERSATIONS = 60
"""So many that turns of one conversation are some seconds apart at the usual rate."""
NEARBY = 8
"""The next turn is of one of the conversations that waited longest."""
RUNAWAY_EVERY = 300

WEIGHTS: tuple[tuple[Sequence[tuple[Scenario, int]], int], ...] = (
    (support.SCENARIOS, 9),
    (coding.SCENARIOS, 3),
    (research.SCENARIOS, 4),
    (sales.SCENARIOS, 4),
    (incidents.SCENARIOS, 3),
)
OPENING: tuple[Scenario, ...] = (
    support.refund,
    research.survey,
    sales.follow_up,
    coding.fix_test,
    support.parcel,
    incidents.injection,
    support.payout,
    incidents.runaway,
    incidents.rate_limited,
    sales.meeting,
    incidents.bad_answer,
    research.broken_source,
)
"""Something of everything, for those who do not watch for long."""


def turns(seed: int) -> Iterator[Turn]:
    """Yields one turn after the other, of many conversations, without an end."""
    rng = Random(seed)  # noqa: S311 - nothing here is secret
    waiting: deque[Iterator[Turn]] = deque()
    beginnings = _conversations(rng)
    while True:
        if len(waiting) < OPEN_CONVERSATIONS:
            conversation = next(beginnings)
        else:
            waiting.rotate(-rng.randrange(NEARBY))
            conversation = waiting.popleft()
        turn = next(conversation, None)
        if turn is not None:
            waiting.append(conversation)
            yield turn


def _conversations(rng: Random) -> Iterator[Iterator[Turn]]:
    for number in count():
        # Of its own each: what one says must not depend on when the others go on.
        own = Random(rng.getrandbits(64))  # noqa: S311
        if number < len(OPENING):
            yield OPENING[number](own)
        elif number % RUNAWAY_EVERY == 0:
            yield incidents.runaway(own)
        else:
            yield _choose(rng)(own)


def _choose(rng: Random) -> Scenario:
    kinds = rng.choices([kind for kind, _ in WEIGHTS], [weight for _, weight in WEIGHTS])[0]
    return rng.choices([one for one, _ in kinds], [weight for _, weight in kinds])[0]


def all_scenarios() -> Sequence[Scenario]:
    """Returns every scenario there is."""
    named = chain.from_iterable(scenarios for scenarios, _ in WEIGHTS)
    return [*(scenario for scenario, _ in named), incidents.runaway]
