"""The architectures by the names that people call them: one table, from which the plugin registers each of them twice.

`AlexNet` and `alexnet` are the same model. What cannot be computed stands here: which network a name means, the images
that it takes, what it is good for, how early it is worth trying (its tier), and what is known to suit it (its profile:
values of a study's parameters by their dotted paths, which are tried first where the study searches them). What can be
computed, `hpo models describe` computes.

Five names are in circulation that no published classifier has. They stand for the nearest honest thing, and say so:
`substitute_for` in the table becomes an attribute of the factory and the beginning of what `hpo list models` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpo_models import torchvision_index
from hpo_models.bayesian import bayesian_resnet18
from hpo_models.complex_net import complex_net
from hpo_models.diffuser import noised_resnet18
from hpo_models.pytorchcv_models import airnet, airnext, bagnet, fractalnet
from hpo_models.resnets import resnet18, resnet34, resnet50, resnet101
from hpo_models.sizes import ANY, Sizes
from hpo_models.timm_models import timm_model
from hpo_models.torchvision_models import torchvision_preset

Build = Callable[..., Any]
Profile = dict[str, Any]

FROM_SCRATCH: Profile = {
    "optimizer": "sgd",
    "optimizer.sgd.lr": 0.05,
    "optimizer.sgd.momentum": 0.9,
    "optimizer.sgd.weight_decay": 5e-4,
    "lr_scheduler": "cosine",
}
"""Convolutional networks with batch norm (He et al. 2016, at a batch of 128)."""

GENTLE: Profile = FROM_SCRATCH | {"optimizer.sgd.lr": 0.01}
"""Convolutional networks without batch norm, which a rate of 0.05 makes diverge (Simonyan & Zisserman 2015)."""

ATTENTIVE: Profile = {
    "optimizer": "adamw",
    "optimizer.adamw.lr": 5e-4,
    "optimizer.adamw.weight_decay": 0.05,
    "lr_scheduler": "cosine",
}
"""Transformers, and what was designed after them (Touvron et al. 2021, Liu et al. 2022, at a batch of 512)."""


@dataclass(frozen=True)
class Architecture:
    """A row of the table. `name` is what people write, `plain` the same in a study file's manner."""

    name: str
    plain: str
    build: Build
    what: str
    use_cases: tuple[str, ...]
    sizes: Sizes = ANY
    tier: int | None = None
    profile: Profile = field(default_factory=dict)
    substitute_for: str | None = None

    def factory(self) -> Build:
        """The factory to register: `build` with what the table knows as attributes and docstring."""
        preset = {} if self.sizes == ANY else {"sizes": self.sizes}
        factory: Any = partial(self.build, **preset)
        factory.use_cases = self.use_cases
        factory.profile = self.profile
        factory.sizes = factory.keywords.get("sizes", ANY)
        factory.substitute_for = self.substitute_for
        factory.__doc__ = self._document(factory.sizes)
        return factory  # type: ignore[no-any-return]

    def _document(self, sizes: Sizes) -> str:
        first = f"A substitute for {self.substitute_for}. It is " if self.substitute_for else ""
        first += self.what + (f"; {sizes.words}." if sizes != ANY else ".")
        return f"{first}\n\nUse cases: {'; '.join(self.use_cases)}."


def _tv(architecture: str) -> partial[Any]:
    return torchvision_preset(torchvision_index.lines()[architecture])


def _timm(architecture: str, **preset: Any) -> partial[Any]:
    return partial(timm_model, architecture=architecture, sizes=ANY, **preset)


