"""Which rules are in force for which project, kept in step with the file and the database."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

import structlog

from bartizan.plugins.contract import Text
from bartizan.plugins.decision import Action
from bartizan.plugins.errors import BartizanError
from bartizan.plugins.judgement import ASK_ALL, Ask, Context, Judgement, NoMetrics
from bartizan.plugins.pool import PluginPool
from bartizan.plugins.pseudonyms import Pseudonyms
from bartizan.plugins.redact import Span
from bartizan.plugins.registry import guardrails
from bartizan.plugins.reload import RulesFile
from bartizan.plugins.rules import RuleSet
from bartizan.server.metrics import Metrics
from bartizan.server.rules.counted import Counted
from bartizan.server.rules.documents import StoredRule, effective
from bartizan.server.rules.live import LiveRules, make_live

log = structlog.get_logger(__name__)

Revision = int
LoadOwn = Callable[[Revision], Awaitable[Sequence[StoredRule] | None]]
"""Returns the latest revision of every rule of every project; None if none is newer than that."""


def default_rules() -> Path:
    """Returns the rules that come with the guardrails."""
    return Path(str(resources.files("bartizan.guardrails") / "default_rules.yaml"))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is in force for a project, and the revisions that it was made from."""

    live: LiveRules
    revisions: tuple[Revision, ...]
    problems: Mapping[str, str]


class RuleBook:
    """The rules of the server's file, for every project, under the rules of its own."""

    def __init__(
        self,
        path: Path,
        load_own: LoadOwn,
        hash_key: bytes,
        metrics: Metrics,
        vault_key: bytes | None = None,
    ) -> None:
        """Names the sources; reads nothing. Without a vault's key there are no pseudonyms."""
        self.path = path
        self.registry = guardrails()
        self.pool = PluginPool(self.registry)
        self.counted = Counted(metrics)
        self.unheard = NoMetrics()
        self.hash_key = hash_key
        self._vault_key = vault_key
        self._file = RulesFile(path)
        self._load_own = load_own
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._house: LiveRules | None = None
        self._own: Sequence[StoredRule] = ()
        self._revision = 0
        self._entries: dict[int, _Entry] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Loads everything; raises ConfigError if the file is wrong or a plugin of it missing."""
        async with self._turn:
            self._house = await self._live(self._file.load(), None, tolerant=False)
            self._metrics.rules_reload_failed.set(0)
            log.info("rules in force", file=str(self.path))
            await self._take_own(await self._load_own(0) or ())

    def now(self, project_id: int) -> LiveRules:
        """Returns what is in force for a project at this moment."""
        entry = self._entries.get(project_id)
        return entry.live if entry is not None else self.house

    def of(self, project_id: int) -> "ProjectRules":
        """Returns the rules of a project, whatever they become."""
        return ProjectRules(self, project_id)

    def vault(self, project_id: int) -> Pseudonyms | None:
        """Returns what makes and reads the pseudonyms of a project; None without a vault's key."""
        if self._vault_key is None:
            return None
        return Pseudonyms(self._vault_key, str(project_id))

    def problems(self, project_id: int) -> Mapping[str, str]:
        """Returns by id why rules are not in force as they are written."""
        entry = self._entries.get(project_id)
        return {**self.now(project_id).problems, **(entry.problems if entry is not None else {})}

    @property
    def house(self) -> LiveRules:
        """The rules of the server's file."""
        if self._house is None:
            raise RuntimeError("start() comes first")
        return self._house

    async def poll_file(self) -> None:
        """Takes over a changed file; a bad one is complained of and changes nothing."""
        async with self._turn:
            if not self._file.changed():
                return
            try:
                live = await self._live(self._file.load(), None, tolerant=False)
            except BartizanError as error:
                self._metrics.rules_reload_failed.set(1)
                log.error("the rules file is bad; the last good rules stay", problem=error.message)
                return
            old, self._house = self.house, live
            self._metrics.rules_reload_failed.set(0)
            log.info("rules in force", file=str(self.path))
            try:
                await self._take_own(self._own, anew=True)
            finally:
                self._retire([old])

    async def poll_own(self) -> None:
        """Takes over what has changed in the database."""
        async with self._turn:
            rules = await self._load_own(self._revision)
            if rules is not None:
                await self._take_own(rules)

    async def aclose(self) -> None:
        """Lets all plugins go after the calls under way. May come before `start`, and twice."""
        entries, self._entries = self._entries, {}
        house, self._house = self._house, None
        self._retire(entry.live for entry in entries.values())
        self._retire([house] if house is not None else [])
        await asyncio.gather(*self._retiring)

    async def _take_own(self, rules: Sequence[StoredRule], *, anew: bool = False) -> None:
        """Makes the entries of the projects whose rules are not those of before, or all `anew`."""
        entries: dict[int, _Entry] = {}
        try:
            for project_id, group in groupby(sorted(rules, key=_project), key=_project):
                own = [one for one in group if one.document is not None]
                revisions = tuple(one.revision for one in own)
                before = self._entries.get(project_id)
                if before is not None and before.revisions == revisions and not anew:
                    entries[project_id] = before
                elif own:
                    entries[project_id] = await self._entry(project_id, own, revisions)
        except BaseException:
            # Who asked for it may have gone away in the middle.
            self._retire_all(entries, but=self._entries)
            raise
        old, self._entries, self._own = self._entries, entries, rules
        self._revision = max((one.revision for one in rules), default=0)
        self._retire_all(old, but=entries)

    async def _entry(
        self, project_id: int, own: Sequence[StoredRule], revisions: tuple[Revision, ...]
    ) -> _Entry:
        found = effective(self.house.rules, own)
        for rule_id, problem in found.problems.items():
            log.error("a stored rule cannot be read", rule=rule_id, problem=problem)
        live = await self._live(found.rules, self.vault(project_id), tolerant=True)
        return _Entry(live, revisions, found.problems)

    async def _live(self, rules: RuleSet, vault: Pseudonyms | None, *, tolerant: bool) -> LiveRules:
        return await make_live(
            rules,
            self.pool,
            hash_key=self.hash_key,
            vault=vault,
            metrics=self.counted,
            tolerant=tolerant,
        )

    def _retire_all(self, entries: Mapping[int, _Entry], but: Mapping[int, _Entry]) -> None:
        kept = set(map(id, but.values()))
        self._retire(entry.live for entry in entries.values() if id(entry) not in kept)

    def _retire(self, replaced: Iterable[LiveRules]) -> None:
        for live in replaced:
            task = asyncio.create_task(live.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


class ProjectRules:
    """The rules of one project: at each call those of that moment."""

    def __init__(self, book: RuleBook, project_id: int) -> None:
        self._book = book
        self._project_id = project_id

    async def judge(
        self,
        texts: Sequence[Text],
        contexts: Sequence[Context] | None = None,
        ask: Ask = ASK_ALL,
    ) -> Judgement:
        """Returns what the inline rules say about the texts."""
        return await self._now().judge(texts, contexts, ask)

    def redact(self, value: str, spans: Iterable[Span]) -> str:
        """Returns a value without the text of the spans, as a judgement would replace it."""
        return self._now().redact(value, spans)

    def found(self, rule: str, action: Action, shadow: bool) -> None:
        """Counts a finding of a judgement that did not count its own."""
        self._now().found(rule, action, shadow)

    def _now(self) -> LiveRules:
        return self._book.now(self._project_id)


def _project(rule: StoredRule) -> int:
    return rule.project_id
