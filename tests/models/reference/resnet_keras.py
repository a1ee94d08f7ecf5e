"""Residual networks as keras-applications builds them, in PyTorch; and the .h5 file Keras would write of one."""

import io
from typing import Any

import h5py
import torch
from torch import nn
from torch.nn import functional

EPSILON = 1.001e-5


def convolution(incoming: int, out: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True) -> Any:
    return nn.Conv2d(incoming, out, kernel, stride, padding, bias=bias)


class BlockV1(nn.Module):
    def __init__(self, incoming: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        if first:
            self.conv0 = convolution(incoming, 4 * width, 1, stride)
            self.bn0 = nn.BatchNorm2d(4 * width, EPSILON)
        self.conv1, self.bn1 = convolution(incoming, width, 1, stride), nn.BatchNorm2d(width, EPSILON)
        self.conv2, self.bn2 = convolution(width, width, 3, 1, 1), nn.BatchNorm2d(width, EPSILON)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), nn.BatchNorm2d(4 * width, EPSILON)
        self.first = first

    def forward(self, x: Any) -> Any:
        shortcut = self.bn0(self.conv0(x)) if self.first else x
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(shortcut + self.bn3(self.conv3(y)))


class BlockV2(nn.Module):
    def __init__(self, incoming: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.preact_bn = nn.BatchNorm2d(incoming, EPSILON)
        if first:
            self.conv0 = convolution(incoming, 4 * width, 1, stride)
        self.conv1, self.bn1 = convolution(incoming, width, 1, bias=False), nn.BatchNorm2d(width, EPSILON)
        self.conv2, self.bn2 = convolution(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width, EPSILON)
        self.conv3 = convolution(width, 4 * width, 1)
        self.first, self.stride = first, stride

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.preact_bn(x))
        shortcut = self.conv0(y) if self.first else functional.max_pool2d(x, 1, self.stride)
        y = torch.relu(self.bn1(self.conv1(y)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return shortcut + self.conv3(y)


class ResNet(nn.Module):
    """Takes red, green, blue; version 1 turns them round first, as Keras's preprocessing does."""

    def __init__(self, version: int, depths: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.version = version
        self.conv1_conv = convolution(3, 64, 7, 2, 3)
        if version == 1:
            self.conv1_bn = nn.BatchNorm2d(64, EPSILON)
            self.conv1_relu = nn.ReLU()
        self.pool1_pad, self.pool1_pool = nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)
        incoming = 64
        self.names = []
        for stage, depth in enumerate(depths):
            for index in range(depth):
                if version == 1:
                    stride = 2 if stage and not index else 1
                else:
                    stride = 2 if stage < len(depths) - 1 and index == depth - 1 else 1
                self.names.append(f"conv{stage + 2}_block{index + 1}")
                block = BlockV1 if version == 1 else BlockV2
                self.add_module(self.names[-1], block(incoming, width * 2**stage, stride, not index))
                incoming = 4 * width * 2**stage
        if version == 2:
            self.post_bn, self.post_relu = nn.BatchNorm2d(incoming, EPSILON), nn.ReLU()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.predictions = nn.Linear(incoming, 1000)

    def forward(self, x: Any) -> Any:
        x = self.conv1_conv(x.flip(1) if self.version == 1 else x)
        if self.version == 1:
            x = self.conv1_relu(self.conv1_bn(x))
        x = self.pool1_pool(self.pool1_pad(x))
        for name in self.names:
            x = getattr(self, name)(x)
        if self.version == 2:
            x = self.post_relu(self.post_bn(x))
        return self.predictions(self.avg_pool(x).flatten(1))


LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def keras_layers(network: ResNet) -> dict[str, dict[str, Any]]:
    """Keras's layer -> tensor -> array, kernels as Keras holds them."""
    layers: dict[str, dict[str, Any]] = {}
    for name, tensor in network.state_dict().items():
        path, leaf = name.rsplit(".", 1)
        if leaf == "num_batches_tracked":
            continue
        block, _, part = path.rpartition(".")
        kind = part.rstrip("0123")
        if block and part != "preact_bn":
            part = f"{part[-1]}_{kind}"
        layer = f"{block}_{part}" if block else part
        if not kind.endswith("bn"):
            leaf = {"weight": "kernel", "bias": "bias"}[leaf]
            tensor = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
        else:
            leaf = LEAVES[leaf]
        layers.setdefault(layer, {})[leaf] = tensor.numpy()
    return layers


def keras_file(network: ResNet) -> bytes:
    """As ``save_weights`` writes it with TensorFlow."""
    stream = io.BytesIO()
    layers = keras_layers(network)
    with h5py.File(stream, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, tensors in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in tensors]
            for name, tensor in tensors.items():
                group[f"{layer}/{name}:0"] = tensor
    return stream.getvalue()
