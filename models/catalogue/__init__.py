"""Every model by name: which architecture, which weights, what input. Imports neither JAX nor an architecture."""

from models.catalogue import alexnet, efficientnet, resnet

SPECS = [spec for family in (alexnet, efficientnet, resnet) for spec in family.SPECS]
