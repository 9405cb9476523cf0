import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="session")
def run_python():
    """Run a script in an interpreter of its own, which finds the modules beside the tests.

    Every instruction set can be had: ``isa`` names it, None leaves the choice to foldline.
    """

    def run(script, *arguments, isa=None, timeout=120):
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            env=environment(isa),
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
        )

    return run


def environment(isa=None):
    """The environment of a fresh interpreter: this one's, but for the instruction set."""
    env = {name: value for name, value in os.environ.items() if name != "FOLDLINE_ISA"}
    env["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [env.get("PYTHONPATH")])])
    if isa is not None:
        env["FOLDLINE_ISA"] = isa
    return env
