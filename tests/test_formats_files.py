"""Network files: what is saved comes back bit for bit, and a bad file is one clear error."""

import io
import json
import logging
import os
import pickle
import struct
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldline import Network
from foldline.errors import FormatError
from foldline.formats import load, save

ENDINGS = (".npz", ".json", ".safetensors")


def network(dtype=np.float64, slopes="relu"):
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=s).astype(dtype), rng.normal(size=s[0]).astype(dtype))
        for s in ((3, 2), (3, 3), (1, 3))
    ]
    return Network(layers, slopes)


def refused(path, match=None):
    """The load fails with a FormatError that names the file and matches."""
    with pytest.raises(FormatError, match=match) as caught:
        load(path)
    assert str(path) in str(caught.value)


def loads_or_refuses(path):
    """The file is read, or refused by a FormatError: nothing else may happen."""
    try:
        return load(path)
    except FormatError as error:
        assert str(path) in str(error)


# What is saved comes back ---------------------------------------------------------------------------


@pytest.mark.parametrize("slopes", ["relu", "leaky_relu", [np.array([0, 1, -1.0]), 0.0], [-0.0, 0.3]])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_saved_network_comes_back_bit_for_bit(tmp_path, ending, dtype, slopes):
    if isinstance(slopes, list):
        slopes = [np.broadcast_to(np.asarray(s, dtype), 3) for s in slopes]
    net = network(dtype, slopes)
    path = tmp_path / f"net{ending}"
    net.save(path)
    back = load(path)
    assert back == net and back.dtype == dtype
    assert [s.tobytes() for s in back.slopes] == [s.tobytes() for s in net.slopes]


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=30)
@given(data=st.data())
def test_any_finite_numbers_survive(tmp_path_factory, ending, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    bits = 8 * np.dtype(dtype).itemsize
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=bits)
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=4))
    W = data.draw(hnp.arrays(dtype, shape, elements=numbers))
    b = data.draw(hnp.arrays(dtype, shape[0], elements=numbers))
    s = data.draw(hnp.arrays(dtype, shape[0], elements=numbers))
    net = Network([(W, b), (W[:1, :1].repeat(shape[0], axis=1), b[:1])], [s])
    path = tmp_path_factory.mktemp("round") / f"net{ending}"
    save(net, path)
    back = load(path)
    assert back.digest == net.digest
    assert back.slopes[0].tobytes() == s.tobytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_str_and_a_path_and_an_upper_case_ending_are_all_a_path(tmp_path, ending):
    path = tmp_path / f"net{ending.upper()}"
    save(network(), str(path))
    assert load(path) == load(str(path)) == network()


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_affine_map_is_a_network_too(tmp_path, ending):
    net = Network([(np.eye(2), None)])
    net.save(tmp_path / f"net{ending}")
    assert load(tmp_path / f"net{ending}") == net


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_behind_when_writing_fails(tmp_path, ending, monkeypatch):
    path = tmp_path / f"net{ending}"
    network().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="no space"):
                network(np.float32).save(path)
        assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX ones")
def test_what_a_killed_save_left_goes_when_it_is_old_and_of_the_same_name(tmp_path):
    digits = "0123456789abcdef"
    old = {f".a.npz.{digits}.part": True, f".b.npz.{digits}.part": False}
    old |= {f".a.npz.b.{digits}.part": False, f".[a].npz.{digits}.part": False, ".a.npz.part": False}
    for name in (*old, f".a.npz.{digits[::-1]}.part"):
        (tmp_path / name).touch()
    for name in old:
        os.utime(tmp_path / name, (0, time.time() - 90_000))
    network().save(tmp_path / "a.npz")
    left = {path.name for path in tmp_path.iterdir()}
    assert {name: name not in left for name in old} == old
    assert f".a.npz.{digits[::-1]}.part" in left, "somebody may be at work on it"


def test_a_saved_file_has_the_permissions_of_any_new_file_and_follows_links(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    os.symlink(tmp_path / "target.npz", tmp_path / "link.npz")
    network().save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "target.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_unknown_ending_lists_the_known_ones(tmp_path):
    for name in ("net.bin", "net"):
        with pytest.raises(ValueError, match=r"reads \.json, \.keras, \.nnet, \.npz, \.onnx"):
            load(tmp_path / name)
        with pytest.raises(ValueError, match=r"writes \.json, \.npz"):
            save(network(), tmp_path / name)
    for ending in (".onnx", ".nnet", ".keras"):
        with pytest.raises(ValueError, match=r"writes \.json, \.npz"):
            save(network(), tmp_path / f"net{ending}")
    assert os.listdir(tmp_path) == []


def test_what_is_not_a_path_is_a_type_error():
    for value in (None, 3, io.BytesIO(), b"net.npz"):
        with pytest.raises(TypeError):
            load(value)


@pytest.mark.parametrize("ending", [".npz", ".json", ".nnet"])
def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path, ending):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / f"net{ending}")


