"""PyTorch modules, traced and lowered, give what the modules give, and are left as they were."""

import copy
import logging
import math
import sys
import warnings

import numpy as np
import pytest

from foldline import Network
from foldline.errors import UnsupportedModelError
from foldline.formats import from_torch

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def check(module, n_in=3, shape=None, **options):
    """Import and compare with the module in evaluation mode."""
    net = from_torch(module, **options)
    assert net.import_check.n_points == 64 and net.import_check.bound_share <= 1
    if not options.get("drop_final"):
        points = (np.random.default_rng(1).normal(size=(20, n_in)) * 3).astype(net.dtype)
        with torch.no_grad():
            wanted = copy.deepcopy(module).eval()(torch.from_numpy(points).reshape(-1, *(shape or (n_in,))))
        tolerance = 1e-4 if net.dtype == np.float32 else 1e-12
        wanted = wanted.reshape(20, -1).numpy()
        assert np.allclose(net(points), wanted, rtol=tolerance, atol=tolerance * (1 + abs(wanted).max()))
    return net


class Of(nn.Module):
    """A module whose forward is the given function, with a few layers to use."""

    def __init__(self, forward, n=3):
        super().__init__()
        self.function = forward
        self.first, self.second = nn.Linear(n, 4), nn.Linear(4, 4)
        self.weight = nn.Parameter(torch.randn(4))
        self.register_buffer("mean", torch.randn(4))

    def forward(self, x):
        return self.function(self, x)


def statistics(module):
    """Give the batch norms of a module statistics that are not the initial ones."""
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(16, 3) * 2 + 1)
    return module


def test_a_perceptron_keeps_its_weights_bit_for_bit(dtype):
    module = nn.Sequential(
        nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 2)
    )
    module = module.to(torch.float32 if dtype == np.float32 else torch.float64)
    layers = [module[i] for i in (0, 2, 4)]
    wanted = [
        (m.weight.detach().numpy(), None if m.bias is None else m.bias.detach().numpy()) for m in layers
    ]
    assert check(module) == Network(wanted)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.LeakyReLU(0.3),
        nn.PReLU(),
        nn.PReLU(4, init=0.4),
        nn.Hardtanh(),
        nn.Hardtanh(-0.5, 2.0),
        nn.Hardsigmoid(),
        nn.BatchNorm1d(4),
        nn.BatchNorm1d(4, affine=False),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.AlphaDropout(),
        nn.Identity(),
        nn.Sequential(),
        nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Dropout()),
    ],
    ids=str,
)
def test_each_layer_computes_what_torch_says(layer):
    check(statistics(nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 2))))


def test_batch_norm_is_folded_into_the_weights():
    module = statistics(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    )
    assert check(module).widths == (4,)


