"""Ports as differentiable functions: in training mode against PyTorch, folded, saved, narrowed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.errors import InputError
from models.architectures import efficientnet, vit, vonenet
from models.port import Choice, Port, abstract, dotted, load
from models.preprocessing import Preprocessing, normalise
from models.spec import ModelSpec
from models.trainable import Trainable, frozen, kernels, save_weights, trainable
from models.weights import own_file

SIZE = 32
STAGES = (efficientnet.Stage(1, 3, 2, 6, 16),)
LAYER = "block0"
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # the networks are small: compiling them is what takes time
quick = partial(jax.jit, compiler_options=UNOPTIMISED)


def lite() -> Port:
    return efficientnet.port(efficientnet.plan(lite=True, stages=STAGES))


def vit_port() -> Port:
    return vit.port(vit.Form(vit.Size(16, 1, 2), 8, SIZE, outputs=5, layer_scale=0.1, distilled=True))


def spec(port: Callable[[], Port], name: str = "small", size: int = SIZE) -> ModelSpec:
    preprocessing = Preprocessing(size, "bilinear", mean=(127.0, 120.0, 110.0), std=(60.0, 61.0, 62.0))
    return ModelSpec(name, "a small network", preprocessing, port, weights=None, citation="none")


def random_tensors(port: Port, seed: int = 0) -> dict[str, np.ndarray]:
    """Every parameter and statistic by name, none of them all zeros or all ones."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for path, leaf in abstract(port)[1].items():
        if path[-1] == "running_var":
            tensor = rng.uniform(0.5, 2, leaf.shape)
        elif path[-1] == "weight":
            one = len(leaf.shape) == 1
            tensor = rng.uniform(0.5, 1.5, leaf.shape) if one else rng.standard_normal(leaf.shape) * _he(leaf.shape)
        else:
            tensor = 0.3 * rng.standard_normal(leaf.shape)
        tensors[dotted(path)] = tensor.astype(np.float32)
    return tensors


def _he(shape: tuple[int, ...]) -> float:
    return float(np.sqrt(2 / np.prod(shape[:-1])))


def made(port: Callable[[], Port], folder: Path, *, dtype: Any = None, name: str = "small") -> Trainable:
    """A trainable network with random weights, through a file of our own."""
    file = folder / f"{name}.safetensors"
    if not file.exists():
        own_file.write(file, random_tensors(port()), name)
    return trainable(spec(port, name), Choice(str(file)), dtype=dtype)


def pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def one_layer(layers: Any) -> Any:
    return layers[LAYER]


def leaves(tree: Any) -> dict[str, np.ndarray]:
    named = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in named}


