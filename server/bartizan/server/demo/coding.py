"""The coding agent: reads, edits, runs the tests, and goes round until they pass."""

from collections.abc import Iterator
from random import Random

from bartizan.server.demo.people import DEVELOPERS
from bartizan.server.demo.prices import GPT_4O, SONNET
from bartizan.server.demo.scene import Agent, Scene
from bartizan.server.demo.script import Turn

AGENT = Agent(
    "coding-agent",
    (SONNET, SONNET, GPT_4O),
    "You are a coding agent in the user's checkout. Read before you edit. Make the smallest change "
    "that works, run the tests after each, and stop when they pass. Say what you did in two "
    "sentences.",
    1_850,
    ("dev-laptop-3", "dev-laptop-7", "ci-runner-2"),
    ("development", "development", "ci"),
)

WORKSPACES = ("checkout-service", "billing-api", "mobile-app", "search-indexer")

FILES = {
    "checkout-service": (
        "cart/totals.py",
        "def total(lines, voucher=None):\n"
        "    amount = sum(line.price * line.count for line in lines)\n"
        "    if voucher:\n"
        "        amount -= amount * voucher.percent\n"
        "    return round(amount, 2)\n",
        "test_voucher_never_below_zero",
    ),
    "billing-api": (
        "billing/invoice.py",
        "class Invoice:\n"
        "    def due(self, today):\n"
        "        return self.issued + timedelta(days=30) < today\n"
        "\n"
        "    def late_fee(self, today):\n"
        "        return self.amount * 0.02 if self.due(today) else 0\n",
        "test_late_fee_on_last_day",
    ),
    "mobile-app": (
        "src/session/refresh.ts",
        "export async function refresh(token: Token): Promise<Token> {\n"
        "  if (!token.expired()) return token;\n"
        "  const next = await api.post('/token', { refresh: token.refresh });\n"
        "  return Token.from(next);\n"
        "}\n",
        "refreshes once when called twice",
    ),
    "search-indexer": (
        "indexer/batch.py",
        "def batches(documents, size=500):\n    batch = []\n    for document in documents:\n"
        "        batch.append(document)\n        if len(batch) == size:\n            yield batch\n"
        "            batch = []\n",
        "test_last_batch_is_not_lost",
    ),
}
PLANS = (
    "The assertion says that the last case is missed. I will change the condition.",
    "Two call sites depend on this. I will keep the signature and fix the body.",
    "The rounding happens too early. I will move it to the end.",
    "The branch is never taken when the list is empty. I will cover that first.",
)
FAILURES = (
    "AssertionError: expected 0.0, got -4.5",
    "AssertionError: lists differ: 499 != 500",
    "TypeError: unsupported operand type(s) for -: 'NoneType' and 'int'",
    "AssertionError: refresh was called 2 times, expected 1",
)
DONE = (
    "All tests pass. The last case was cut off by a comparison that should have been inclusive; I "
    "changed it and added a test for the boundary.",
    "Fixed: the value is rounded once, at the end, and the new test covers the case you described.",
    "The tests are green. I touched one function and left its callers as they are.",
)


def begin(rng: Random) -> Scene:
    """Returns a developer's conversation with the coding agent, still empty."""
    return Scene(rng, AGENT, rng.choice(DEVELOPERS), rng.choice(WORKSPACES))


def fix_test(rng: Random) -> Iterator[Turn]:
    """Makes a failing test pass, in two to six rounds."""
    workspace = rng.choice(WORKSPACES)
    scene = Scene(rng, AGENT, rng.choice(DEVELOPERS), workspace)
    path, source, test = FILES[workspace]
    scene.ask(
        rng.choice(
            (
                f"`{test}` fails since this morning. Find out why and fix it, please.",
                f"CI is red on {workspace}: `{test}`. Can you look at it?",
                f"I broke `{test}` with my last commit to {path}. Do not touch the test.",
            )
        )
    )
    scene.call("read_file", {"path": path}, source, 0.02)
    for _ in range(rng.randrange(2, 7)):
        _round(scene, path, test, passes=False)
    _round(scene, path, test, passes=True)
    yield scene.answer(rng.choice(DONE), "bugfix")
    scene.ask(f"Nice. Write the commit message for {path}, and mention me as co-author.")
    person = scene.person
    yield scene.answer(
        f"Fix the boundary in {path}\n\nThe last case was missed.\n\n"
        f"Co-authored-by: {person.name} <{person.email}>"
    )