OF_SPACE = {
    (4, 9): """
        Conv1d(4, 3, 3)
        Conv1d(4, 6, 2, stride=2, padding=1, dilation=3, groups=2)
        Conv1d(4, 8, 4, padding="same", groups=4, bias=False)
        Conv1d(4, 2, 3, padding="same", dilation=2)
        AvgPool1d(3, 2)
        AvgPool1d(4, 3, 2, ceil_mode=True)
        AvgPool1d(3, 2, 1, count_include_pad=False)
        MaxPool1d(3)
        MaxPool1d(3, 1, 1, dilation=2)
        MaxPool1d(2, 3, ceil_mode=True)
        AdaptiveAvgPool1d(3)
        AdaptiveAvgPool1d(1)
        ConstantPad1d((2, 1), 0.7)
        ZeroPad1d((1, -2))
        BatchNorm1d(4)
        Dropout1d(0.5)
    """,
    (2, 6, 5): """
        Conv2d(2, 3, (3, 2))
        Conv2d(2, 4, 3, stride=(2, 1), padding=(1, 2), groups=2)
        Conv2d(2, 2, (2, 4), padding="same", dilation=(2, 1))
        Conv2d(2, 3, 1, padding="valid", bias=False)
        Conv2d(2, 1, (6, 5))
        Conv2d(2, 1, 5, padding=4, stride=7)
        AvgPool2d(2)
        AvgPool2d((3, 2), (1, 2), 1)
        AvgPool2d(3, 2, 1, count_include_pad=False)
        AvgPool2d(2, 3, 1, ceil_mode=True)
        AvgPool2d((2, 3), 2, 1, ceil_mode=True, count_include_pad=False)
        AvgPool2d(3, 2, 1, divisor_override=5)
        MaxPool2d(2)
        MaxPool2d((3, 2), 1, (1, 0), dilation=(2, 1))
        MaxPool2d(3, 2, 1, ceil_mode=True)
        MaxPool2d(3, 1, 1, dilation=2)
        MaxPool2d((6, 5))
        AdaptiveAvgPool2d(1)
        AdaptiveAvgPool2d((3, None))
        ConstantPad2d(1, 0)
        ConstantPad2d((-1, 2, 0, 1), -3.0)
        ZeroPad2d((1, 0, 2, 3))
        BatchNorm2d(2)
        Dropout2d(0.5)
        PReLU(2)
    """,
    (2, 3, 4, 3): """
        Conv3d(2, 2, 2)
        Conv3d(2, 4, (3, 2, 1), (1, 2, 1), (1, 1, 0), groups=2)
        Conv3d(2, 1, 2, padding="same")
        AvgPool3d(2, 1)
        AvgPool3d((2, 3, 2), 2, 1, ceil_mode=True, count_include_pad=False)
        MaxPool3d(2, 1, 1)
        MaxPool3d((1, 2, 3), dilation=(1, 2, 1))
        AdaptiveAvgPool3d((1, 2, 3))
        ConstantPad3d(1, 0.5)
        ZeroPad3d((1, 0, 0, 1, 2, 0))
        BatchNorm3d(2)
        Dropout3d(0.5)
    """,
}
OF_SPACE = [(shape, text.strip()) for shape, texts in OF_SPACE.items() for text in texts.strip().splitlines()]


def check_of_space(module, shape):
    return check(module, int(np.prod(shape)), shape, input_shape=shape)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("shape, layer", OF_SPACE)
def test_each_layer_of_space_computes_what_torch_says(dtype, shape, layer):
    module = eval(f"nn.{layer}").to(torch.float32 if dtype == np.float32 else torch.float64)
    if hasattr(module, "running_var"):
        module.running_mean.normal_(), module.running_var.uniform_(0.1, 2)
    check_of_space(nn.Sequential(module), shape)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel, dilation", [(1, 1), (2, 1), (3, 1), (3, 2), (4, 1)])
def test_windows_of_every_kind_lie_where_torch_has_them(kernel, dilation, stride, padding):
    check_of_space(nn.Conv1d(2, 3, kernel, stride, padding, dilation), (2, 8))
    for ceil_mode in (False, True):
        if 2 * padding <= kernel:
            check_of_space(nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=ceil_mode), (1, 8))
        if 2 * padding <= kernel and dilation == 1:
            for counted in (False, True):
                check_of_space(nn.AvgPool1d(kernel, stride, padding, ceil_mode, counted), (1, 8))


def test_a_convolution_keeps_its_weights_bit_for_bit():
    layer = nn.Conv1d(1, 1, 3, padding=1)
    net = check_of_space(layer, (1, 3))
    (W,), (b,) = net.weights, net.biases
    a, b0, c = layer.weight.detach().numpy().ravel()
    assert np.array_equal(W, [[b0, c, 0], [a, b0, c], [0, a, b0]])
    assert (b == layer.bias.item()).all()


def test_convolutional_networks_are_imported_as_perceptrons_are():
    features = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 6, 1),
        nn.LeakyReLU(0.1),
        nn.Dropout2d(),
    )
    module = nn.Sequential(features, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6 * 4, 3))
    module.train()
    module(torch.randn(8, 1, 8, 8) + 1)
    assert check_of_space(module, (1, 8, 8)).n_out == 3
    check_of_space(nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)), (1, 8, 8))