ZOO: tuple[Architecture, ...] = (
    Architecture(
        "AlexNet",
        "alexnet",
        _tv("alexnet"),
        "AlexNet (Krizhevsky 2014), torchvision's alexnet",
        ("teaching", "a baseline of 2012"),
        profile=GENTLE,
    ),
    Architecture(
        "BagNet",
        "bagnet",
        bagnet,
        "BagNet (Brendel & Bethge 2019), pytorchcv's bagnet9",
        ("textures", "decisions that can be traced to patches"),
        sizes=Sizes(9),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ConvNeXt",
        "convnext",
        _tv("convnext_tiny"),
        "ConvNeXt-T (Liu et al. 2022), torchvision's convnext_tiny",
        ("large data sets", "fine-tuning"),
        tier=3,
        profile=ATTENTIVE,
    ),
    Architecture(
        "ConvNeXtTransformer",
        "convnext-transformer",
        _timm("coatnext_nano_rw_224"),
        "timm's coatnext_nano_rw_224, ConvNeXt blocks and then attention",
        ("large data sets", "local and global structure together"),
        sizes=Sizes(32, 32),
        profile=ATTENTIVE,
        substitute_for="ConvNeXtTransformer, a name of an image captioning model",
    ),
    Architecture(
        "DarkNet",
        "darknet",
        _timm("darknet53"),
        "DarkNet-53 (Redmon & Farhadi 2018), timm's darknet53",
        ("a backbone for detection",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "DenseNet",
        "densenet",
        _tv("densenet121"),
        "DenseNet-121 (Huang et al. 2017), torchvision's densenet121",
        ("small data sets", "few parameters"),
        tier=2,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "EfficientNet",
        "efficientnet",
        _tv("efficientnet_b0"),
        "EfficientNet-B0 (Tan & Le 2019), torchvision's efficientnet_b0",
        ("accuracy per FLOP", "mobile devices"),
        tier=2,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "FractalNet",
        "fractalnet",
        fractalnet,
        "FractalNet (Larsson et al. 2017), pytorchcv's fractalnet_cifar10",
        ("research on networks without residual connections",),
        sizes=Sizes(32, most=63),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "GoogLeNet",
        "googlenet",
        _tv("googlenet"),
        "GoogLeNet (Szegedy et al. 2015) without auxiliary classifiers, torchvision's googlenet",
        ("a light baseline",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ICNet",
        "icnet",
        _timm("hrnet_w18_small", drop_path_rate=None),
        "timm's hrnet_w18_small, which keeps several resolutions side by side as ICNet does",
        ("fine detail",),
        sizes=Sizes(32, 32),
        profile=FROM_SCRATCH,
        substitute_for="ICNet, a network for segmentation",
    ),
    Architecture(
        "InceptionV3",
        "inception-v3",
        _tv("inception_v3"),
        "Inception v3 (Szegedy et al. 2016) without the auxiliary classifier, torchvision's inception_v3",
        ("large images",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "MNASNet",
        "mnasnet",
        _tv("mnasnet1_0"),
        "MNASNet 1.0 (Tan et al. 2019), torchvision's mnasnet1_0",
        ("mobile devices",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "MaxVit",
        "maxvit",
        _tv("maxvit_t"),
        "MaxViT-T (Tu et al. 2022), torchvision's maxvit_t",
        ("large data sets", "large images"),
        profile=ATTENTIVE,
    ),
    Architecture(
        "MobileNetV2",
        "mobilenet-v2",
        _tv("mobilenet_v2"),
        "MobileNet v2 (Sandler et al. 2018), torchvision's mobilenet_v2",
        ("mobile devices", "quantization"),
        tier=2,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "MobileNetV3",
        "mobilenet-v3",
        _tv("mobilenet_v3_large"),
        "MobileNet v3 (Howard et al. 2019), torchvision's mobilenet_v3_large",
        ("mobile devices",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "RegNet",
        "regnet",
        _tv("regnet_y_400mf"),
        "RegNetY-400MF (Radosavovic et al. 2020), torchvision's regnet_y_400mf",
        ("small and fast on GPUs",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ResNet",
        "resnet",
        resnet18,
        "ResNet-18 (He et al. 2016), another name of ResNet18",
        ("a first baseline",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ResNet18",
        "resnet18",
        resnet18,
        "ResNet-18 (He et al. 2016), torchvision's resnet18 with a stem for images of any size",
        ("a first baseline", "small data sets"),
        tier=1,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ResNet34",
        "resnet34",
        resnet34,
        "ResNet-34 (He et al. 2016), torchvision's resnet34 with a stem for images of any size",
        ("a baseline with more room than ResNet-18",),
        tier=1,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ResNet50",
        "resnet50",
        resnet50,
        "ResNet-50 (He et al. 2016), torchvision's resnet50 with a stem for images of any size",
        ("fine-tuning", "comparison with published results"),
        tier=1,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ResNet101",
        "resnet101",
        resnet101,
        "ResNet-101 (He et al. 2016), torchvision's resnet101 with a stem for images of any size",
        ("large data sets",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "ShuffleNet",
        "shufflenet",
        _tv("shufflenet_v2_x1_0"),
        "ShuffleNet v2 (Ma et al. 2018), torchvision's shufflenet_v2_x1_0",
        ("mobile devices", "quick trials"),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "SqueezeNet",
        "squeezenet",
        _tv("squeezenet1_1"),
        "SqueezeNet 1.1 (Iandola et al. 2016), torchvision's squeezenet1_1",
        ("the smallest files",),
        profile=GENTLE,
    ),
    Architecture(
        "SwinTransformer",
        "swin-transformer",
        _tv("swin_t"),
        "Swin-T (Liu et al. 2021), torchvision's swin_t",
        ("large data sets", "a backbone for detection"),
        tier=3,
        profile=ATTENTIVE,
    ),
    Architecture(
        "VGG",
        "vgg",
        _tv("vgg16_bn"),
        "VGG-16 with batch norm (Simonyan & Zisserman 2015), torchvision's vgg16_bn",
        ("features for style and perceptual losses", "a baseline of 2015"),
        tier=2,
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "VisionTransformer",
        "vision-transformer",
        _tv("vit_b_16"),
        "ViT-B/16 (Dosovitskiy et al. 2021), torchvision's vit_b_16",
        ("large data sets", "fine-tuning"),
        tier=3,
        profile=ATTENTIVE,
    ),
    Architecture(
        "AirNet",
        "airnet",
        airnet,
        "AirNet-50 (Yang et al. 2019), pytorchcv's airnet50_1x64d_r2",
        ("attention inside residual blocks",),
        sizes=Sizes(32, 32),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "AirNext",
        "airnext",
        airnext,
        "AirNeXt-50 (Yang et al. 2019), pytorchcv's airnext50_32x4d_r2",
        ("attention inside residual blocks",),
        sizes=Sizes(32, 32),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "BayesianNet",
        "bayesian-net",
        bayesian_resnet18,
        "a ResNet-18 whose weights are normal distributions (Blundell et al. 2015)",
        ("uncertainty", "small data sets"),
        profile=FROM_SCRATCH,
        substitute_for="BayesianNet, which no published classifier is called",
    ),
    Architecture(
        "ComplexNet",
        "complex-net",
        complex_net,
        "a small network of complex convolutions (after Trabelsi et al. 2018)",
        ("signals with phase", "research"),
        profile=FROM_SCRATCH,
        substitute_for="ComplexNet, which no published classifier is called",
    ),
    Architecture(
        "DPN68",
        "dpn68",
        _timm("dpn68", drop_path_rate=None),
        "DPN-68 (Chen et al. 2017), timm's dpn68",
        ("residual and dense connections together",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "DPN107",
        "dpn107",
        _timm("dpn107", drop_path_rate=None),
        "DPN-107 (Chen et al. 2017), timm's dpn107",
        ("large data sets",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "DPN131",
        "dpn131",
        _timm("dpn131", drop_path_rate=None),
        "DPN-131 (Chen et al. 2017), timm's dpn131",
        ("large data sets",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "Diffuser",
        "diffuser",
        noised_resnet18,
        "a ResNet-18 on images of a diffusion process, told how noisy they are",
        ("noisy images", "guiding a diffusion model"),
        profile=FROM_SCRATCH,
        substitute_for="Diffuser, since diffusion models generate images and tell no classes apart",
    ),
    Architecture(
        "EfficientNetV2",
        "efficientnet-v2",
        _tv("efficientnet_v2_s"),
        "EfficientNetV2-S (Tan & Le 2021), torchvision's efficientnet_v2_s",
        ("accuracy per second of training",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "MobileNetV4",
        "mobilenet-v4",
        _timm("mobilenetv4_conv_small"),
        "MobileNetV4 Conv-S (Qin et al. 2024), timm's mobilenetv4_conv_small",
        ("mobile devices",),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "NASNet",
        "nasnet",
        _timm("nasnetalarge", drop_path_rate=None),
        "NASNet-A Large (Zoph et al. 2018), timm's nasnetalarge",
        ("large data sets", "the longest of trainings"),
        sizes=Sizes(3),
        profile=FROM_SCRATCH,
    ),
    Architecture(
        "Xception",
        "xception",
        _timm("legacy_xception", drop_path_rate=None),
        "Xception (Chollet 2017), timm's legacy_xception",
        ("fine-tuning", "forgery detection"),
        sizes=Sizes(7),
        profile=FROM_SCRATCH,
    ),
)
"""The 38 names. Those of the same network (ResNet, ResNet18) share everything but the tier."""
