"""The support agent of a web shop: orders, refunds, questions, and a human when it gets stuck."""

from collections.abc import Iterator
from random import Random

from bartizan.server.demo.articles import ARTICLES
from bartizan.server.demo.people import CUSTOMERS
from bartizan.server.demo.prices import GPT_4O, GPT_4O_MINI, HAIKU
from bartizan.server.demo.scene import Agent, Scene
from bartizan.server.demo.script import Turn

AGENT = Agent(
    "support-bot",
    (GPT_4O, GPT_4O_MINI, HAIKU),
    "You are the support agent of Northwind Outdoor, a web shop for tents, packs and boots. Be "
    "brief and kind. Look orders up before you say anything about them. Refund up to $200 on your "
    "own; above that, hand over to a human. Never promise a date that is not in the order.",
    910,
    ("support-1", "support-2"),
)

GOODS = (
    ("Ridgeline 2 tent", 249.00),
    ("Talus hiking boots", 139.95),
    ("Cirrus down jacket", 189.00),
    ("Basin 45 pack", 164.50),
    ("Ember camp stove", 58.90),
    ("Moraine trekking poles", 74.00),
)
MISHAPS = ("the zip broke on the first day", "it is the wrong size", "the box arrived empty",
           "the left one squeaks", "I changed my mind")  # fmt: skip
FAREWELLS = (
    ("Great, thank you!", "You are welcome! Is there anything else I can do for you?"),
    ("Perfect, thanks for the help.", "Gladly. Have a good time outside!"),
    ("ok thx", "Any time."),
    ("That was quick, thanks!", "Glad to hear it. I have added a note to your order."),
    (
        "Thanks. Is there a discount code for the trouble?",
        "I cannot give discounts myself, but I have put your request to the shop team.",
    ),
    (
        "Fine. Please do not send me newsletters any more.",
        "Done, you are off the list. It can take a day until that reaches every mailing.",
    ),
)


def begin(rng: Random) -> Scene:
    """Returns a conversation of a customer with the support agent, still empty."""
    return Scene(rng, AGENT, rng.choice(CUSTOMERS))


def refund(rng: Random) -> Iterator[Turn]:
    """Wants money back, and writes the card number into the chat."""
    scene, order, (thing, price) = _order(rng)
    person = scene.person
    scene.ask(
        rng.choice(
            (
                f"Hi, I ordered the {thing} ({order}) and {rng.choice(MISHAPS)}. Please refund it "
                f"to my card {person.card}.",
                f"I want my money back for {order}. The card was {person.card}, the name on it is "
                f"{person.name}.",
                f"Please cancel {order} and put ${price:.2f} back on {person.card}. You can reach "
                f"me at {person.email}.",
            )
        )
    )
    scene.call("find_order", {"order": order}, _record(scene, order, thing, price))
    if price > 200:
        ticket = f'{{"ticket": "T-{rng.randrange(4_000, 9_999)}"}}'
        scene.call("hand_over", {"team": "returns", "order": order}, ticket, 0.1)
        yield scene.answer(
            "That is above what I may refund on my own, so I have passed it to a colleague in "
            f"returns. You will hear from them at {person.email} today.",
            "handoff",
        )
        return
    scene.call(
        "refund", {"order": order, "amount": price}, '{"status": "accepted", "days": 5}', 0.6
    )
    yield scene.answer(
        f"Done, {person.first_name}: ${price:.2f} for the {thing} goes back to the card ending in "
        f"{person.card[-4:]}. It takes up to five working days."
    )
    yield _goodbye(scene)


def parcel(rng: Random) -> Iterator[Turn]:
    """Asks where the parcel is, then corrects address and telephone number."""
    scene, order, (thing, price) = _order(rng)
    person = scene.person
    scene.ask(
        rng.choice(
            (
                f"Where is my order {order}? It should have been here on Friday.",
                f"hello, any news on {order} ({thing})? Tracking has not moved for 3 days",
            )
        )
    )
    scene.call("find_order", {"order": order}, _record(scene, order, thing, price))
    track = f'{{"carrier": "UPS", "status": "in transit", "last_seen": "{person.city}"}}'
    scene.call("track_parcel", {"order": order}, track, 0.5)
    yield scene.answer(
        f"Your {thing} left our warehouse and was last seen in {person.city}. The carrier plans to "
        "deliver it tomorrow before noon."
    )
    scene.ask(f"Can the driver call me before? My number is {person.phone}.")
    scene.call("update_order", {"order": order, "phone": person.phone}, '{"status": "ok"}', 0.2)
    yield scene.answer(f"I have added {person.phone} for the driver, {person.first_name}.")
    yield _goodbye(scene)


