"""The research agent: searches, fetches several pages at once, ranks them and sums them up."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from bartizan.server.demo.people import ANALYSTS
from bartizan.server.demo.prices import GEMINI_FLASH, GEMINI_PRO, Usage
from bartizan.server.demo.scene import Agent, Scene, tokens_of
from bartizan.server.demo.script import Line, Step, Turn

AGENT = Agent(
    "research-agent",
    (GEMINI_PRO,),
    "You research a question on the web and answer it with sources. Use at least two that do not "
    "depend on each other. Say what you could not find out.",
    640,
    ("research-1",),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page that the agent finds."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Topic:
    """A question with what there is to find about it."""

    question: str
    query: str
    pages: tuple[Page, ...]
    answer: str


TOPICS = (
    Topic(
        "How fast are heat pumps spreading in northern Europe, and what slows them down?",
        "heat pump installations northern europe growth barriers",
        (
            Page(
                "https://energy.example.org/heat-pumps",
                "Sales rose by a third within two years and then fell back as interest rates "
                "climbed. Two in three new houses have one.",
            ),
            Page(
                "https://stats.example.net/housing",
                "In old multi-storey houses the share stays below one in twenty; radiators are too "
                "small and risers are shared.",
            ),
            Page(
                "https://trade.example.com/installers",
                "Waiting times for installers are eleven weeks on average. Contact: press desk, +1 "
                "646 555 0177, press@example.com.",
            ),
        ),
        "New houses have them in two cases of three; old multi-storey houses hardly ever. What "
        "slows them down is the lack of installers (eleven weeks of waiting) and interest rates "
        "[1][3].",
    ),
    Topic(
        "What do retailers report about returns since they charge for them?",
        "paid returns retail effect on return rate",
        (
            Page(
                "https://retail.example.org/returns",
                "Where a fee was introduced, returns fell by a tenth; orders fell by three percent "
                "in the first quarter and recovered.",
            ),
            Page(
                "https://fashion.example.net/report",
                "The largest effect is on orders of several sizes of one item, which became half "
                "as common.",
            ),
            Page(
                "https://consumer.example.com/poll",
                "Of 2,140 people asked, 41 % say that they look at the return policy before they "
                "order.",
            ),
        ),
        "Returns fall by about a tenth, mostly because fewer people order several sizes [1][2]. "
        "Orders dip for a quarter and recover. I found no figures on long-term loyalty.",
    ),
    Topic(
        "Which batteries do makers of stationary storage use now?",
        "stationary storage battery chemistry market share",
        (
            Page(
                "https://grid.example.org/storage",
                "Iron phosphate cells now make up more than four fifths of new stationary storage; "
                "they last longer and need no cobalt.",
            ),
            Page(
                "https://lab.example.net/sodium",
                "Sodium-ion systems of up to 100 MWh are on trial. They cost more today and work "
                "better in the cold.",
            ),
            Page(
                "https://news.example.com/recycling",
                "Recyclers see no profit in iron phosphate without a deposit.",
            ),
        ),
        "More than four fifths of it is iron phosphate [1]; sodium-ion is on trial at up to 100 "
        "MWh [2]. Recycling is the open question [3].",
    ),
    Topic(
        "How many working days do companies lose to bad meetings?",
        "time lost in meetings survey office workers",
        (
            Page(
                "https://work.example.org/meetings",
                "Office workers sit in meetings for eleven hours a week and call a third of them "
                "useless.",
            ),
            Page(
                "https://hr.example.net/focus",
                "Firms with one day free of meetings report fewer overtime hours after a quarter.",
            ),
        ),
        "About three and a half hours a week for each person [1], most of a working day every two "
        "weeks. A day without meetings seems to help [2]; the evidence is from surveys only.",
    ),
    Topic(
        "Is the water level of the Rhine a risk for our supplies this autumn?",
        "rhine water level forecast freight autumn",
        (
            Page(
                "https://water.example.org/levels",
                "Below 78 cm at the gauge, barges load at half of their capacity or less.",
            ),
            Page(
                "https://freight.example.com/rates",
                "Freight rates tripled in the last dry autumn. Desk: +1 646 555 0166.",
            ),
            Page(
                "https://weather.example.net/outlook",
                "The outlook is for an average September and a dry October.",
            ),
        ),
        "There is some: October is forecast to be dry [3], and below 78 cm barges take half a load "
        "[1]. In the last dry autumn rates tripled [2]. Order what you need in September.",
    ),
)


FOLLOW_UPS = (
    (
        "How sure are you of the first figure?",
        "Fairly: two sources agree on its size, from surveys "
        'that do not share their data. I would quote it as "about".',
    ),
    (
        "Which of these sources would you cite in a report?",
        "The first. It names its method and its "
        "sample; the others quote figures without saying where they come from.",
    ),
    (
        "And what does that mean for the next two years?",
        "If nothing changes, slow growth. I found no forecast that I would rely on beyond that.",
    ),
)


def survey(rng: Random) -> Iterator[Turn]:
    """Answers a question from three pages, and a second one from what it has read."""
    yield from survey_of(rng, rng.choice(TOPICS))


def survey_of(rng: Random, topic: Topic) -> Iterator[Turn]:
    """The same about one topic."""
    scene = _search(rng, topic)
    scene.add(together(scene, topic.pages))
    yield _conclude(scene, topic)
    if rng.random() < 0.5:
        scene.ask("Give me that as bullet points for a slide.")
        yield scene.answer("- " + "\n- ".join(topic.answer.rstrip(".").split(". ")))
    else:
        doubt, reply = rng.choice(FOLLOW_UPS)
        scene.ask(doubt)
        yield scene.answer(reply)


def broken_source(rng: Random) -> Iterator[Turn]:
    """One page does not answer; the others have to do."""
    topic = rng.choice(TOPICS)
    scene = _search(rng, topic)
    fetched = together(scene, topic.pages)
    slow = replace(
        fetched.steps[1], seconds=10.0, outputs=(), error="timeout", message="no answer in 10 s"
    )
    scene.add(replace(fetched, steps=(fetched.steps[0], slow, *fetched.steps[2:])))
    yield _conclude(scene, topic)


def memo(rng: Random) -> Iterator[Turn]:
    """Sums up internal documents and sends the result to a colleague."""
    scene = Scene(rng, AGENT, rng.choice(ANALYSTS))
    topic = rng.choice(TOPICS)
    other = rng.choice([person for person in ANALYSTS if person != scene.person])
    scene.ask(f"Sum up what we have on this and mail it to {other.email}: {topic.question}")
    scene.retrieve(topic.query, tuple(page.text for page in topic.pages), rerank=True)
    scene.call(
        "send_mail", {"to": other.email, "subject": topic.query}, '{"status": "queued"}', 0.3
    )
    yield scene.answer(f"The summary is on its way to {other.first_name}. {topic.answer}")


SCENARIOS = ((survey, 4), (broken_source, 2), (memo, 2))


def together(scene: Scene, pages: tuple[Page, ...]) -> Step:
    """Returns the step that fetches pages at the same time and puts them before the model."""
    for page in pages:
        scene.hear("retrieved", page.text)
    fetches = tuple(scene.tool("fetch", {"url": page.url}, page.text, 0.8) for page in pages)
    return Step("read pages", "chain", scene.around(0.02), steps=fetches, together=True)


def _search(rng: Random, topic: Topic) -> Scene:
    scene = Scene(rng, AGENT, rng.choice(ANALYSTS))
    scene.ask(topic.question)
    found = "\n".join(page.url for page in topic.pages)
    scene.call("web_search", {"query": topic.query}, found, 0.7)
    return scene


def _conclude(scene: Scene, topic: Topic) -> Turn:
    """Lets a small model sum up each page, and the large one answer."""
    texts = tuple(Line("retrieved", page.text) for page in topic.pages)
    scene.add(Step("rerank", "reranker", scene.around(0.2), texts, texts))
    notes = tuple(_note(scene, page) for page in topic.pages)
    scene.add(Step("take notes", "chain", scene.around(0.02), steps=notes, together=True))
    return scene.answer(topic.answer, "cited")


def _note(scene: Scene, page: Page) -> Step:
    request = Line("user", f"Sum up in one sentence: {page.text}")
    note = Line("assistant", page.text.split(". ")[0] + ".")
    usage = Usage(tokens_of(request.text) + 8, tokens_of(note.text))
    seconds = scene.around(GEMINI_FLASH.first_token_s) + usage.output / GEMINI_FLASH.tokens_per_s
    return Step(
        f"chat {GEMINI_FLASH.name}",
        "llm",
        seconds,
        (request,),
        (note,),
        model=GEMINI_FLASH,
        usage=usage,
    )
