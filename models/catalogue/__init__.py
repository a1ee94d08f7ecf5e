"""Every model by name: which architecture, which weights, what input. Imports neither JAX nor an architecture."""

from models.catalogue import (
    alexnet,
    baselines,
    clip,
    convnext,
    cornet,
    densenet,
    dino,
    efficientnet,
    levit,
    maxvit,
    mobilenet,
    resnet,
    resnet_keras,
    self_supervised,
    squeezenet,
    swin,
    vae,
    vgg,
    vit,
    vonenet,
)

CONVOLUTIONAL = (alexnet, vgg, resnet, resnet_keras, densenet, squeezenet, mobilenet, efficientnet, convnext)
ATTENTION = (vit, swin, levit, maxvit)
CORTICAL = (cornet, vonenet)
UNSUPERVISED = (self_supervised, dino, clip, vae)
SPECS = [spec for family in (*CONVOLUTIONAL, *ATTENTION, *CORTICAL, *UNSUPERVISED, baselines) for spec in family.SPECS]
