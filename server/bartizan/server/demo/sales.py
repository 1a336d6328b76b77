"""The sales assistant: looks contacts up, drafts e-mails, finds dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from bartizan.server.demo.people import SELLERS
from bartizan.server.demo.prices import GPT_4O_MINI, HAIKU
from bartizan.server.demo.scene import Agent, Scene
from bartizan.server.demo.script import Turn

AGENT = Agent(
    "sales-assistant",
    (HAIKU, GPT_4O_MINI),
    "You help an account executive. Look contacts up in the CRM, draft short e-mails without "
    "superlatives, and find dates. Send nothing without being told to.",
    780,
    ("sales-1", "sales-2"),
)


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody in the CRM."""

    name: str
    company: str
    phone: str
    note: str

    @property
    def email(self) -> str:
        """An address that nobody can own."""
        return (
            f"{self.name.split()[0].lower()}@{self.company.lower().replace(' ', '-')}.example.com"
        )


CONTACTS = (
    Contact(
        "Dana Whitfield", "Harbor Freight Lines", "+1 212 555 0136", "renewal in March, 240 seats"
    ),
    Contact("Emil Strand", "Nordlys Energi", "+1 646 555 0150", "asked for a security review"),
    Contact("Ruth Abara", "Cedar Clinic", "(718) 555-0129", "budget approved, wants a pilot"),
    Contact("Nadia Petrov", "Lakeside Hotels", "(917) 555-0180", "compares us with two others"),
    Contact("Samuel Osei", "Gridline Power", "+1 929 555 0114", "pilot ends on the 30th"),
    Contact("Claire Dubois", "Atelier Nord", "+1 917 555 0162", "wants prices in euros"),
    Contact("Marcus Hale", "Stonebridge Bank", "(212) 555-0190", "legal has questions on data"),
    Contact("Victor Chen", "Brightline Foods", "+1 347 555 0174", "met at the fair, prefers calls"),
)
CHANGES = (
    "Make it shorter and drop the phone number.",
    "Less formal, please, they are on first-name terms with us.",
    "Add that the pilot is free of charge for 30 days.",
    "Good. Now the same in German.",
)
DATES = ("Tuesday 10:00", "Wednesday 14:30", "Thursday 09:15", "Friday 11:00")


def follow_up(rng: Random) -> Iterator[Turn]:
    """Drafts a follow-up, and changes it on request."""
    scene, contact = begin(rng)
    scene.ask(
        rng.choice(
            (
                f"Draft a follow-up to {contact.name} at {contact.company}.",
                f"I met {contact.name} yesterday. Write a short mail to thank them.",
            )
        )
    )
    look_up(scene, contact, contact.note)
    draft = (
        f"To: {contact.email}\n\nDear {contact.name.split()[0]},\n\nthank you for your time. As "
        f"agreed I will send the offer by Friday. You reach me at {scene.person.phone}.\n\n"
        f"Best wishes\n{scene.person.name}"
    )
    scene.call("draft_email", {"to": contact.email, "body": draft}, '{"status": "saved"}', 0.2)
    yield scene.answer(f"The draft to {contact.email} is in your outbox.")
    scene.ask(rng.choice(CHANGES))
    scene.call("draft_email", {"to": contact.email, "body": "…"}, '{"status": "updated"}', 0.2)
    yield scene.answer("Done. Have a look before you send it.")


def meeting(rng: Random) -> Iterator[Turn]:
    """Finds a date; the calendar says no once."""
    scene, contact = begin(rng)
    first, second = rng.sample(DATES, 2)
    scene.ask(f"Find 30 minutes with {contact.name} next week and invite them at {contact.email}.")
    scene.call("free_slots", {"days": 5}, f'{{"slots": ["{first}", "{second}"]}}', 0.4)
    invite = {"with": contact.email, "at": first}
    if rng.random() < 0.5:
        scene.call_fails("invite", invite, "conflict", "the slot was taken meanwhile", 0.3)
        invite["at"] = second
    scene.call("invite", invite, '{"status": "sent"}', 0.5)
    yield scene.answer(f"{contact.name} is invited for {invite['at']}.")


def briefing(rng: Random) -> Iterator[Turn]:
    """Prepares a call."""
    scene, contact = begin(rng)
    scene.ask(
        rng.choice(
            (
                f"I have {contact.company} on the phone in five minutes. What do I need to know?",
                f"Brief me on {contact.company}, I see {contact.name} this afternoon.",
            )
        )
    )
    look_up(scene, contact, contact.note)
    deal = f'{{"amount": {rng.randrange(8, 90) * 1_000}, "stage": "proposal"}}'
    scene.call("open_deals", {"company": contact.company}, deal, 0.4)
    yield scene.answer(
        f"Talk to {contact.name} ({contact.phone}). Last note: {contact.note}. The proposal is out "
        "and has not been answered."
    )
    scene.ask("Log that we spoke, and that they want an answer by Monday.")
    scene.call(
        "crm_note", {"company": contact.company, "text": "wants an answer by Monday"}, "ok", 0.2
    )
    yield scene.answer("Logged.")


SCENARIOS = ((follow_up, 3), (meeting, 3), (briefing, 2))


def begin(rng: Random) -> tuple[Scene, Contact]:
    """Returns a seller's conversation with the assistant, still empty, and whom it is about."""
    return Scene(rng, AGENT, rng.choice(SELLERS)), rng.choice(CONTACTS)


def look_up(scene: Scene, contact: Contact, note: str) -> None:
    """Lets the assistant find a contact in the CRM."""
    scene.call(
        "crm_lookup",
        {"company": contact.company},
        f'{{"name": "{contact.name}", "email": "{contact.email}", "phone": "{contact.phone}", '
        f'"note": "{note}"}}',
        0.35,
    )