FORWARDS_OF_SPACE = {
    "conv": lambda m, x: F.relu(F.conv2d(x, m.kernel, padding=1, stride=2)),
    "grouped conv": lambda m, x: torch.conv2d(x, m.kernel[:, :1], m.mean, padding="same", groups=2),
    "conv of one dimension": lambda m, x: F.conv1d(x.flatten(2), m.kernel[..., 0], m.mean, 2, 1),
    "conv of three dimensions": lambda m, x: F.conv3d(x.unsqueeze(4), m.kernel[..., None]),
    "max pool": lambda m, x: F.max_pool2d(x, 2) + torch.max_pool2d(x, 3, 2, 1),
    "max pool of one dimension": lambda m, x: F.max_pool1d(x.flatten(2), 3, stride=2, padding=1),
    "max pool of three dimensions": lambda m, x: F.max_pool3d(x.unsqueeze(1), (1, 2, 2), ceil_mode=True),
    "average pool": lambda m, x: F.avg_pool2d(F.relu(x), (2, 3), count_include_pad=False),
    "average pool of one dimension": lambda m, x: F.avg_pool1d(x.flatten(2), 3, 2, 1, True),
    "average pool of three dimensions": lambda m, x: F.avg_pool3d(x.unsqueeze(1), 2, divisor_override=3),
    "adaptive pool": lambda m, x: torch.flatten(F.adaptive_avg_pool2d(x, (1, 3)), 1),
    "pad": lambda m, x: F.pad(x, (1, 2)) + F.pad(x, (1, 2, 0, 0), value=2.0),
    "dropout": lambda m, x: F.dropout2d(x, training=m.training),
}


@pytest.mark.parametrize("forward", FORWARDS_OF_SPACE.values(), ids=FORWARDS_OF_SPACE)
def test_what_a_forward_writes_of_space_is_what_is_imported(forward):
    module = Of(forward)
    module.kernel = nn.Parameter(torch.randn(4, 2, 3, 3))
    check_of_space(module.eval(), (2, 4, 6))


FORWARDS = {
    "functional relu": lambda m, x: m.second(F.relu(m.first(x))),
    "torch relu": lambda m, x: torch.relu(m.second(m.first(x).relu())),
    "leaky": lambda m, x: F.leaky_relu(F.leaky_relu(m.first(x)), 0.2),
    "prelu": lambda m, x: F.prelu(m.first(x), m.weight),
    "hardtanh": lambda m, x: F.hardtanh(F.relu6(m.first(x)), -0.1, 0.2),
    "abs": lambda m, x: abs(m.first(x)) - torch.abs(x[:, :1]) + m.first(x).abs(),
    "clamp": lambda m, x: (
        torch.clamp(m.first(x), -0.5, 1) + m.first(x).clamp(min=0.1) + m.first(x).clip(max=0.3)
    ),
    "arithmetic": lambda m, x: 2 * (m.first(x) - 1) / 3 + 0.5 - m.first(x) * m.weight,
    "constants from the left": lambda m, x: 1 - m.first(x) + m.mean * m.first(x) + (-m.first(x)),
    "computed constants": lambda m, x: m.first(x) * m.weight.abs().exp() / torch.sqrt(m.mean**2 + 1),
    "residual": lambda m, x: (lambda h: h + F.relu(m.second(h)))(F.relu(m.first(x))),
    "skip from the input": lambda m, x: torch.cat([x, F.relu(m.first(x))], dim=1),
    "module twice": lambda m, x: m.second(F.relu(m.second(F.relu(m.first(x))))),
    "view": lambda m, x: m.first(x.view(x.size(0), -1)).reshape(x.shape[0], 2, 2).flatten(1),
    "view of minus one": lambda m, x: m.first(x.view(-1, 3)),
    "rows": lambda m, x: F.relu(m.first(x).unsqueeze(1).transpose(1, 2)).squeeze(2),
    "permute": lambda m, x: m.first(x).view(-1, 2, 2).permute(0, 2, 1).reshape(-1, 4),
    "stack": lambda m, x: torch.stack([m.first(x), F.relu(m.first(x))], dim=1).flatten(1),
    "chunk": lambda m, x: (lambda parts: parts[0] + parts[1].relu())(m.first(x).chunk(2, dim=1)),
    "indexing": lambda m, x: m.first(x)[:, [2, 0]] - m.first(x)[..., 1:3],
    "maximum": lambda m, x: torch.maximum(m.first(x), m.second(m.first(x))).minimum(m.weight),
    "max of two": lambda m, x: torch.max(m.first(x), m.mean) - torch.min(m.first(x), m.mean),
    "matmul": lambda m, x: m.first(x) @ m.second.weight.T + torch.matmul(m.first(x), m.second.weight),
    "linear": lambda m, x: F.linear(F.relu(F.linear(x, m.first.weight)), m.second.weight, m.second.bias),
    "dropout": lambda m, x: F.dropout(m.first(x), 0.5, training=m.training),
    "dead code": lambda m, x: (torch.exp(x), m.first(x))[1],
    "default argument": lambda m, x, scale=2.0: m.first(x) * 2.0,
}


