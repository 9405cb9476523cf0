"""Parts of a computation on threads, or on any `concurrent.futures.Executor`."""

import operator

__all__ = ["carried", "check_workers", "in_turn", "is_loss", "map_parts", "n_at_once", "run_tasks"]


def check_workers(workers):
    """`workers` if it is a positive int or an executor, the executor of a Dask client; raise if neither."""
    if callable(getattr(workers, "get_executor", None)):
        workers = workers.get_executor()
    if hasattr(workers, "__index__") and not isinstance(workers, bool):
        workers = operator.index(workers)
        if workers < 1:
            raise ValueError(f"workers is {workers}; wanted at least 1")
    elif not callable(getattr(workers, "submit", None)):
        raise TypeError(f"workers is {workers!r}; wanted an int or a concurrent.futures.Executor")
    return workers


def run_tasks(function, net, points, results, tasks, workers, arguments):
    """Call ``function(net, points, results, first_row, stop, *arguments)`` for each (start, end) of `tasks`.

    Threads of this process write into `results` where they lie; other executors get their rows of
    the points, and send their rows of the results back. When one task fails, or the user interrupts,
    `stop` gets an item and the others end soon.
    """
    stop = []
    if workers == 1 or len(tasks) <= 1 and isinstance(workers, int):
        for start, end in tasks:
            function(net, points[start:end], _rows(results, start, end), start, stop, *arguments)
        return

    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers) if isinstance(workers, int) else workers
    here = isinstance(pool, ThreadPoolExecutor)
    futures = []
    try:
        for start, end in tasks:
            rows = _rows(results, start, end)
            if here:
                future = pool.submit(function, net, points[start:end], rows, start, stop, *arguments)
            else:
                kinds = {name: (array.shape, array.dtype) for name, array in rows.items()}
                future = pool.submit(_remote, function, net, points[start:end], kinds, start, *arguments)
            futures.append(future)
        for (start, end), future in zip(tasks, futures):
            for name, array in (future.result() or {}).items():
                results[name][start:end] = array
    except BaseException:
        stop.append(True)
        for future in futures:
            future.cancel()
        raise
    finally:
        if pool is not workers:
            pool.shutdown(wait=True)


def map_parts(function, arguments, workers):
    """The list of ``function(stop, *arguments[i])``, for results whose size is not known beforehand.

    Threads of this process share the list `stop`, which gets an item when one of them fails or the user
    interrupts; the others then end soon.
    """
    stop = []
    if workers == 1 or len(arguments) <= 1 and isinstance(workers, int):
        return [function(stop, *given) for given in arguments]

    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers) if isinstance(workers, int) else workers
    here = isinstance(pool, ThreadPoolExecutor)
    futures = []
    try:
        for given in arguments:
            futures.append(pool.submit(function, stop if here else [], *given))
        return [future.result() for future in futures]
    except BaseException:
        stop.append(True)
        for future in futures:
            future.cancel()
        raise
    finally:
        if pool is not workers:
            pool.shutdown(wait=True)


def in_turn(function, tasks, workers):
    """Yield ``function(*task)`` for each of an iterable of tasks, in order; few more are under way than there
    are workers."""
    from collections import deque
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


def is_loss(error):
    """Whether a task failed because workers died or cannot be reached, not by what it does."""
    from concurrent.futures import BrokenExecutor, CancelledError

    is_of_dask = type(error).__module__.partition(".")[0] == "distributed"
    is_shut = isinstance(error, RuntimeError) and "after shutdown" in str(error)
    return is_of_dask or is_shut or isinstance(error, (BrokenExecutor, CancelledError))


def _rows(results, start, end):
    return {name: array[start:end] for name, array in results.items()}


def _remote(function, net, points, kinds, first_row, *arguments):
    """One task in another process: makes its own results and returns them."""
    import numpy as np

    results = {name: np.empty(shape, dtype) for name, (shape, dtype) in kinds.items()}
    function(net, points, results, first_row, [], *arguments)
    return results
