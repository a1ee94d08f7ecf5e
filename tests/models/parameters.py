"""Published numbers of parameters: torchvision's and timm's tables, the papers where these have none."""

PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet-trunk": 2_469_696,  # AlexNet less its three matrix products
    "efficientnet-lite0": 4_652_008,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet50-v2-recipe": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide-resnet50-2": 68_883_240,
    "resnext50-32x4d": 25_028_904,
    "resnext101-32x8d": 88_791_336,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11-bn": 132_868_840,
    "vgg13-bn": 133_053_736,
    "vgg16-bn": 138_365_992,
    "vgg19-bn": 143_678_248,
    "vgg16-trunk": 14_714_688,  # VGG-16 less its three matrix products
    "squeezenet1-0": 1_248_424,
    "squeezenet1-1": 1_235_496,
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    # No totals are published: these count the tensors of the reference networks in PyTorch.
    "cornet-z": 2_071_656,
    "cornet-rt": 5_208_936,
    "cornet-s": 53_416_616,
    "vone-resnet50": 27_500_264,
    "vone-cornet-s": 55_322_856,
    "vae": 783_235,
    "pixels": 0,
    "gabor": 0,
    "convnext-tiny": 28_589_128,
    "convnext-small": 50_223_688,
    "convnext-base": 88_591_464,
    "convnext-large": 197_767_336,
    "swin-tiny": 28_288_354,
    "maxvit-tiny": 30_919_624,
    "levit-256": 18_893_876,  # published as 18.89 million
    "levit-128": 9_213_936,
    "levit-small": 8_828_168,  # levit-128 less its second head, 385,768
}