def worst(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference over the largest magnitude."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_training_equals_pytorch(tmp_path: Path) -> None:
    """Logits, running statistics, and the gradient of a loss with a squared input gradient in it, in training mode."""
    torch = pytest.importorskip("torch")
    from tests.models.parity import images, ours, randomised, state_of
    from tests.models.reference.inverted_residual import TIMM, Kind, Named, Spec

    # Smooth functions, squeeze and excitation, a depthwise convolution and a sum around them; 4 batch normalisations.
    kind = Kind(((Spec(32, 192, 32, 3, 1, 8, torch.nn.SiLU),),), 1280, torch.nn.SiLU, squeeze=torch.nn.SiLU)
    stages = (efficientnet.Stage(1, 3, 1, 6, 32),)
    network = randomised(Named(kind, TIMM)).double().train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    x = images(33, 4).double().requires_grad_()
    weights = torch.randn(4, 1000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    file = tmp_path / "network.pth"
    torch.save(network.state_dict(), file)

    logits = network(x)
    (slope,) = torch.autograd.grad((logits * weights).sum(), x, create_graph=True)
    (logits.square().mean() + slope.square().mean()).backward()

    with jax.enable_x64(True):
        small = spec(lambda: efficientnet.port(efficientnet.plan(stages=stages)), size=33)
        ported = trainable(small, Choice(str(file), "timm"))
        params, statistics = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (ported.params, ported.statistics))

        def loss(params: Any, x: jax.Array) -> Any:
            def objective(x: jax.Array) -> Any:
                logits, moved = ported.forward(params, statistics, x, train=True, take=lambda layers: layers["logits"])
                return (logits * weights.numpy()).sum(), (logits, moved)

            slope, (logits, moved) = jax.grad(objective, has_aux=True)(x)
            return jnp.square(logits).mean() + jnp.square(slope).mean(), (logits, moved)

        differentiate = quick(jax.value_and_grad(loss, (0, 1), has_aux=True))
        (_, (found, moved)), (by_params, by_images) = differentiate(params, ours(x))
        # Both sides work in float64 from the same float32 weights; what is left is rounding, grown by two derivatives.
        assert worst(np.asarray(found), logits.detach().numpy()) < 1e-10
        assert worst(np.asarray(by_images), np.asarray(ours(x.grad))) < 1e-8
        gradients = leaves(by_params)
        assert set(gradients) == {name for name, _ in network.named_parameters()}
        for name, parameter in network.named_parameters():
            wanted = parameter.grad.numpy()
            axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[wanted.ndim]
            # The normalisation after it takes the last bias of a block away: its gradient is rounding around 0.
            np.testing.assert_allclose(gradients[name], wanted.transpose(axes), rtol=1e-8, atol=1e-14, err_msg=name)
            assert np.abs(wanted).max() > 1e-6 or name == "blocks.0.0.bn3.bias"
        stored = state_of(network)
        for name, statistic in leaves(moved).items():
            np.testing.assert_allclose(statistic, stored[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_evaluation_equals_the_folded_model(tmp_path: Path) -> None:
    network, x = made(lite, tmp_path), pictures()
    found, statistics = quick(network.forward)(network.params, network.statistics, x)
    jax.tree.map(np.testing.assert_array_equal, statistics, network.statistics)
    model = frozen(network, network.params, network.statistics, "digest")
    assert (model.weights_digest, model.pinned, model.spec) == ("digest", False, network.spec)
    scored = quick(model.apply)(model.params, x)
    assert set(scored) == set(found)
    for name, layer in scored.items():
        assert worst(np.asarray(layer), np.asarray(found[name])) < 1e-5, name
    # Nothing in the file is lost: it is what loading it for scoring gives, bit for bit.
    same = load(network.spec, Choice(str(tmp_path / "small.safetensors")))
    jax.tree.map(np.testing.assert_array_equal, same.params, model.params)


def test_weights_are_saved_and_read_again(tmp_path: Path) -> None:
    network = made(lite, tmp_path)
    trained = jax.tree.map(lambda leaf: leaf + 1, network.params)
    save_weights(tmp_path / "trained.safetensors", trained, network.statistics, network.spec)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.safetensors", "trained.safetensors"]
    again = trainable(network.spec, Choice(str(tmp_path / "trained.safetensors")))
    jax.tree.map(np.testing.assert_array_equal, again.params, trained)
    jax.tree.map(np.testing.assert_array_equal, again.statistics, network.statistics)


def test_own_files_are_refused_where_they_do_not_belong(tmp_path: Path) -> None:
    network, file = made(lite, tmp_path), tmp_path / "small.safetensors"
    with pytest.raises(InputError, match=r"weights of the model 'small', not of 'other'"):
        trainable(spec(lite, "other"), Choice(str(file)))
    before = file.read_bytes()
    with pytest.raises(InputError, match="is not overwritten"):
        save_weights(file, network.params, network.statistics, network.spec)
    assert file.read_bytes() == before
    with pytest.raises(InputError, match="cannot write the weights of 'small'"):
        save_weights(tmp_path / "missing" / "file", network.params, network.statistics, network.spec)
    (tmp_path / "cut").write_bytes(before[:200])
    with pytest.raises(InputError, match="truncated, damaged"):
        trainable(network.spec, Choice(str(tmp_path / "cut")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "small.safetensors"]


def loss(network: Trainable, forward: Any) -> Callable[[Any, Any], Any]:
    """Of parameters and images, in training mode; and the statistics afterwards."""

    def of(params: Any, images: Any) -> Any:
        layer, moved = forward(params, network.statistics, images, train=True, take=one_layer)
        return jnp.square(layer).mean(), moved

    return of


def test_narrow_numbers_inside_and_float32_outside(tmp_path: Path) -> None:
    network, narrow, x = made(lite, tmp_path), made(lite, tmp_path, dtype=jnp.bfloat16), pictures()
    value, gradient = jax.eval_shape(jax.value_and_grad(loss(narrow, narrow.forward), has_aux=True), narrow.params, x)
    assert {leaf.dtype for leaf in jax.tree.leaves((value, gradient, narrow.params))} == {jnp.dtype(jnp.float32)}
    exact, moved = quick(loss(network, network.forward))(network.params, x)
    rounded, also = quick(loss(narrow, narrow.forward))(network.params, x)
    # bfloat16 keeps 8 bits: half a percent an operation, of which some ten follow one another.
    assert 0 < abs(float(rounded) - float(exact)) < 0.03 * float(exact)
    for name, leaf in leaves(moved).items():
        np.testing.assert_allclose(leaves(also)[name], leaf, rtol=0.03, atol=0.03, err_msg=name)


def test_images_come_as_bytes_or_normalised(tmp_path: Path) -> None:
    network, x = made(vit_port, tmp_path), pictures()
    forward = quick(partial(network.forward, network.params, network.statistics, take=lambda layers: layers["tokens"]))
    normalised = normalise(x, network.spec.preprocessing)
    np.testing.assert_allclose(forward(x)[0], forward(normalised)[0], rtol=1e-5, atol=1e-6)


def test_second_derivatives_of_a_transformer_equal_finite_differences(tmp_path: Path) -> None:
    """Of a function of the input gradient, by images and parameters, along one direction; in float64."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        network = made(vit_port, tmp_path)
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), network.params)
        at = (params, jnp.asarray(rng.standard_normal((2, SIZE, SIZE, 3))))
        along = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape), at)
        weights = rng.standard_normal((2, 5))

        @quick
        @jax.value_and_grad
        def of_gradient(at: Any) -> Any:
            params, images = at

            def read(images: Any) -> Any:
                logits, _ = network.forward(params, {}, images, train=True, take=lambda layers: layers["logits"])
                return (logits * weights).sum()

            return jnp.square(jax.grad(read)(images)).sum()

        _, gradient = of_gradient(at)
        found = sum(
            float((leaf * step).sum()) for leaf, step in zip(*map(jax.tree.leaves, (gradient, along)), strict=True)
        )
        above, below = (
            float(of_gradient(jax.tree.map(lambda leaf, step, size=size: leaf + size * step, at, along))[0])
            for size in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(found, (above - below) / 2e-6, rtol=1e-6)


def test_kernels_are_what_inputs_are_multiplied_with(tmp_path: Path) -> None:
    named = leaves(kernels(made(vit_port, tmp_path).params))
    wanted = {"patch_embed.proj.weight", "head.weight", "head_dist.weight"}
    wanted |= {f"blocks.0.{part}.weight" for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    assert {name for name, kernel in named.items() if kernel} == wanted
    assert {"cls_token", "dist_token", "pos_embed", "blocks.0.norm1.weight", "blocks.0.ls1.gamma"} < set(named)


def test_designed_filters_are_not_trained(tmp_path: Path) -> None:
    network = made(lambda: vonenet.resnet_port((1,)), tmp_path)
    assert not [name for name in leaves(network.params) if name.startswith("vone_block")]
    filters = {name for name in leaves(network.statistics) if name.startswith("vone_block")}
    assert filters == {"vone_block.simple_conv_q0.weight", "vone_block.simple_conv_q1.weight"}
    _, moved = jax.eval_shape(lambda x: network.forward(network.params, network.statistics, x, train=True), pictures())
    assert jax.tree.structure(moved) == jax.tree.structure(network.statistics)