def test_importing_foldline_imports_no_format_and_no_optional_library():
    script = (
        "import sys, foldline.formats; "
        "print([m for m in sys.modules if m.startswith('foldline.formats.') "
        "or m.split('.')[0] in ('onnx', 'onnxruntime', 'keras', 'torch', 'sklearn', 'zipfile', 'json')])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"onnx", "onnxruntime", "keras", "torch", "sklearn"} & {
        m.strip(" '") for m in result.stdout.strip("[]\n").split(",")
    }
    assert "foldline.formats." not in result.stdout


# npz ------------------------------------------------------------------------------------------------


def test_npz_without_biases_and_with_either_byte_order_and_layout(tmp_path, dtype):
    W = np.arange(6).reshape(2, 3).astype(dtype)
    other = np.dtype(dtype).newbyteorder()
    np.savez_compressed(
        tmp_path / "a.npz", W0=np.asfortranarray(W).astype(other, order="F"), W1=W.T.astype(other)
    )
    net = load(tmp_path / "a.npz")
    assert net == Network([(W, None), (W.T, None)])


@pytest.mark.parametrize(
    "arrays, match",
    [
        ({}, "nothing.*wanted the keys W0"),
        ({"b0": np.ones(1)}, "b0; wanted"),
        ({"W0": np.ones((1, 1)), "W2": np.ones((1, 1))}, "W0, W2; wanted"),
        ({"W0": np.ones((1, 1)), "b1": np.ones(1)}, "W0, b1; wanted"),
        ({"W0": np.ones((1, 1)), "slopes0": np.ones(1)}, "no slopes for the last layer"),
        ({"W0": np.ones((1, 1)), "other": np.ones(1)}, "'other.npy'.*wanted the keys"),
        ({"W00": np.ones((1, 1))}, "W00"),
        ({"W0": np.ones((2, 1)), "W1": np.ones((1, 3))}, r"\(1, 3\)"),
        ({"W0": np.ones(3)}, r"shape \(3,\)"),
        ({"W0": np.ones((1, 1)), "b0": np.ones(2)}, r"shape \(2,\)"),
        ({"W0": np.ones((1, 1), np.float16)}, "float16; wanted float32 or float64"),
        ({"W0": np.ones((1, 1), np.complex64)}, "complex64"),
        ({"W0": np.ones((1, 1), "U1")}, "wanted float32 or float64"),
        ({"W0": np.ones((1, 1), np.float32), "b0": np.ones(1)}, "float32, float64"),
        ({"W0": np.array([[np.nan]])}, "nan"),
        ({"W0": np.array([[np.inf]])}, "inf"),
        ({"W0": np.ones((0, 3))}, r"\(0, 3\)"),
        ({"W0": np.ones((2, 1)), "W1": np.ones((1, 2)), "slopes0": np.ones(3)}, r"\(3,\)"),
    ],
)
def test_npz_that_is_no_network_says_what_it_has(tmp_path, arrays, match):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", match)


class Boom:
    """Unpickling one of these is a failure of the test."""

    def __reduce__(self):
        return os._exit, (66,)