def add_field(rng: Random) -> Iterator[Turn]:
    """Adds a field in three files; one edit does not apply at first."""
    workspace = rng.choice(WORKSPACES)
    scene = Scene(rng, AGENT, rng.choice(DEVELOPERS), workspace)
    path, source, test = FILES[workspace]
    name = rng.choice(("currency", "locale", "delivered_at", "reference"))
    scene.ask(f"Add an optional `{name}` to the API response, with a test and a line in the docs.")
    for file in (path, "docs/api.md"):
        scene.call(
            "read_file", {"path": file}, source if file == path else "# API\n\n## Fields\n", 0.02
        )
    edit = {"path": path, "find": f"{name}: None", "replace": f"{name}: str | None = None"}
    scene.call_fails("edit_file", edit, "no_match", "the text to replace occurs 0 times", 0.02)
    scene.call("edit_file", edit | {"find": "amount"}, "1 replacement", 0.03)
    scene.call("edit_file", {"path": "docs/api.md", "append": f"- `{name}`: optional"}, "ok", 0.03)
    scene.call("run_tests", {"filter": test}, "14 passed in 3.21s", 3.8)
    yield scene.answer(f"`{name}` is in the response, null by default, tested and documented.")


def upgrade(rng: Random) -> Iterator[Turn]:
    """Raises a dependency, with a test run that takes too long."""
    scene = begin(rng)
    package = rng.choice(("pydantic", "sqlalchemy", "httpx", "react-query"))
    scene.ask(f"Upgrade {package} to the newest minor version and make the build pass.")
    scene.call(
        "run_command",
        {"command": f"grep -rn {package} ."},
        f"requirements.txt:7:{package}>=2.1",
        0.4,
    )
    scene.call("edit_file", {"path": "requirements.txt", "line": 7}, "1 replacement", 0.02)
    scene.call_fails("run_tests", {}, "timeout", "the test run was stopped after 120 s", 120.0)
    scene.call("run_tests", {"filter": "unit"}, "412 passed, 3 skipped in 41.70s", 43.0)
    yield scene.answer(
        f"{package} is upgraded and the unit tests pass. The full run took longer than two minutes "
        "and was stopped; it needs a look at the integration tests.",
        "upgrade",
    )


def support_case(rng: Random) -> Iterator[Turn]:
    """Looks into a customer's case: the log that it reads holds personal data."""
    scene = begin(rng)
    who = f"{rng.choice(('maya', 'owen', 'grace'))}.{rng.randrange(10, 99)}@example.com"
    scene.ask("A customer cannot pay since the release. The log is in /tmp/pay.log, what happens?")
    scene.call(
        "read_file",
        {"path": "/tmp/pay.log", "tail": 40},  # noqa: S108 - a path that nobody opens
        f"12:04:11 INFO  login user={who} ip=203.0.113.{rng.randrange(2, 250)}\n"
        "12:04:19 WARN  card 4000 0000 0000 0002 declined code=do_not_honor\n"
        "12:04:20 ERROR retry without idempotency key, giving up\n",
        0.05,
    )
    scene.call(
        "search_code", {"query": "idempotency_key"}, "payments/client.py:88: headers = {}", 0.6
    )
    yield scene.answer(
        "The bank declined the card, and our retry is sent without an idempotency key, so it is "
        "refused. `payments/client.py` line 88 drops the header on the second attempt."
    )


SCENARIOS = ((fix_test, 4), (add_field, 2), (upgrade, 1), (support_case, 2))


def _round(scene: Scene, path: str, test: str, *, passes: bool) -> None:
    rng = scene.rng
    scene.think(rng.choice(PLANS))
    scene.call("edit_file", {"path": path, "line": rng.randrange(2, 9)}, "1 replacement", 0.03)
    verdict = "1 passed in 0.42s" if passes else f"1 failed\n{rng.choice(FAILURES)}"
    scene.call("run_tests", {"filter": test}, verdict, 2.4)
