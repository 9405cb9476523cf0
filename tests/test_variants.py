"""Every instruction set of this machine: forced, right, bit-identical, and inside its buffers."""

import json
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest
from conftest import environment

import foldline as fl
from foldline import _core

NAMES = tuple(_core.isa_available())
every_isa = pytest.mark.parametrize("isa", NAMES)

CPUINFO = Path("/proc/cpuinfo")


def instruction_sets():
    """(name, compiler flags) of those in isa.def for this machine, in its order."""
    text = (Path(__file__).parents[1] / "csrc" / "isa.def").read_text()
    _, x86_64, aarch64, every = re.split("^#.*$", text, flags=re.M)
    mine = {"x86_64": x86_64, "AMD64": x86_64, "aarch64": aarch64, "arm64": aarch64}
    return re.findall(r'^FL_ISA\((\w+), "(.*?)"', mine.get(platform.machine(), "") + every, re.M)


def test_the_list_is_in_the_order_of_preference_and_ends_with_the_baseline():
    assert NAMES == tuple(name for name, _ in instruction_sets() if name in NAMES)
    assert NAMES[-1] == "baseline"


@pytest.mark.skipif(not CPUINFO.exists(), reason="reads /proc")
def test_every_instruction_set_that_the_processor_has_is_found():
    there = set(CPUINFO.read_text().split())
    wanted = [name for name, flags in instruction_sets() if there.issuperset(re.findall(r"-m(\w+)", flags))]
    assert NAMES == tuple(wanted)


@every_isa
def test_an_instruction_set_can_be_forced(isa, run_python):
    done = run_python("from foldline import _core; print(_core.isa_in_use())", isa=isa)
    assert done.stdout.split() == [isa], done.stderr


def test_the_best_one_is_used_when_none_is_forced(run_python):
    done = run_python("from foldline import _core; print(_core.isa_in_use())")
    assert done.stdout.split() == [NAMES[0]], done.stderr


def test_show_config_tells_version_choice_and_what_there_is(run_python):
    shown = {}
    for isa in NAMES:
        done = run_python("import foldline; print(foldline.show_config())", isa=isa)
        assert done.returncode == 0, done.stderr
        assert all(word in done.stdout for word in (fl.__version__, *NAMES)), done.stdout
        shown[isa] = done.stdout
    assert len(set(shown.values())) == len(NAMES), "the choice makes no difference"


@every_isa
def test_the_tests_that_make_a_wheel_trusted_pass(isa):
    minimal = Path(__file__).with_name("test_minimal.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", str(minimal)],
        env=environment(isa),
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


# Bit-identical ------------------------------------------------------------------------------------

FINGERPRINTS = """
import hashlib, json, sys
import numpy as np
import foldline as fl
from foldline import _core
from networks import DTYPES, SHAPES, SIZES, difficult, random_network, random_points

def fingerprint(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        assert array.flags.c_contiguous
        digest.update(array.tobytes())
    return digest.hexdigest()

found = {}
for dtype in DTYPES:
    cases = {str(widths): (random_network(110, widths, dtype), 1.0) for widths in SHAPES}
    for name, (network, scale) in {**cases, **difficult(dtype)}.items():
        net = fl.Network(*network)
        points = random_points(111, 200, net.n_in, dtype, scale)
        found[f"{name} {net.dtype}"] = {
            "outputs": fingerprint(net(points)),
            "by size": fingerprint(*[net(points[:size]) for size in SIZES]),
            "patterns": fingerprint(net.patterns(points)),
            "evaluate": fingerprint(*net.evaluate(points)),
            "preactivations": fingerprint(net.preactivations(points)),
            "maps": fingerprint(*net.local_affine(points)),
        }
json.dump({"isa": _core.isa_in_use(), "found": found}, sys.stdout)
"""


def test_all_instruction_sets_with_fma_give_the_same_bits(run_python):
    found = {}
    for isa in NAMES:
        done = run_python(FINGERPRINTS, isa=isa)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["isa"] == isa
        found[isa] = said["found"]
    fused = [isa for isa in NAMES if isa != "baseline"]
    for isa in fused[1:]:
        for case, digests in found[isa].items():
            assert digests == found[fused[0]][case], f"{isa} and {fused[0]} differ on {case}"
    assert len(found["baseline"]) == 2 * (len(networks.SHAPES) + len(networks.difficult(np.float64)))
    if fused:
        assert found["baseline"] != found[fused[0]], "these networks are too easy to tell anything"


# Inside the buffers -------------------------------------------------------------------------------

