"""The words of a notification in a mail, as text and as HTML."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from bartizan.alerts.notifiers.wording import Fact, Message, moment

NAME_WIDTH = 16


def plain_text(message: Message) -> str:
    """Returns the message as plain text."""
    return "\n".join(_lines(message)) + "\n"


def html(message: Message, colour: str) -> str:
    """Returns the message as a page in which every value is escaped."""
    return _template().render(
        message=message, colour=colour, facts=list(facts(message)), moment=moment
    )


def facts(message: Message) -> Iterator[Fact]:
    """Yields what is to know, with the time after the value."""
    since = message.since
    told = list(message.facts)
    if since is not None:
        lasted = f", lasted {message.lasted}" if message.lasted else ""
        told.insert(1, Fact("Since", f"{moment(since)}{lasted}"))
    yield from told


def _lines(message: Message) -> Iterator[str]:
    yield message.headline
    if message.summary:
        yield ""
        yield from message.summary.split("\n")
    yield ""
    for name, value in facts(message):
        yield f"{name:<{NAME_WIDTH}} {value}"
    if message.links:
        yield ""
    for text, url in message.links:
        yield f"{text:<{NAME_WIDTH}} {url}"
    if message.lines:
        yield ""
    for line in message.lines:
        sign = "-" if line.is_firing else "- resolved:"
        link = f" {line.url}" if line.url else ""
        yield f"{sign} {line.text}, since {moment(line.since)}{link}"
    if message.more:
        yield f"- and {message.more} more"
    yield ""
    # Two hyphens and a space begin what mail programs take for a signature.
    yield "-- "
    yield f"Bartizan: {message.reason}"


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(Path(__file__).with_name("mail.html").read_text("utf-8"))
