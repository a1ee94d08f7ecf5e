"""VOneNets against PyTorch with the same random weights, and the filters of untrained ones against their definition."""

from typing import Any

import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models import zoo
from models.architectures import vonenet
from models.architectures.vonenet_gabors import KERNEL, PIXELS_PER_DEGREE, filters, parameters
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of
from tests.models.reference.vonenet import ResNetBehind, cornet_behind
from tests.models.reference.vonenet import vonenet as reference

DEPTHS = (1, 1)
WIDTHS = (64, 16, 16, 32)


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if "avgpool" in layer else tensor


@pytest.mark.parametrize(("size", "folded"), [(48, True), (49, False)])
def test_before_a_residual_network(size: int, folded: bool) -> None:
    network = randomised(reference(ResNetBehind(DEPTHS)))
    port = vonenet.resnet_port(DEPTHS)
    module = ported(port, network, folded=folded)
    where = {layer: layer for layer in (*port.layers, "model.fc")}
    check_layers(module, network, images(size), where, flattened)
    if folded:
        check_modules(module, network, images(size), r"vone_block|bottleneck")


def test_before_cornet_s() -> None:
    network = randomised(reference(cornet_behind(WIDTHS)))
    port = vonenet.cornet_port(WIDTHS)
    where = {layer: layer.replace("output-t", "output.").removesuffix("-t0") for layer in port.layers}
    where |= {"vone_block.output-t0": "vone_block.output", "model.logits": "model.decoder.linear"}
    check_layers(ported(port, network, folded=True), network, images(65), where, flattened)


def test_the_authors_file_keeps_its_front_end() -> None:
    network = reference(ResNetBehind(DEPTHS))
    names = set(network.state_dict())
    for wrapped in (network, torch.nn.ModuleDict({"module": network})):
        assert set(state_of(wrapped)) == names


def test_filters_of_untrained_networks() -> None:
    """Some filters, position by position, in the authors' coordinates: x down, y right."""
    drawn = parameters(512)
    for quadrature in (False, True):
        bank = filters(512, quadrature)
        assert bank.shape == (25, 25, 512)
        for cell in (0, 100, 511):
            frequency, angle, phase, across, along = (float(part[cell]) for part in drawn)
            frequency /= PIXELS_PER_DEGREE
            across, along = across / frequency, along / frequency
            for row, column in [(12, 12), (9, 14), (20, 3)]:
                x, y = row - KERNEL // 2, column - KERNEL // 2
                u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
                wanted = np.exp(-(u**2) / (2 * across**2) - v**2 / (2 * along**2)) / (2 * np.pi * across * along)
                wanted *= np.cos(2 * np.pi * frequency * u + phase + quadrature * np.pi / 2)
                np.testing.assert_allclose(bank[row, column, cell], wanted, rtol=1e-5, atol=1e-9)


def test_their_distributions() -> None:
    drawn = parameters(20_000)
    degrees = np.degrees(drawn.orientation)
    assert 0 <= degrees.min() < degrees.max() < 180
    # De Valois et al. 1982: 66, 49, 77 and 54 cells around 0, 45, 90 and 135 degrees.
    shares = [(np.abs((degrees - centre + 90) % 180 - 90) < 22.5).mean() for centre in (0, 45, 90, 135)]
    np.testing.assert_allclose(shares, np.array([66, 49, 77, 54]) / 246, atol=0.02)
    assert 0.5 <= drawn.frequency.min() < drawn.frequency.max() <= 5.6
    octaves = np.histogram(drawn.frequency, (0.5, 1, 2, 4, 5.6))[0] / 20_000
    np.testing.assert_allclose(octaves, np.array([8, 33, 58, 28]) / 127, atol=0.02)
    for size in (drawn.across, drawn.along):
        assert 0.1 <= size.min() < size.max() <= 10**0.2
    assert np.corrcoef(drawn.across, drawn.frequency)[0, 1] > 0.5
    assert np.corrcoef(drawn.across, drawn.along)[0, 1] > 0.4


def test_untrained_filters_do_not_depend_on_the_seed_but_their_colours_do() -> None:
    banks = [np.asarray(vonenet.Bank(nnx.Rngs(seed), quadrature=False).weight[...]) for seed in (0, 1)]
    np.testing.assert_array_equal(banks[0].sum(2), banks[1].sum(2))
    for bank in banks:
        assert (np.abs(bank).sum((0, 1)) > 0).sum() == 512  # one colour each
    assert (banks[0] != banks[1]).any()


def test_parameter_counts() -> None:
    with torch.device("meta"):
        networks = {
            "vone-resnet50": reference(ResNetBehind((3, 4, 6, 3))),
            "vone-cornet-s": reference(cornet_behind((64, 128, 256, 512))),
        }
    for name, network in networks.items():
        assert zoo.parameter_count(name) == sum(tensor.numel() for tensor in network.parameters())
