"""A variational autoencoder with the tensor names of our port."""

from typing import Any

import torch
from torch import nn


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        down, up = (3, 32, 32, 64, 64), (64, 64, 32, 32, 3)
        self.encoder = nn.ModuleList([nn.Conv2d(down[place], down[place + 1], 4, 2, 1) for place in range(4)])
        self.encoder.append(nn.Linear(1024, 256))
        self.mean, self.logvar = nn.Linear(256, 32), nn.Linear(256, 32)
        self.decoder = nn.ModuleList([nn.Linear(32, 256), nn.Linear(256, 1024)])
        self.decoder.extend(nn.ConvTranspose2d(up[place], up[place + 1], 4, 2, 1) for place in range(4))

    def forward(self, x: Any) -> Any:
        for place, step in enumerate(self.encoder):
            x = torch.relu(step(x.flatten(1) if place == 4 else x))
        self.logvar(x)
        x = self.mean(x)
        for place, step in enumerate(self.decoder):
            x = step(x.view(-1, 64, 4, 4) if place == 2 else x)
            x = torch.sigmoid(x) if place == 5 else torch.relu(x)
        return x