GUARDED = """
import ctypes, mmap, sys
import numpy as np
import foldline as fl
from networks import DTYPES, SIZES, random_network, random_points

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
kept = []

class Guarded:
    '''An array that touches, at its end or at its start, a page nobody may read or write.'''
    def __init__(self, shape, dtype, side, order="C"):
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = -(-nbytes // PAGE) + 1
        region = mmap.mmap(-1, (pages + 2) * PAGE)
        kept.append(region)
        first = ctypes.addressof(ctypes.c_char.from_buffer(region))
        for page in (0, pages + 1):
            if libc.mprotect(ctypes.c_void_p(first + page * PAGE), PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.inside = np.frombuffer(region, np.uint8)[PAGE : (pages + 1) * PAGE]
        self.inside[...] = 0xA5
        start = pages * PAGE - nbytes if side == "end" else 0
        self.array = self.inside[start : start + nbytes].view(dtype).reshape(shape, order=order)
        self.slack = self.inside[:start], self.inside[start + nbytes :]

    def untouched(self):
        return all((part == 0xA5).all() for part in self.slack)

class GuardedResults:
    '''Within it, arrays from numpy.empty are guarded: all that foldline returns, patterns too.'''
    def __init__(self, side):
        self.side, self.made, self.empty = side, [], np.empty

    def __enter__(self):
        np.empty = self
        return self

    def __call__(self, shape, dtype=float, order="C"):
        self.made.append(Guarded(shape, dtype, self.side, order))
        return self.made[-1].array

    def __exit__(self, *error):
        np.empty = self.empty
        assert all(guarded.untouched() for guarded in self.made)

if sys.argv[1] in ("read", "write"):
    guarded = Guarded((3,), np.float32, sys.argv[2])
    print("touching", flush=True)
    beyond = guarded.array.ctypes.data + (-1 if sys.argv[2] == "start" else guarded.array.nbytes)
    if sys.argv[1] == "read":
        ctypes.string_at(beyond, 1)
    else:
        ctypes.memset(beyond, 0, 1)
    print("survived", flush=True)
    sys.exit()

checked = 0
for dtype in DTYPES:
    for widths in [(1, 1), (3, 5), (1, 9, 1), (2, 16, 65, 7), (17, 50, 8, 3), (9, 7, 33)]:
        network = random_network(112, widths, dtype)
        net = fl.Network(*network)
        for size in sorted({*SIZES, 2, 3, 4, 5, 6}):
            points = random_points(113, size, widths[0], dtype)
            outputs, patterns = net.evaluate(points)
            everything = [outputs, *net.patterns(points, return_certain=True), net.preactivations(points),
                          *net.local_affine(points), fl.linear_radius(net, points)]
            for side in ("start", "end"):
                for order in "CF":
                    given = Guarded(points.shape, dtype, side, order)
                    given.array[...] = points
                    out = Guarded(outputs.shape, dtype, side, order)
                    net.forward(given.array, out=out.array)
                    assert out.array.tobytes() == outputs.tobytes()
                    assert out.untouched() and given.untouched()
                    assert given.array.tobytes() == points.tobytes()
                    with GuardedResults(side) as results:
                        again = [net(given.array), *net.patterns(given.array, return_certain=True),
                                 net.preactivations(given.array), *net.local_affine(given.array),
                                 fl.linear_radius(net, given.array)]
                        net.patterns(given.array, exact=True)
                    assert len(results.made) >= len(again), "results come from elsewhere"
                    assert [a.tobytes() for a in again] == [a.tobytes() for a in everything]
                    assert fl.count_patterns(net, given.array).n_points == size
                    checked += 1
                rows = Guarded(patterns.shape, np.uint8, side)
                rows.array[...] = patterns
                bits = fl.unpack_patterns(rows.array, net.n_neurons)
                assert (bits == (everything[3] > 0)).all()
            kept.clear()
print("checked", checked)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize("access", ["read", "write"])
def test_the_guard_pages_guard(access, side, run_python):
    done = run_python(GUARDED, access, side)
    assert done.stdout == "touching\n"
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@every_isa
def test_no_byte_beside_points_out_and_results_is_touched(isa, run_python):
    done = run_python(GUARDED, "product", isa=isa)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout == f"checked {2 * 6 * 20 * 2 * 2}\n"


KERNELS = """
import numpy as np
import foldline as fl
from foldline import walk
nets = [fl.Network([(np.ones((1, 1), dtype), None)]) for dtype in (np.float32, np.float64)]
cells = walk._prepared(nets[1], fl.Box(-1, 1, n_in=1), certify=True)
print(fl.show_config().isa, *[net._core.isa for net in nets], cells.isa)
"""


@every_isa
def test_the_kernels_are_those_of_the_instruction_set_that_is_forced(isa, run_python):
    assert run_python(KERNELS, isa=isa).stdout.split() == [isa] * 4
