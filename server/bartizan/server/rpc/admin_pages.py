"""Pages of the lists of the admin service."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from bartizan.server.store.paging import PageTokens, page_size

T = TypeVar("T")

DEFAULT_SIZE = 50
MAX_SIZE = 1_000


class ListRequest(Protocol):
    """What the requests for all lists have."""

    page_size: int
    page_token: str


class Page(Generic[T]):
    """One page of a list.

    Attributes:
        position: of the last item before the page; empty for the first page.
        limit: how many rows to read; one more than fit tells whether there is another page.
    """

    def __init__(
        self,
        tokens: PageTokens,
        query: str,
        request: ListRequest,
        position_of: Callable[[T], Sequence[str]],
    ) -> None:
        self._tokens = tokens
        self._query = query
        self._size = page_size(request.page_size, DEFAULT_SIZE, MAX_SIZE)
        self._position_of = position_of
        token = request.page_token
        self.position = tokens.open(query, token) if token else ()
        self.limit = self._size + 1

    def cut(self, rows: Sequence[T]) -> tuple[Sequence[T], str]:
        """Returns the rows of the page and the token of the next one, which is empty at the end."""
        if len(rows) <= self._size:
            return rows, ""
        items = rows[: self._size]
        return items, self._tokens.seal(self._query, self._position_of(items[-1]))