@pytest.mark.parametrize("forward", FORWARDS.values(), ids=FORWARDS)
def test_what_a_forward_writes_is_what_is_imported(forward):
    check(Of(forward))


def test_a_forward_with_a_default_argument_is_traced_with_it():
    class WithScale(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x, scale=2.0, shift=None):
            return self.layer(x) * scale

    check(WithScale())


def test_points_of_other_shapes_are_flattened():
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU())
    assert check(module, 6).n_in == 6
    assert check(module, 6, (1, 2, 3), input_shape=(1, 2, 3)).n_in == 6
    per_channel = nn.Sequential(nn.BatchNorm1d(2), nn.PReLU(2), nn.Linear(3, 2))
    assert check(per_channel, 6, (2, 3), input_shape=(2, 3)).n_out == 4


def test_the_number_of_inputs_is_found_or_asked_for():
    with pytest.raises(UnsupportedModelError, match="pass input_shape"):
        from_torch(nn.ReLU())
    assert check(nn.ReLU(), 5, input_shape=(5,)).n_in == 5
    with pytest.raises(UnsupportedModelError, match=r"\(1, 7\).*input_shape sets it"):
        from_torch(nn.Linear(3, 2), input_shape=(7,))
    with pytest.raises(UnsupportedModelError, match=r"2 dimensions of space.*input_shape sets it"):
        from_torch(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)))


def test_a_module_that_only_takes_one_point_is_compared_point_by_point():
    check_module = Of(lambda m, x: m.first(x.view(1, 3)))
    assert from_torch(check_module).import_check.n_points == 64


def test_tied_weights_and_parametrizations_are_read_as_they_compute():
    shared = nn.Linear(4, 4)
    check(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), shared, nn.ReLU(), shared))
    check(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    check(nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)), nn.ReLU()))


@pytest.mark.parametrize(
    "layer", [nn.Linear(3, 2), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 1))], ids=str
)
def test_a_single_layer_is_a_module_too(layer):
    check(layer)


def test_final_functions_are_dropped_only_when_asked():
    body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    wanted = from_torch(body)
    tails = [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()]
    endings = [
        lambda x: F.softmax(x, dim=1),
        lambda x: F.log_softmax(x, 1),
        torch.sigmoid,
        lambda x: x.sigmoid(),
        lambda x: x.softmax(1),
        lambda x: torch.argmax(x, 1),
        lambda x: x.softmax(1).argmax(1),
    ]
    modules = [nn.Sequential(body, tail) for tail in tails]
    for ending in endings:
        modules.append(Of(lambda m, x, ending=ending: ending(m.body(x))))
        modules[-1].body = body
    for module in modules:
        with pytest.raises(UnsupportedModelError, match="drop_final=True leaves it out"):
            from_torch(module)
        net = from_torch(module, drop_final=True, input_shape=(3,))
        assert net == wanted and net.import_check.n_points == 64
    assert from_torch(body, drop_final=True) == wanted


def test_a_sigmoid_inside_is_not_dropped():
    with pytest.raises(UnsupportedModelError) as caught:
        from_torch(nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 2)), drop_final=True)
    assert "drop_final" not in str(caught.value)


def test_everything_unsupported_is_listed():
    module = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 4), nn.Tanh(), nn.ReLU(), nn.Softmax(1))
    with pytest.raises(UnsupportedModelError, match="GELU.*Tanh.*Softmax") as caught:
        from_torch(module)
    assert [o.split()[0] for o in caught.value.operators] == ["GELU", "Tanh", "Softmax"]
    module = Of(lambda m, x: torch.exp(m.first(x)) + F.silu(m.first(x)) * m.first(x).cos())
    with pytest.raises(UnsupportedModelError, match="exp.*silu.*cos"):
        from_torch(module)


def test_what_is_piecewise_linear_but_not_read_yet_is_listed_by_itself():
    class Image(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.ConvTranspose2d(1, 2, 3), nn.GELU(), nn.ReflectionPad2d(1))

        def forward(self, x):
            return self.body(x).mean((2, 3)).tanh()

    with pytest.raises(UnsupportedModelError) as caught:
        from_torch(Image(), input_shape=(1, 8, 8))
    others, later = str(caught.value).split("; and piecewise linear, but not read from torch yet: ")
    assert others.startswith("not piecewise linear, or not supported: GELU ('body.1'); tanh() ")
    kinds = [text.split("(")[0].strip() for text in later.split("; ")]
    assert kinds == ["ConvTranspose2d", "ReflectionPad2d", "mean"]
    assert len(caught.value.operators) == 5
    with pytest.raises(UnsupportedModelError, match="^piecewise linear, but not read"):
        from_torch(nn.AdaptiveMaxPool1d(2), input_shape=(1, 8))


