"""Every model by name: which architecture, which weights, what input. Imports neither JAX nor an architecture."""

from models.catalogue import (
    alexnet,
    baselines,
    convnext,
    cornet,
    densenet,
    efficientnet,
    levit,
    maxvit,
    resnet,
    squeezenet,
    swin,
    vae,
    vgg,
    vonenet,
)

CONVOLUTIONAL = (alexnet, vgg, resnet, densenet, squeezenet, efficientnet, convnext)
ATTENTION = (swin, levit, maxvit)
CORTICAL = (cornet, vonenet)
UNSUPERVISED = (vae,)
SPECS = [spec for family in (*CONVOLUTIONAL, *ATTENTION, *CORTICAL, *UNSUPERVISED, baselines) for spec in family.SPECS]
