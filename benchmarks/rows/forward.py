"""M1 to M3: images per second through a model, against the same network with the same weights in PyTorch."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.comparison import Contender, compare, fastest
from benchmarks.rows.row import Row

IMAGES, SIZE = 32, 224
QUICK = 2
LOGITS = 1e-4  # largest difference relative to the largest logit


class Network(NamedTuple):
    """One model.

    Attributes:
        title: for the table.
        model: its name in the zoo.
        torch: makes it in PyTorch, with the tensor names that the port reads.
        multiplications: of one image at 224 pixels, as published, in G.
    """

    title: str
    model: str
    torch: Callable[[], Any]
    multiplications: float


def _resnet50() -> Any:
    from tests.models.reference.resnet import ResNet

    return ResNet((3, 4, 6, 3), 4)


def _alexnet() -> Any:
    from tests.models.test_alexnet import AlexNet

    return AlexNet()


def _vit() -> Any:
    from tests.models.reference.vit import TimmViT

    return TimmViT(768, 12, 12, 16, 224, 1000)


NETWORKS = {
    "M1": Network("ResNet-50", "resnet50", _resnet50, 4.09),
    "M2": Network("ViT-B/16", "vit-base-patch16", _vit, 17.56),
    "M3": Network("AlexNet", "alexnet", _alexnet, 0.71),
}


def run(network: Network, quick: bool) -> dict[str, Any]:
    """Logits of a batch, from normalised images in memory."""
    import torch

    from models import zoo
    from models.parts.norm import fold
    from models.port import assemble, pure
    from tests.models.parity import randomised, state_of

    theirs = randomised(network.torch())
    spec = zoo.spec(network.model)
    port = spec.port()
    module = assemble(port, state_of(theirs), "random weights")
    fold(module)
    apply, params = pure(module, port, spec.preprocessing)
    forward = jax.jit(lambda params, images: apply(params, images)[port.readout])
    batch = np.random.default_rng(0).standard_normal((QUICK if quick else IMAGES, SIZE, SIZE, 3), dtype=np.float32)
    images = jnp.asarray(batch)
    channels_first = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))

    def eager(model: Any, x: Any) -> np.ndarray:
        with torch.inference_mode():
            return model(x).numpy()

    wanted = eager(theirs, channels_first)
    nhwc = channels_first.to(memory_format=torch.channels_last)
    last = randomised(network.torch()).to(memory_format=torch.channels_last)
    eager_runs = {
        "eager": partial(eager, theirs, channels_first),
        "eager, channels last": partial(eager, last, nhwc),
    }
    best, tried = fastest(eager_runs)
    peers = [Contender(f"PyTorch {best}", eager_runs[best], None, "", tried)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is announced as deprecated; its freezing folds and fuses
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(last, nhwc)))
    peers.append(Contender("PyTorch traced, frozen and fused", partial(eager, frozen, nhwc)))
    ours = Contender("corticalign", lambda: forward(params, images), partial(graded, wanted))
    cost = {"multiply-adds": 2e9 * network.multiplications * len(batch)}
    found = compare([ours], peers, dtype="float32", cost=cost, quick=quick, goal=1.0)
    main, one, *_ = found["entries"]
    rates = ", ".join(f"{entry['name']} {len(batch) / entry['median']:.1f}" for entry in found["entries"])
    found["ratio"] = one["median"] / main["median"]  # the goal is about PyTorch as most people run it
    return {"sizes": {"images": len(batch), "pixels": SIZE}, "notes": [f"images per second: {rates}"], **found}


def graded(wanted: np.ndarray, logits: jax.Array) -> Agreement:
    """Of the logits with PyTorch's."""
    found = np.asarray(logits)
    apart = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(found, wanted, strict=True)])
    return Agreement(float(np.max(1 - r)), float(np.median(1 - r)), 0, 0.0, apart <= LOGITS, apart)


def row(network: Network) -> Row:
    """The line of the table."""
    work = f"{network.title}, {IMAGES} images of {SIZE} pixels to logits, random weights"
    return Row(work, "PyTorch eager", 1.0, "1x PyTorch eager", 1.5, partial(run, network))


ROWS = {name: row(network) for name, network in NETWORKS.items()}
