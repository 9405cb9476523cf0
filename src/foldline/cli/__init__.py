"""The command line: ``foldline``, or ``python -m foldline``.

Exit codes: 0 done, 1 the answer is no, 2 bad input (one line on stderr), 3 undecided or a limit
reached, 130 interrupted (one line too, which says how far it came). Results go to stdout, everything
else to stderr; with ``--json`` stdout is one JSON document, in which a number beyond the range of
floats is null.
"""

import json
import sys
import warnings

from .. import bench
from .arguments import as_value, parser
from .codes import BAD_INPUT, DONE, INTERRUPTED, LIMIT, NO
from .evaluations import bench_model, show_demo
from .talk import complain, discard_stdout, open_streams, plain, show_warning

__all__ = ["main"]


def main(argv=None):
    """Run the command line `argv` (by default the process's own) and return its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    open_streams()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            code = _run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        discard_stdout()
        return DONE
    except KeyboardInterrupt as interrupt:
        print(f"foldline: interrupted{interrupt}", file=sys.stderr)
        return INTERRUPTED
    except bench.Disagreement as error:
        return complain(error, NO)
    except MemoryError as error:
        return complain(error if str(error) else "out of memory", LIMIT)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return complain(error, BAD_INPUT)


def _run(argv):
    try:
        args = parser().parse_args([as_value(argument) for argument in argv])
    except SystemExit:
        sys.stdout.flush()
        raise
    if args.run in (show_demo, bench_model) and not bench.runs_on_one_thread():
        return bench.run_on_one_thread(["-m", "foldline", *argv])
    facts, text, code = args.run(args)
    if args.json:
        print(json.dumps(plain(facts), allow_nan=False))
    elif text:
        print(text)
    return code