@pytest.mark.parametrize(
    "forward, match",
    [
        (lambda m, x: x * x, "product of two computed"),
        (lambda m, x: 1 / x, "division by a computed"),
        (lambda m, x: x @ x.T, "T"),
        (lambda m, x: F.dropout(x), "training=True"),
        (lambda m, x: F.batch_norm(x, None, None, training=True), "statistics of the batch"),
        (lambda m, x: x.clamp(min=m.mean[:3]), "bounds that are tensors"),
        (lambda m, x: m.first(x) if x.sum() > 0 else x, "cannot trace"),
        (lambda m, x: (x, m.first(x)), "returns a tuple"),
        (lambda m, x: m.mean, "returns a Tensor|depends on the input"),
        (lambda m, x: x.view(-1, 7), "reshape"),
        (lambda m, x: x.max(), "max"),
        (lambda m, x: x.mean(1), "mean"),
    ],
)
def test_forwards_that_cannot_be_imported_say_why(forward, match):
    with pytest.raises(UnsupportedModelError, match=match):
        from_torch(Of(forward))


@pytest.mark.parametrize(
    "layer, match",
    [
        (nn.Conv2d(2, 3, 3, padding_mode="reflect"), r"Conv2d \('0'\): with padding_mode 'reflect'"),
        (nn.MaxPool2d(2, return_indices=True), "with return_indices=True"),
        (nn.AdaptiveAvgPool2d((2, 3)), r"to \(2, 3\), which does not divide \(6, 5\)"),
        (nn.ConstantPad2d(1, -math.inf), "padding with -inf"),
        (nn.ConstantPad2d((-3, -2, 0, 0), 0), "empty"),
        (nn.ReflectionPad2d(1), r"ReflectionPad2d \('0'\)$"),
        (nn.ConvTranspose2d(2, 3, 3), r"ConvTranspose2d \('0'\)$"),
        (nn.Conv2d(3, 3, 3), r"for 2 channels \(for points of shape \(2, 6, 5\); input_shape sets it\)"),
        (nn.Conv1d(2, 3, 3), "wanted the batch, channels and 1 dimensions of space"),
        (nn.MaxPool3d(2), "wanted the batch, channels and 3 dimensions of space"),
        (nn.Conv2d(2, 3, 7), "a window of 7 in 6 places, padded by 0 and 0"),
        (Of(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0]), "max_pool2d_with_indices"),
        (Of(lambda m, x: F.pad(x, (1, 1), mode="replicate")), "with mode 'replicate'"),
        (Of(lambda m, x: F.conv2d(x, x)), "with weights that depend on the input"),
        (Of(lambda m, x: F.avg_pool2d(x, 2, stride=(-1, 1))), r"with strides \[-1, 1\] in a space of shape"),
    ],
    ids=lambda value: str(value).partition("\n")[0],
)
def test_layers_of_space_that_cannot_be_imported_say_why(layer, match):
    with pytest.raises(UnsupportedModelError, match=match):
        from_torch(nn.Sequential(layer), input_shape=(2, 6, 5))


def test_layers_of_space_are_listed_with_the_rest():
    module = nn.Sequential(nn.MaxPool2d(2, return_indices=True), nn.Tanh(), nn.LPPool2d(2, 2), nn.Flatten())
    with pytest.raises(UnsupportedModelError, match="MaxPool2d.*Tanh.*LPPool2d") as caught:
        from_torch(module, input_shape=(1, 4, 4))
    assert len(caught.value.operators) == 3


