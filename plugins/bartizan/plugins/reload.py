"""Reads a rules file, and notices when it has changed."""

from pathlib import Path

from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import RuleSet, load_rules

Stamp = tuple[int, int, int]


class RulesFile:
    """A file with rules."""

    def __init__(self, path: Path) -> None:
        """Names the file; reads nothing."""
        self._path = path
        self._stamp: Stamp | None = None

    def load(self) -> RuleSet:
        """Returns the rules of now; raises ConfigError if they are wrong."""
        # Before the reading: what changes meanwhile is read again.
        self._stamp = self._look()
        return load_rules(self._read(), str(self._path))

    def changed(self) -> bool:
        """Tells whether the file is another one than at the last `load`, good or bad."""
        return self._look() != self._stamp

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError("RULES_UNREADABLE", f"{self._path}: {why}") from None

    def _look(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size)