def account(rng: Random) -> Iterator[Turn]:
    """Wants another e-mail address on the account."""
    scene = begin(rng)
    person = scene.person
    scene.ask(
        f"I lost access to my old mailbox. Please change my login to {person.email} and confirm by "
        f"text to {person.phone}."
    )
    scene.call(
        "find_customer", {"name": person.name}, f'{{"id": "{person.id}", "verified": false}}'
    )
    yield scene.answer(
        "I can do that. What was the total of your last order? Then I know it is you."
    )
    scene.ask(f"it was ${rng.choice(GOODS)[1]:.2f} I think")
    scene.call("verify_customer", {"id": person.id}, '{"verified": true}', 0.3)
    scene.call("change_email", {"id": person.id, "email": person.email}, '{"status": "ok"}', 0.3)
    yield scene.answer(f"Thank you. From now on you sign in with {person.email}.")


def payout(rng: Random) -> Iterator[Turn]:
    """Wants a refund to a bank account."""
    scene = Scene(rng, AGENT, rng.choice([person for person in CUSTOMERS if person.iban]))
    person = scene.person
    order = _order_id(rng)
    scene.ask(
        f"My card was cancelled. Can you send the refund for {order} to my bank account instead? "
        f"IBAN {person.iban}, account holder {person.name}."
    )
    scene.call("find_order", {"order": order}, _record(scene, order, *rng.choice(GOODS)))
    scene.call("bank_refund", {"order": order, "iban": person.iban}, '{"status": "accepted"}', 0.9)
    yield scene.answer("The transfer is on its way and takes two to three working days.")
    yield _goodbye(scene)


def question(rng: Random) -> Iterator[Turn]:
    """Asks something that the knowledge base answers."""
    scene = begin(rng)
    for article in rng.sample(ARTICLES, k=rng.choice((1, 2))):
        scene.ask(article.question)
        scene.retrieve(article.question, article.passages)
        yield scene.answer(article.advice)


def complaint(rng: Random) -> Iterator[Turn]:
    """Is angry, and gets a human."""
    scene, order, (thing, _) = _order(rng)
    person = scene.person
    scene.ask(
        f"This is the THIRD time I write about {order}. The {thing} is still not here and nobody "
        f"calls me back at {person.phone}. I want to talk to a person!"
    )
    scene.call("find_order", {"order": order}, '{"status": "lost", "complaints": 2}', 0.3)
    scene.call("hand_over", {"team": "escalations", "order": order, "phone": person.phone},
               '{"position": 2, "wait_minutes": 4}', 0.2)  # fmt: skip
    yield scene.answer(
        f"I am sorry, {person.first_name}, you should not have had to ask three times. A colleague "
        f"calls you at {person.phone} within ten minutes.",
        "handoff",
    )


def double_charge(rng: Random) -> Iterator[Turn]:
    """Was charged twice; the payment system does not answer at first."""
    scene, order, (_, price) = _order(rng)
    card = scene.person.card
    scene.ask(f"You charged my card {card} twice for {order}, 2 x ${price:.2f}!! Please check.")
    query = {"card_last4": card[-4:], "order": order}
    scene.call_fails("list_payments", query, "timeout", "payments did not answer in 5 s", 5.0)
    scene.call("list_payments", query,
               f'{{"payments": [{{"amount": {price}, "state": "settled"}}, '
               f'{{"amount": {price}, "state": "authorized"}}]}}', 0.7)  # fmt: skip
    yield scene.answer(
        "Only one of the two was settled. The other is a reservation, which your bank releases "
        "within three days. Nothing to do on your side."
    )


SCENARIOS = ((refund, 4), (parcel, 4), (account, 2), (payout, 1), (question, 4), (complaint, 1),
             (double_charge, 2))  # fmt: skip


def _order(rng: Random) -> tuple[Scene, str, tuple[str, float]]:
    return begin(rng), _order_id(rng), rng.choice(GOODS)


def _order_id(rng: Random) -> str:
    return f"NW-{rng.randrange(20_000, 99_999)}"


def _record(scene: Scene, order: str, thing: str, price: float) -> str:
    person = scene.person
    return (
        f'{{"order": "{order}", "item": "{thing}", "total": {price}, "customer": "{person.name}", '
        f'"email": "{person.email}", "phone": "{person.phone}", "status": "shipped"}}'
    )


def _goodbye(scene: Scene) -> Turn:
    thanks, reply = scene.rng.choice(FAREWELLS)
    scene.ask(thanks)
    return scene.answer(reply)
