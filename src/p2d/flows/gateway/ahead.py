"""Work that runs in threads while its results are taken in order, within bounds and without a lost error."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Runner(Generic[_T]):
    """The thread and what it has ready; at most ``most`` in weight, but always one item."""

    def __init__(self, source: Iterable[_T], most: int, weight: Callable[[_T], int]) -> None:
        self._source = source
        self._most = most
        self._weight = weight
        self._changed = threading.Condition()
        self._ready: deque[tuple[_T, int]] = deque()
        self._held = 0
        self._is_over = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def items(self) -> Iterator[_T]:
        """Yield what was produced, in order; then raise what the source raised."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._is_over)
                if not self._ready:
                    break
                item, weight = self._ready.popleft()
                self._held -= weight
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the source at its next item and wait for the thread."""
        with self._changed:
            self._is_closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        source = iter(self._source)
        try:
            for item in source:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again where the items are consumed
            self._error = error
        finally:
            end = getattr(source, "close", None)
            try:
                if end is not None:
                    end()
            except BaseException as error:  # noqa: BLE001 - as above
                self._error = self._error or error
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _put(self, item: _T) -> bool:
        weight = self._weight(item)
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_closed or not self._ready or self._held + weight <= self._most
            )
            if self._is_closed:
                return False
            self._ready.append((item, weight))
            self._held += weight
            self._changed.notify_all()
            return True


def _one(_: object) -> int:
    return 1


def ahead(source: Iterable[_T], most: int, weight: Callable[[_T], int] = _one) -> Generator[_T, None, None]:
    """Yield the items of *source*, which runs in a thread of its own from the first item asked for.

    The items that wait weigh at most *most* together, or are a single one. What *source* raises is raised
    here after the items before it. Closing the iterator closes *source*, in its thread, at its next item.
    """
    runner = _Runner(source, most, weight)
    try:
        yield from runner.items()
    finally:
        runner.close()


def side_by_side(work: Callable[[_T], _R], items: Iterable[_T], at_once: int) -> Generator[_R, None, None]:
    """Yield what *work* returns for each of *items*, in their order; *at_once* of them are worked at a time.

    Twice as many results at most wait to be taken. What *work* raises is raised here in its place; what was
    not begun by then, or when the iterator is closed, is not begun any more.
    """
    if at_once == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(at_once, "side by side") as pool:
        running: deque[Future[_R]] = deque()
        try:
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) >= 2 * at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for one in running:
                one.cancel()
