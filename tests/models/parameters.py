"""Published numbers of parameters: torchvision's and timm's tables, the papers where these have none."""

PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet-trunk": 2_469_696,  # AlexNet less its three matrix products
    "efficientnet-lite0": 4_652_008,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide-resnet50-2": 68_883_240,
    "resnext50-32x4d": 25_028_904,
    "resnext101-32x8d": 88_791_336,
}