@pytest.mark.parametrize(
    "module, shape, match",
    [
        (nn.Conv2d(8, 1, 64, padding=32, bias=False), (8, 64, 64), r"Conv2d \('0'\): .*elements together"),
        (nn.ZeroPad2d(2**40), (1, 2, 2), r"ZeroPad2d \('0'\): .*elements together"),
        (nn.Conv1d(2**14, 2**14, 1, groups=2**14), (2**14, 1), r"Conv1d \('0'\): .*elements together"),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 64, 64), r"\(32768, 12288\), there are 402653184 weights"),
        (nn.Sequential(nn.Conv2d(1, 1, 9, stride=2), nn.MaxPool2d(9, 1)), (1, 64, 64), "weights to compute"),
    ],
    ids=lambda value: str(value).partition("\n")[0],
)
def test_layers_of_too_many_weights_are_refused_before_these_are_made(module, shape, match):
    with pytest.raises(UnsupportedModelError, match=match):
        from_torch(module, input_shape=shape)


def test_two_inputs_are_refused():
    class Two(nn.Module):
        def forward(self, a, b):
            return a + b

    with pytest.raises(UnsupportedModelError, match="a, b; wanted one tensor"):
        from_torch(Two(), input_shape=(2,))


def test_batch_norm_without_statistics_is_refused():
    with pytest.raises(UnsupportedModelError, match="statistics of the batch"):
        from_torch(nn.BatchNorm1d(3, track_running_stats=False))


@pytest.mark.filterwarnings("ignore:Complex modules:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_other_dtypes_are_refused_and_told_how_to_convert(dtype):
    with pytest.raises(
        UnsupportedModelError, match=rf"{dtype}; wanted torch.float32 or torch.float64.*\.float\(\)"
    ):
        from_torch(nn.Linear(2, 2).to(dtype))


def test_mixed_dtypes_are_refused():
    with pytest.raises(UnsupportedModelError, match="torch.float32, torch.float64"):
        from_torch(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()))


def test_what_is_no_module_is_a_type_error():
    for value in (None, [nn.Linear(1, 1)], nn.Linear, F.relu):
        with pytest.raises(TypeError, match=r"wanted a torch\.nn\.Module"):
            from_torch(value)
    with pytest.raises(TypeError, match=r"load_state_dict\(state\), then fl\.from_torch\(module\)"):
        from_torch(nn.Linear(1, 1).state_dict())


def test_a_keras_model_is_sent_to_from_keras():
    keras = pytest.importorskip("keras")
    with pytest.raises(TypeError, match=r"Sequential of Keras; fl\.from_keras\(model\) imports it"):
        from_torch(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


class Counting(nn.Module):
    """Changes itself whenever it runs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(1))
        self.n = 0

    def forward(self, x):
        self.n += 1
        self.calls.add_(1)
        return self.layer(x)


def test_the_module_is_never_changed():
    module = nn.Sequential(Counting(), nn.BatchNorm1d(2), nn.Dropout(), nn.ReLU())
    module.train()
    module[2].eval()
    module[1](torch.randn(8, 2)).sum().backward()
    state = {k: v.clone() for k, v in module.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in module.parameters()]
    flags = [m.training for m in module.modules()]
    from_torch(module)
    assert [m.training for m in module.modules()] == flags == [True, True, True, True, False, True]
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert module[0].n == 0
    for parameter, gradient in zip(module.parameters(), gradients):
        assert parameter.requires_grad
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)


def test_importing_leaves_the_random_state_and_the_gradient_mode():
    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    before = torch.get_rng_state()
    from_torch(module)
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_trace_does_not_show_is_found_by_the_check():
    in_place = Of(lambda m, x: (lambda h: F.relu(h, inplace=True) + h)(m.first(x)))
    hooked = nn.Linear(3, 2)
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    for module in (in_place, hooked):
        with pytest.raises(UnsupportedModelError, match="not what its graph says"):
            from_torch(module)


def test_a_module_that_mixes_the_points_of_a_batch_is_refused():
    with pytest.raises(UnsupportedModelError, match="not what its graph says"):
        from_torch(Of(lambda m, x: m.first(x) - m.first(x)[:1].relu()))


def test_the_check_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="foldline"):
        net = from_torch(nn.Linear(3, 2))
    assert str(net.import_check) in caplog.text
    assert net.import_check.source == f"torch {torch.__version__}"


def test_weights_that_are_not_finite_are_refused():
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="nan"):
        from_torch(module)


def test_uninitialised_and_scripted_modules_are_refused():
    with pytest.raises(UnsupportedModelError):
        from_torch(nn.LazyLinear(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(UnsupportedModelError, match="the module it was made from"):
        from_torch(scripted)


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="needs torch: pip install torch"):
        from_torch(None)
