"""Parts of a computation on threads, or on any `concurrent.futures.Executor`."""

import threading
from collections import deque

from .checks import check_int

__all__ = [
    "carried",
    "check_workers",
    "in_turn",
    "loss_of",
    "map_parts",
    "n_at_once",
    "row_parts",
    "run_tasks",
]

# So that nobody waits long for the slowest.
_PARTS_PER_WORKER = 4


def check_workers(workers):
    """`workers` if it is a positive int or an executor, the executor of a Dask client; raise if neither."""
    if callable(getattr(workers, "get_executor", None)):
        workers = workers.get_executor()
    if callable(getattr(workers, "submit", None)):
        return workers
    if not hasattr(workers, "__index__"):
        wanted = "an int, a concurrent.futures.Executor or a Dask client"
        raise TypeError(f"workers is {workers!r}; wanted {wanted}")
    return check_int("workers", workers, 1)


def row_parts(n_rows, workers, multiple=1):
    """(start, end) of the parts that rows are cut into for workers, all but the last a `multiple` long."""
    n_parts = 1 if workers == 1 else _PARTS_PER_WORKER * n_at_once(workers)
    size = max(-(-n_rows // (n_parts * multiple)), 1) * multiple
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def run_tasks(function, net, points, results, tasks, workers, arguments):
    """Call ``function(net, points, results, first_row, stop, *arguments)`` for each (start, end) of `tasks`.

    Threads of this process write into `results` where they lie; other executors get their rows of
    the points, and send their rows of the results back. When the user interrupts, `stop` gets an item
    and all end soon.
    """
    stop = []
    if isinstance(workers, int):

        def fill(start, end):
            function(net, points[start:end], _rows(results, start, end), start, stop, *arguments)

        _on_threads(fill, tasks, workers, stop)
        return
    here = _is_here(workers)
    calls = []
    for start, end in tasks:
        rows = _rows(results, start, end)
        if here:
            calls.append((function, net, points[start:end], rows, start, stop, *arguments))
        else:
            kinds = {name: (array.shape, array.dtype) for name, array in rows.items()}
            calls.append((_remote, function, net, points[start:end], kinds, start, *arguments))
    for (start, end), found in zip(tasks, _on_executor(workers, calls, stop)):
        for name, array in (found or {}).items():
            results[name][start:end] = array


def map_parts(function, arguments, workers):
    """The list of ``function(stop, *arguments[i])``, for results whose size is not known beforehand.

    Threads of this process share the list `stop`, which gets an item when the user interrupts; all then
    end soon.
    """
    stop = []
    if isinstance(workers, int):
        return _on_threads(function, [(stop, *given) for given in arguments], workers, stop)
    shared = stop if _is_here(workers) else []
    return list(_on_executor(workers, [(function, shared, *given) for given in arguments], stop))


def _on_threads(function, tasks, workers, stop):
    """The list of ``function(*task)``, by this thread and the others it takes to be so many.

    Each takes the next task when it is done with one. After one failed no more are begun; of several that
    failed the first one's error is raised.
    """
    left, results, errors = deque(enumerate(tasks)), [None] * len(tasks), {}

    def work():
        while left and not errors:
            try:
                i, task = left.popleft()
            except IndexError:  # another thread took the last
                return
            try:
                results[i] = function(*task)
            except BaseException as error:
                errors[i] = error
                if not isinstance(error, Exception):  # an interrupt: what others found is not wanted
                    stop.append(True)

    threads = []
    try:
        for _ in range(min(workers, len(tasks)) - 1):
            thread = threading.Thread(target=work)
            thread.start()
            threads.append(thread)
        work()
        for thread in threads:
            thread.join()
    except BaseException:
        left.clear()
        stop.append(True)
        for thread in threads:
            thread.join()
        raise
    if errors:
        raise errors[min(errors)]
    return results


def _on_executor(executor, calls, stop):
    """Yield what ``executor.submit(*call)`` comes to, for each of `calls`."""
    futures = []
    try:
        for call in calls:
            futures.append(executor.submit(*call))
        for future in futures:
            yield future.result()
    except BaseException:
        stop.append(True)
        for future in futures:
            future.cancel()
        raise


def _is_here(executor):
    from concurrent.futures import ThreadPoolExecutor

    return isinstance(executor, ThreadPoolExecutor)


def in_turn(function, tasks, workers):
    """Yield ``function(*task)`` for each of an iterable of tasks, in order; few more are under way than there
    are workers."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers) if isinstance(workers, int) else workers
    most, running = 2 * n_at_once(workers), deque()
    try:
        for task in tasks:
            running.append(pool.submit(function, *task))
            if len(running) >= most:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
        if pool is not workers:
            pool.shutdown(wait=True)


def n_at_once(workers):
    """How many tasks these workers run at once, as far as they tell."""
    if isinstance(workers, int):
        return workers
    client = getattr(workers, "_client", None)  # of Dask
    if client is not None:
        return max(sum(client.nthreads().values()), 1)
    return getattr(workers, "_max_workers", 8)


def carried(executor, value):
    """What to pass to tasks of an executor for `value`: with Dask it travels once to each worker."""
    client = getattr(executor, "_client", None)
    # A name of its own: an equal value of an earlier run may just be on its way out.
    return value if client is None else client.scatter(value, broadcast=True, hash=False)


def loss_of(error):
    """What to say of a task that failed as its worker died or is out of reach; None if it did by itself."""
    from concurrent.futures import BrokenExecutor, CancelledError

    is_of_dask = type(error).__module__.partition(".")[0] == "distributed"
    is_shut = isinstance(error, RuntimeError) and "after shutdown" in str(error)
    if is_of_dask or is_shut or isinstance(error, (BrokenExecutor, CancelledError)):
        return f"workers were lost: {type(error).__name__}: {error}".rstrip(": .")
    return None


def _rows(results, start, end):
    return {name: array[start:end] for name, array in results.items()}


def _remote(function, net, points, kinds, first_row, *arguments):
    """One task in another process: makes its own results and returns them."""
    import numpy as np

    results = {name: np.empty(shape, dtype) for name, (shape, dtype) in kinds.items()}
    function(net, points, results, first_row, [], *arguments)
    return results
