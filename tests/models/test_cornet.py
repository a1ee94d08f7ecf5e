"""CORnets against PyTorch with the same random weights: every area at every time step."""

import io
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import zoo
from models.architectures import cornet, cornet_s
from models.parts.group_norm import GroupNorm
from models.port import Port, assemble
from models.weights.files import read_tensors
from tests.models.parity import (
    check_layers,
    check_modules,
    images,
    observed,
    ours,
    ported,
    randomised,
    relative_error,
)
from tests.models.reference.cornet import RT, S, Z

WIDTHS = (32, 32, 64, 64)
NETWORKS = {
    "z": (cornet.port_z(WIDTHS), lambda: Z(WIDTHS)),
    "rt": (cornet.port_rt(WIDTHS), lambda: RT(WIDTHS)),
    "s": (cornet_s.port(WIDTHS), lambda: S(WIDTHS)),
}


def where(port: Port) -> dict[str, str]:
    """Our layer -> module of the reference: V4.output-t2 -> V4.output.2, V1.pool-t0 -> V1.pool."""
    names = {layer: layer.replace("output-t", "output.").removesuffix("-t0") for layer in port.layers}
    return names | {"logits": "decoder.linear"}


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer == "decoder.avgpool-t0" else tensor


@pytest.mark.parametrize(("name", "size"), [("z", 64), ("z", 65), ("rt", 65), ("s", 64), ("s", 65)])
def test_end_to_end(name: str, size: int) -> None:
    port, reference = NETWORKS[name]
    network = randomised(reference())
    module = ported(port, network, folded=size % 2 == 0)
    check_layers(module, network, images(size), where(port), flattened)


def test_each_module_on_the_same_input() -> None:
    for name, pattern in (
        ("rt", r"V1\..*(conv|norm).*|decoder\.linear"),
        ("s", r"V1\.(conv|norm)\d|V2\.(conv_input|skip|conv1|conv3|norm1_1|norm_skip)"),
    ):
        port, reference = NETWORKS[name]
        network = randomised(reference())
        check_modules(ported(port, network), network, images(33), pattern)


def test_recurrent_area_on_the_same_input() -> None:
    port, reference = NETWORKS["s"]
    network = randomised(reference())
    module = ported(port, network, folded=True)
    seen = observed(network, images(65), r"V4(\.output\.\d)?")
    outputs = jax.jit(module.V4)(ours(seen["V4"][0]))  # type: ignore[attr-defined]  # an attribute of the port's own class
    assert len(outputs) == 4
    for step, output in enumerate(outputs):
        assert relative_error(output, seen[f"V4.output.{step}"][1]) < 1e-5, step


def test_group_norm() -> None:
    x = torch.randn(2, 12, 5, 7, generator=torch.Generator().manual_seed(0)) + 3
    norm = randomised(torch.nn.GroupNorm(4, 12))
    mine = GroupNorm(4, 12)
    mine.weight[...], mine.bias[...] = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    assert relative_error(jax.jit(mine)(ours(x)), norm(x)) < 1e-6


def test_time_steps_that_no_image_reaches_are_not_layers() -> None:
    layers = NETWORKS["rt"][0].layers
    assert layers[:4] == ("V1.output-t0", "V1.output-t1", "V2.output-t1", "V1.output-t2")
    assert [layer for layer in layers if layer.startswith("IT")] == ["IT.output-t3", "IT.output-t4"]


def test_the_authors_file() -> None:
    """As their training script writes it: inside DataParallel, beside the optimiser's state."""
    port, reference = NETWORKS["s"]
    network = randomised(reference())
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    assert "module.V4.norm2_3.running_var" in state
    assert "module.V1.norm1.num_batches_tracked" in state
    stream = io.BytesIO()
    momenta = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    torch.save({"flags": {"model": "S", "lr": 0.1}, "epoch": 43, "state_dict": state, "optimizer": momenta}, stream)
    module = assemble(port, read_tensors(stream.getvalue(), "file"), "file")
    found = jax.tree.leaves(module.V4.norm2_3.running_var)  # type: ignore[attr-defined]  # an attribute of the port's own class
    np.testing.assert_array_equal(found[0], network.V4.norm2_3.running_var)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("cornet-z", Z), ("cornet-rt", RT), ("cornet-s", S)],
)
def test_parameter_counts(name: str, reference: Any) -> None:
    with torch.device("meta"):
        network = reference((64, 128, 256, 512))
    assert zoo.parameter_count(name) == sum(tensor.numel() for tensor in network.parameters())