def test_a_pickle_in_an_npz_is_never_opened(tmp_path):
    array = np.empty((1, 1), object)
    array[0, 0] = Boom()
    np.savez(tmp_path / "a.npz", W0=array)
    refused(tmp_path / "a.npz", "dtype object")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Boom()))
    refused(tmp_path / "b.npz", "not a whole .npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("W0.npy", pickle.dumps(Boom()))
    refused(tmp_path / "c.npz", "W0 is not a NumPy array")


def header(shape, dtype="<f8"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize("shape", [(10**9, 10**9), (2**62, 4), (3, 3), (1, 1), (-1, -2), ()])
def test_npz_shapes_are_compared_with_the_data_before_anything_is_allocated(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("W0.npy", header(shape) + bytes(16))
    refused(tmp_path / "a.npz", "W0")


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path):
    n = 2**21
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("W0.npy", "w", force_zip64=True) as stream:
            stream.write(header((8, n)))
            for _ in range(8):
                stream.write(bytes(8 * n))
    assert os.path.getsize(tmp_path / "a.npz") < 2**18
    refused(tmp_path / "a.npz", "declares 1342.* bytes of arrays in a file of")


def test_a_zip_directory_that_lies_about_sizes_is_refused(tmp_path):
    network().save(tmp_path / "a.npz")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    entry = data.index(b"PK\x01\x02")
    for declared in (0, 1, 100, 2**31, 2**32 - 2):
        struct.pack_into("<I", data, entry + 24, declared)
        (tmp_path / "b.npz").write_bytes(data)
        refused(tmp_path / "b.npz")


def test_npz_members_that_repeat_or_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("W0.npy", header((1, 1)) + bytes(8))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("W0.npy", header((1, 1)) + bytes(8))
    refused(tmp_path / "a.npz", "'W0' twice")
    for name in ("W0", "../W0.npy", "dir/W0.npy", "W0.txt"):
        with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
            archive.writestr(name, header((1, 1)) + bytes(8))
        refused(tmp_path / "b.npz", "member")


def test_a_hostile_array_header_is_refused(tmp_path):
    for text in (
        b"(" * 9000,
        b"[" * 5000 + b"]" * 5000,
        b"{'descr': __import__('os')}",
        b"\xff" * 50,
        b"",
        b"1" * 9000,
    ):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("W0.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
        refused(tmp_path / "a.npz", "W0 is not a NumPy array")
        with pytest.raises(FormatError) as caught:
            load(tmp_path / "a.npz")
        assert len(str(caught.value)) < len(str(tmp_path)) + 400


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, ending):
    network().save(tmp_path / f"a{ending}")
    data = (tmp_path / f"a{ending}").read_bytes()
    path = tmp_path / f"b{ending}"
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        refused(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_flipped_byte_gives_a_network_or_a_format_error(tmp_path, ending):
    network().save(tmp_path / f"a{ending}")
    original = (tmp_path / f"a{ending}").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / f"b{ending}"
    for position in range(0, len(original), 3):
        data = bytearray(original)
        data[position] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        loads_or_refuses(path)


@pytest.mark.parametrize("ending", [".npz", ".json", ".nnet"])
@settings(max_examples=50)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory, ending, data):
    path = tmp_path_factory.mktemp("random") / f"net{ending}"
    path.write_bytes(data)
    refused(path)


# json -----------------------------------------------------------------------------------------------


def write_json(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_json_is_written_in_the_form_its_module_describes(tmp_path):
    network(np.float32).save(tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert list(document) == ["format", "version", "dtype", "layers"]
    assert (document["format"], document["version"], document["dtype"]) == ("foldline", 1, "float32")
    assert [list(layer) for layer in document["layers"]] == [["W", "b", "slopes"]] * 2 + [["W", "b"]]
    assert document["layers"][0]["slopes"] == 0.0


W0, W1 = [[1.0, -1.0], [0.5, 2]], [[1, 1]]
EXPECTED = Network([(W0, [1.0, 0.0]), (W1, [0.0])])


@pytest.mark.parametrize(
    "document",
    [
        {"layers": [{"W": W0, "b": [1, 0]}, {"W": W1, "b": [0]}]},
        {"layers": [{"W": W0, "b": [1, 0], "slopes": 0}, {"W": W1, "b": None}]},
        {"layers": [{"W": W0, "b": [1, 0], "slopes": [0, 0.0]}, {"W": W1}]},
        {"layers": [[W0, [1, 0]], [W1, None]]},
        {"layers": [[W0, [1, 0]], {"W": W1}], "activation": "relu"},
        {"layers": [[W0, [1, 0]], [W1, [0]]], "activation": ["relu"]},
        {"layers": [[W0, [1, 0]], [W1, [0]]], "activation": [[0, 0]]},
        {"W0": W0, "b0": [1, 0], "W1": W1},
        {"b1": [0], "W1": W1, "W0": W0, "b0": [1, 0], "slopes0": 0, "dtype": "float64"},
    ],
)
def test_json_is_read_in_the_forms_people_write(tmp_path, document):
    assert load(write_json(tmp_path / "a.json", document)) == EXPECTED


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    text = json.dumps({"layers": [[W0, [1, 0]], [W1, [0]]]})
    (tmp_path / "a.json").write_bytes(text.encode("utf-8-sig"))
    assert load(tmp_path / "a.json") == EXPECTED


LAYERS = '{"layers": [[[[1.0]], [%s]]]}'


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "Expecting value"),
        ("null", "null; wanted an object"),
        ("[]", "a list; wanted an object"),
        ("{}", "wanted either 'layers'"),
        ('{"layers": {}}', "object as 'layers'"),
        ('{"layers": []}', "empty"),
        ('{"layers": [3]}', "layer 0 is a number"),
        ('{"layers": [[[[1]]]]}', "layer 0 is a list"),
        ('{"layers": [{"W": [[1]], "c": 1}]}', "'W', 'c'"),
        ('{"layers": [{"b": [1]}]}', "W of layer 0 is not a list of rows"),
        ('{"layers": [{"W": "abc"}]}', "W of layer 0 is not a list of rows"),
        ('{"layers": [{"W": [1]}]}', "W of layer 0 is not a list of rows"),
        ('{"layers": [{"W": []}]}', "W of layer 0"),
        ('{"layers": [{"W": [[]]}]}', "W of layer 0"),
        ('{"layers": [{"W": [[1], [1, 2]]}]}', "rows of different lengths"),
        ('{"layers": [{"W": [[[1]]]}]}', "W of layer 0 is not a list of rows"),
        ('{"layers": [{"W": [[true]]}]}', "W of layer 0 is not a list of rows"),
        ('{"layers": [{"W": [["1"]]}]}', "W of layer 0 is not a list of rows"),
        (LAYERS % "NaN", "NaN"),
        (LAYERS % "-Infinity", "Infinity"),
        (LAYERS % "1e999", "inf"),
        (LAYERS % ("9" * 400), None),
        (LAYERS % ("9" * 6000), None),
        (LAYERS % "null", "b of layer 0 is not a list of numbers"),
        ('{"layers": [{"W": [[1]], "slopes": 0}]}', "last layer"),
        ('{"layers": [{"W": [[1]], "slopes": {}}, [[[1]], null]]}', "slopes"),
        ('{"layers": [{"W": [[1]], "slopes": 0}, [[[1]], null]], "activation": "relu"}', "both"),
        ('{"layers": [[[[1]], null], [[[1]], null]], "activation": "gelu"}', "gelu"),
        ('{"layers": [[[[1]], null], [[[1]], null]], "activation": {}}', "activation"),
        ('{"layers": [[[[1]], null], [[[1]], null]], "activation": null}', "activation"),
        ('{"layers": [[[[1]], null], [[[1]], null]], "activation": ["relu", "relu"]}', "2 items"),
        ('{"layers": [[[[1]], null]], "layers": 2}', "'layers' twice"),
        ('{"layers": [{"W": [[1]], "W": [[2]]}]}', "'W' twice"),
        ('{"layers": [[[[1]], null]], "W0": [[1]]}', "either"),
        ('{"layers": [[[[1]], null]], "weights": 1}', "'weights'"),
        ('{"layers": [[[[1]], null]], "format": "other"}', "'other'"),
        ('{"layers": [[[[1]], null]], "version": 2}', "version 2"),
        ('{"layers": [[[[1]], null]], "dtype": "float16"}', "'float16'"),
        ('{"layers": [[[[1]], null]], "dtype": ["float32"]}', "dtype"),
        ('{"layers": [[[[1e300]], null]], "dtype": "float32"}', "inf"),
        ('{"W0": [[1]], "W2": [[1]]}', "'W2'"),
        ('{"W0": [[1]], "b999999": [1]}', "'b999999'"),
        ("[" * 100_000, None),
        ('{"layers": ' * 50_000, None),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_is_no_network_is_refused(tmp_path, text, match):
    path = write_json(tmp_path / "a.json", text)
    refused(path, match)


def test_json_slopes_may_be_a_name(tmp_path):
    path = write_json(tmp_path / "a.json", {"layers": [{"W": W0, "b": [1, 0], "slopes": "relu"}, [W1, None]]})
    assert load(path) == EXPECTED


def test_json_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"layers": "\xff\xfe"}')
    refused(tmp_path / "a.json", "utf-8")


# nnet -----------------------------------------------------------------------------------------------

NNET = """// a comment
// another
2,2,1,3,
2,3,1,
0,
-1.0,-1.0,
1.0,1.0,
0.0,0.0,0.0,
1.0,1.0,1.0,
1.0,2.0,
-1.0,0.5,
0.25,-3e-1,
0.1,
0.2,
-0.3,
1.0,-1.0,2.0,
0.5,
"""


def write_nnet(path, text=NNET):
    path.write_text(text)
    return path


def test_nnet_gives_the_weights_as_they_stand(tmp_path):
    net = load(write_nnet(tmp_path / "a.nnet"))
    W = [[1.0, 2.0], [-1.0, 0.5], [0.25, -0.3]]
    assert net == Network([(W, [0.1, 0.2, -0.3]), ([[1.0, -1.0, 2.0]], [0.5])])


def test_nnet_normalisation_is_not_applied(tmp_path):
    changed = NNET.replace("0.0,0.0,0.0,", "5.0,6.0,7.0,").replace("1.0,1.0,1.0,", "2.0,3.0,4.0,")
    assert load(write_nnet(tmp_path / "a.nnet", changed)) == load(write_nnet(tmp_path / "b.nnet"))


def test_nnet_may_have_no_trailing_commas_and_windows_line_ends(tmp_path):
    text = "\r\n".join(line.rstrip(",") for line in NNET.splitlines())
    (tmp_path / "a.nnet").write_bytes(text.encode())
    assert load(tmp_path / "a.nnet") == load(write_nnet(tmp_path / "b.nnet"))


@pytest.mark.parametrize(
    "old, new, match",
    [
        ("2,2,1,3,", "2,2,1,", "line 3 has 3 numbers"),
        ("2,2,1,3,", "1000000000,2,1,3,", "fit the file"),
        ("2,2,1,3,", "-2,2,1,3,", "positive integers"),
        ("2,2,1,3,", "2.5,2,1,3,", "positive integers"),
        ("2,2,1,3,", "nan,2,1,3,", "not finite"),
        ("2,2,1,3,", "2,4,1,3,", "4 inputs"),
        ("2,3,1,", "2,1000,1,", "line 13 has 1 numbers"),
        ("-1.0,0.5,", "-1.0,", "line 11 has 1 numbers; row 1 of the weights of layer 0 has 2"),
        ("-1.0,0.5,", "-1.0,x,", "line 11 is '-1.0,x,'"),
        ("0.25,-3e-1,", "0.25,inf,", "not finite"),
        ("0.5,\n", "0.5,\n7.0,\n", None),
        ("1.0,1.0,1.0,", "1.0,1.0,", "ranges"),
    ],
)
def test_nnet_that_does_not_add_up_is_refused(tmp_path, old, new, match):
    assert old in NNET
    refused(write_nnet(tmp_path / "a.nnet", NNET.replace(old, new, 1)), match)


def test_nnet_truncated_anywhere_is_refused_and_flipped_is_read_or_refused(tmp_path):
    lines = NNET.splitlines(keepends=True)
    for n in range(len(lines)):
        refused(write_nnet(tmp_path / "a.nnet", "".join(lines[:n])))
    for position in range(len(NNET)):
        for byte in (b"\xff", b",", b"-", b"9", b"\x00"):
            data = NNET.encode()
            (tmp_path / "b.nnet").write_bytes(data[:position] + byte + data[position + 1 :])
            loads_or_refuses(tmp_path / "b.nnet")


def test_files_are_not_logged_as_imports(tmp_path, caplog):
    network().save(tmp_path / "a.npz")
    with caplog.at_level(logging.INFO, logger="foldline"):
        assert load(tmp_path / "a.npz").import_check is None
    assert caplog.records == []


def test_an_unknown_ending_names_the_known_ones_and_the_importers_of_live_models(tmp_path):
    with pytest.raises(ValueError, match=r"'\.pt'; foldline reads .*\.onnx.*fl\.from_torch\(module\)"):
        load(tmp_path / "moons.pt")
    with pytest.raises(ValueError, match=r"foldline writes \.json, \.npz, \.safetensors$"):
        network().save(tmp_path / "net.pt")


def test_a_safetensors_state_of_linear_layers_is_read_in_the_order_of_its_numbers(tmp_path):
    from safetensors.numpy import save_file

    net = network(np.float32)
    state = {f"body.{8 + 2 * i}.weight": W for i, W in enumerate(net.weights)}
    state |= {f"body.{8 + 2 * i}.bias": b for i, b in enumerate(net.biases)}
    save_file(state, tmp_path / "net.safetensors")
    with pytest.warns(UserWarning, match="net.safetensors has weights without .* ReLU between") as warned:
        found = load(tmp_path / "net.safetensors")
    assert warned[0].filename == __file__ and "net.save(path)" in str(warned[0].message)
    assert found == net and "ReLU between" in str(found.import_check)
    found.save(tmp_path / "own.safetensors")
    with warnings.catch_warnings(action="error"):
        assert load(tmp_path / "own.safetensors") == net
    save_file(state | {"scale": np.ones(1, np.float32)}, tmp_path / "more.safetensors")
    refused(tmp_path / "more.safetensors", "wanted W0, b0")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "net.safetensors").read_bytes()[:-7])
    refused(tmp_path / "cut.safetensors")
