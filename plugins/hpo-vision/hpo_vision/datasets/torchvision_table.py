"""torchvision's sets of classified images: what their parts are called, and where labels and classes' names are.

torchvision has no common way to ask for either without decoding every image, so this is written down, underscores
included, and compared with the first image when a set is opened. A test compares the table with what torchvision has.

Every set has the parts train, val and test here. Where torchvision has no labelled test part, its val part is test, for
that is what results are published on; a val part that is missing is taken from train; a set that is not divided is
divided by fractions. LFWPeople's and Omniglot's own parts show different people and characters: they are taken whole.

CIFAR's files are pickles, which can run code. torchvision compares their MD5 with the published ones before it opens
them, and nothing else opens them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_vision.datasets.changes import CHARACTERS, DIGITS, LETTERS, SIGNS, TEXT, Changes
from hpo_vision.datasets.cifar100 import SUPERCLASSES

Parts = Mapping[str, Mapping[str, Any]]
"""The arguments that open each part: `train`, `test` and perhaps `val`, or `all`."""

_TRAIN: Parts = {"train": {"train": True}, "test": {"train": False}}
_SPLIT: Parts = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE: Parts = {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}
_NO_TEST: Parts = {"train": {"split": "train"}, "test": {"split": "val"}}
_WHOLE: Parts = {"all": {}}

_TEN = tuple("0123456789")


def _with(parts: Parts, **more: Any) -> Parts:
    return {part: {**arguments, **more} for part, arguments in parts.items()}


@dataclass(frozen=True, eq=False)
class Source:
    """One of torchvision's classes. `variants` has the parts of each variant of the set, the usual one first.

    `labels` is the attribute of the labels, and `column` where they are if it is a list of rows. `classes` is that of
    the names, or the names. `merged` has the classes that are one class here, by its name. Classes with fewer than
    `least` images are left out. `downloads` is False where torchvision cannot get the set.
    """

    name: str
    about: str
    variants: Mapping[str, Parts]
    labels: str = "targets"
    column: int | None = None
    classes: str | tuple[str, ...] = "classes"
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    changes: Changes = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: int = 1
    downloads: bool = True


def _source(name: str, about: str, parts: Parts, **more: Any) -> Source:
    return Source(name, about, {"": parts}, **more)


_CIFAR10_GROUPS = {
    "animals": ("bird", "cat", "deer", "dog", "frog", "horse"),
    "vehicles": ("airplane", "automobile", "ship", "truck"),
}
_STL10_GROUPS = {
    "animals": ("bird", "cat", "deer", "dog", "horse", "monkey"),
    "vehicles": ("airplane", "car", "ship", "truck"),
}
_FASHION_GROUPS = {
    "shoes": ("Sandal", "Sneaker", "Ankle boot"),
    "tops": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
}
CIFAR20_GROUPS = {
    "animals": (
        "aquatic_mammals",
        "fish",
        "insects",
        "large_carnivores",
        "large_omnivores_and_herbivores",
        "medium_mammals",
        "non-insect_invertebrates",
        "reptiles",
        "small_mammals",
    ),
    "household": ("food_containers", "household_electrical_devices", "household_furniture"),
    "outdoors": ("large_man-made_outdoor_things", "large_natural_outdoor_scenes"),
    "plants": ("flowers", "fruit_and_vegetables", "trees"),
    "vehicles": ("vehicles_1", "vehicles_2"),
}
_FACES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

SOURCES = (
    _source("CIFAR10", "32x32 photographs of animals and vehicles", _TRAIN, groups=_CIFAR10_GROUPS),
    _source(
        "CIFAR100",
        "32x32 photographs of 100 classes in 20 superclasses",
        _TRAIN,
        groups=SUPERCLASSES,
    ),
    _source(
        "CLEVRClassification",
        "rendered scenes of 3 to 10 objects, which are counted",
        _NO_TEST,
        labels="_labels",
        classes=tuple(str(count) for count in range(11)),
    ),
    _source("Caltech101", "objects, 101 classes", _WHOLE, labels="y", classes="categories"),
    _source("Caltech256", "objects, 257 classes", _WHOLE, labels="y", classes="categories"),
    _source(
        "Country211",
        "photographs by the country they were taken in",
        {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
    ),
    Source(
        "DTD",
        "textures, 47 classes; a variant is one of ten divisions",
        {str(number): _with(_THREE, partition=number) for number in range(1, 11)},
        labels="_labels",
    ),
    Source(
        "EMNIST",
        "28x28 handwritten letters and digits; the variants differ in the classes",
        {
            split: _with(_TRAIN, split=split)
            for split in ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
        },
        changes=LETTERS,
    ),
    _source("EuroSAT", "64x64 satellite images, 10 uses of land", _WHOLE),
    _source(
        "FER2013",
        "48x48 faces, 7 expressions; only fer2013.csv and icml_face_data.csv have all labels",
        _SPLIT,
        labels="_samples",
        column=1,
        classes=_FACES,
        downloads=False,
    ),
    Source(
        "FGVCAircraft",
        "aeroplanes; the variants name the model, its family or the manufacturer",
        {
            level: _with(_THREE, annotation_level=level)
            for level in ("variant", "family", "manufacturer")
        },
        labels="_labels",
    ),
    _source("FashionMNIST", "28x28 pieces of clothing", _TRAIN, groups=_FASHION_GROUPS),
    _source("Flowers102", "flowers, 102 classes", _THREE, labels="_labels"),
    _source("Food101", "dishes, 101 classes", _SPLIT, labels="_labels"),
    _source(
        "GTSRB",
        "traffic signs, 43 classes",
        _SPLIT,
        labels="_samples",
        column=1,
        classes=tuple(str(number) for number in range(43)),
        changes=SIGNS,
    ),
    Source(
        "INaturalist",
        "plants and animals, up to 10,000 species",
        {
            "2021_train_mini": {
                "train": {"version": "2021_train_mini"},
                "test": {"version": "2021_valid"},
            },
            "2021_train": {"train": {"version": "2021_train"}, "test": {"version": "2021_valid"}},
            "2017": {"all": {"version": "2017"}},
            "2018": {"all": {"version": "2018"}},
            "2019": {"all": {"version": "2019"}},
        },
        labels="index",
        column=0,
        classes="all_categories",
    ),
    _source("ImageNet", "photographs, 1,000 classes", _NO_TEST, downloads=False),
    Source(
        "Imagenette",
        "ten easy classes of ImageNet; the variants are sizes of the shorter side",
        {size: _with(_NO_TEST, size=size) for size in ("160px", "320px", "full")},
        labels="_samples",
        column=1,
    ),
    _source("KMNIST", "28x28 handwritten Japanese characters", _TRAIN, changes=CHARACTERS),
    Source(
        "LFWPeople",
        "faces, of people with ten images or more; the variants are ways of alignment",
        {
            images: {"all": {"image_set": images}}
            for images in ("funneled", "deepfunneled", "original")
        },
        classes="class_to_idx",
        least=10,
        downloads=False,
    ),
    _source("MNIST", "28x28 handwritten digits", _TRAIN, changes=DIGITS),
    Source(
        "Omniglot",
        "handwritten characters of 30 or 20 alphabets",
        {"background": {"all": {"background": True}}, "evaluation": {"all": {"background": False}}},
        labels="_flat_character_images",
        column=1,
        classes="_characters",
        changes=CHARACTERS,
    ),
    _source(
        "OxfordIIITPet",
        "cats and dogs, 37 breeds",
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
        labels="_labels",
    ),
    _source(
        "PCAM",
        "96x96 slices of lymph nodes, with a tumour in the middle or without; needs h5py",
        _THREE,
        labels="h5",
        classes=("normal", "tumour"),
    ),
    Source(
        "Places365",
        "photographs, 365 kinds of places; the variants are sizes of the images",
        {
            "small": {
                "train": {"split": "train-standard", "small": True},
                "test": {"split": "val", "small": True},
            },
            "large": {"train": {"split": "train-standard"}, "test": {"split": "val"}},
        },
    ),
    _source(
        "QMNIST", "28x28 handwritten digits, 60,000 to test on", _TRAIN, column=0, changes=DIGITS
    ),
    _source(
        "RenderedSST2",
        "sentences, positive or negative",
        _THREE,
        labels="_samples",
        column=1,
        changes=TEXT,
    ),
    _source(
        "SEMEION", "16x16 handwritten digits", _WHOLE, labels="labels", classes=_TEN, changes=DIGITS
    ),
    _source(
        "STL10",
        "96x96 photographs of animals and vehicles",
        _SPLIT,
        labels="labels",
        groups=_STL10_GROUPS,
    ),
    _source("SUN397", "photographs, 397 kinds of scenes", _WHOLE, labels="_labels"),
    _source(
        "SVHN",
        "32x32 photographs of house numbers",
        _SPLIT,
        labels="labels",
        classes=_TEN,
        changes=DIGITS,
    ),
    _source(
        "StanfordCars", "cars, 196 models", _SPLIT, labels="_samples", column=1, downloads=False
    ),
    _source("USPS", "16x16 handwritten digits", _TRAIN, classes=_TEN, changes=DIGITS),
)

CIFAR20 = _source(
    "CIFAR100",
    "the 20 superclasses of CIFAR-100",
    _TRAIN,
    merged=SUPERCLASSES,
    groups=CIFAR20_GROUPS,
)

OTHERS = {
    "CarlaStereo": "stereo",
    "CelebA": "many attributes per image, no class",
    "Cityscapes": "segmentation",
    "CocoCaptions": "captions",
    "CocoDetection": "detection",
    "CREStereo": "stereo",
    "DatasetFolder": "people's own files: image-folder",
    "ETH3DStereo": "stereo",
    "FakeData": "noise",
    "FallingThingsStereo": "stereo",
    "Flickr30k": "captions",
    "Flickr8k": "captions",
    "FlyingChairs": "optical flow",
    "FlyingThings3D": "optical flow",
    "HD1K": "optical flow",
    "HMDB51": "video",
    "ImageFolder": "people's own files: image-folder",
    "InStereo2k": "stereo",
    "Kinetics": "video",
    "Kitti": "detection",
    "Kitti2012Stereo": "stereo",
    "Kitti2015Stereo": "stereo",
    "KittiFlow": "optical flow",
    "LFWPairs": "pairs",
    "LSUN": "needs a database of its own (lmdb), and no longer has a test part",
    "LSUNClass": "one class",
    "Middlebury2014Stereo": "stereo",
    "MovingMNIST": "video",
    "PhotoTour": "pairs",
    "SBDataset": "segmentation",
    "SBU": "captions",
    "SceneFlowStereo": "stereo",
    "Sintel": "optical flow",
    "SintelStereo": "stereo",
    "UCF101": "video",
    "VOCDetection": "detection",
    "VOCSegmentation": "segmentation",
    "VisionDataset": "what the others have in common",
    "WIDERFace": "detection",
}
"""What else torchvision has, and why it is not offered."""
