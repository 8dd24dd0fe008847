"""The augmentations: each image its own way, the same for a seed, the same shape and range, the right targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hpo_vision.augmentations import _colouring, _warping
from hpo_vision.augmentations._mixing import boxes
from recorded import Calls, component, network, points
from test_resume import attempt, numbers, saved, squares
from torch import Tensor
from torchvision.transforms.v2 import functional

from hpo_core import InputShape
from hpo_core.testing.training import built, installed_catalog

SHAPE = InputShape(3, 12, 16, 5)
ALL: dict[str, Any] = {
    "flip": {},
    "crop": {},
    "resized-crop": {},
    "affine": {"shear": 0.2},
    "color-jitter": {"hue": 0.1},
    "erasing": {"probability": 1.0},
    "trivial-augment": {},
    "rand-augment": {"magnitude": 1.0},
    "aug-mix": {"strength": 1.0},
    "mixup": {"alpha": 1.0},
    "cutmix": {},
    "degrade": {"blur": 1.0, "jpeg": 1.0},
    "sequence": {"of": ["crop", "trivial-augment", "mixup"]},
}
IDLE: dict[str, Any] = {
    "none": {},
    "flip": {"horizontal": 0.0},
    "crop": {"padding": 0.0},
    "resized-crop": {"area": 1.0, "stretch": 1.0},
    "affine": {"degrees": 0, "move": 0, "zoom": 0},
    "color-jitter": {"brightness": 0, "contrast": 0, "saturation": 0},
    "erasing": {"area": 0.0},
    "trivial-augment": {"strength": 0.0},
    "rand-augment": {"magnitude": 0.0, "operations": 8},
    "aug-mix": {"strength": 0.0},
    "mixup": {"alpha": 0.0},
    "cutmix": {"alpha": 0.0},
    "degrade": {"strength": 0.0, "blur": 1.0, "coarse": 1.0, "noise": 1.0, "jpeg": 1.0},
    "sequence": {"of": ["none", {"name": "crop", "padding": 0.0}]},
}


def augmented(
    name: str,
    images: Tensor,
    labels: Tensor,
    seed: int = 0,
    shape: InputShape = SHAPE,
    **options: Any,
) -> Any:
    augment = built("augmentations", {"name": name, **options}, shape)
    torch.manual_seed(seed)
    return augment(images, labels)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Photographs of nothing: smooth, coloured, from -1 to 1, all different."""
    coarse = torch.rand(24, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, (12, 16), mode="bilinear")
    return (smooth * 255).round() / 127.5 - 1


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return torch.arange(24) % 5


def test_every_one_is_tested() -> None:
    assert set(ALL) | {"none"} == set(IDLE) == set(installed_catalog().names("augmentations"))


@pytest.mark.parametrize("name", ALL)
def test_keeps_shape_and_range_and_repeats_itself(
    name: str, images: Tensor, labels: Tensor
) -> None:
    before = images.clone()
    result, targets = augmented(name, images, labels, **ALL[name])
    again, same = augmented(name, images, labels, **ALL[name])
    other, _ = augmented(name, images, labels, 1, **ALL[name])
    assert result.shape == images.shape and result.dtype == images.dtype
    assert float(result.min()) >= -1 - 1e-5 and float(result.max()) <= 1 + 1e-5
    assert torch.equal(result, again) and torch.equal(targets, same)
    assert not torch.equal(result, other)
    assert torch.equal(images, before) and not result.requires_grad


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("mixup", "cutmix")])
def test_each_image_goes_its_own_way(name: str, images: Tensor, labels: Tensor) -> None:
    """A batch of one image many times comes out as many images; mixing it with itself would not show."""
    alike = images[:1].expand(64, -1, -1, -1).contiguous()
    many = torch.arange(64) % 5
    result, _ = augmented(name, alike, many, **ALL[name])
    different = {image.numpy().tobytes() for image in result}
    assert len(different) >= {"flip": 2, "crop": 16}.get(name, 24)


@pytest.mark.parametrize("name", IDLE)
def test_without_strength_images_stay(name: str, images: Tensor, labels: Tensor) -> None:
    result, targets = augmented(name, images, labels, **IDLE[name])
    torch.testing.assert_close(result, images, atol=2e-5, rtol=0)
    assert torch.equal(targets if targets.ndim == 1 else targets.argmax(1), labels)
    assert targets.ndim == 1 or torch.equal(targets.amax(1), torch.ones(24))


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("mixup", "cutmix")])
@pytest.mark.parametrize("channels", [1, 2])
def test_takes_other_channels(name: str, channels: int) -> None:
    shape, grey = InputShape(channels, 8, 8, 3), torch.rand(6, channels, 8, 8) * 2 - 1
    options = ALL[name] | ({"jpeg": 0.0} if name == "degrade" and channels == 2 else {})
    result, _ = augmented(name, grey, torch.arange(6) % 3, shape=shape, **options)
    assert result.shape == grey.shape and torch.isfinite(result).all()


def test_jpeg_of_two_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="set jpeg to 0"):
        built("augmentations", "degrade", InputShape(2, 8, 8, 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", [name for name in ALL if name != "degrade"])
def test_a_gpu_sees_what_a_cpu_sees(name: str, images: Tensor, labels: Tensor) -> None:
    """Not so for noise, which is drawn where it is added."""
    here, targets = augmented(name, images, labels, **ALL[name])
    there, same = augmented(name, images.cuda(), labels.cuda(), **ALL[name])
    assert there.is_cuda and same.is_cuda
    assert float((there.cpu() - here).abs().mean()) < 1e-3
    torch.testing.assert_close(same.cpu(), targets)


# ---- the pixel work, beside torchvision's for one image ----


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (_colouring.brightness, functional.adjust_brightness),
        (_colouring.contrast, functional.adjust_contrast),
        (_colouring.saturation, functional.adjust_saturation),
        (_colouring.sharpness, functional.adjust_sharpness),
        (_colouring.solarize, functional.solarize),
    ],
)
def test_colours_are_torchvisions(images: Tensor, ours: Any, theirs: Any) -> None:
    pixels, factors = images[:3] * 0.5 + 0.5, torch.tensor([0.2, 0.7, 1.0])
    expected = [theirs(image, float(f)) for image, f in zip(pixels, factors, strict=True)]
    torch.testing.assert_close(ours(pixels, factors), torch.stack(expected), atol=1e-5, rtol=0)


def test_posterizing_is_torchvisions_on_bytes(images: Tensor) -> None:
    pixels, bits = images[:3] * 0.5 + 0.5, torch.tensor([2.0, 5.0, 8.0])
    levels = (pixels * 255).round().byte()
    expected = [functional.posterize(each, int(b)) for each, b in zip(levels, bits, strict=True)]
    result = (_colouring.posterize((levels / 255), bits) * 255).round().byte()
    assert torch.equal(result, torch.stack(expected))


def test_hues_turn_all_the_way_round_and_keep_greys(images: Tensor) -> None:
    pixels = images[:3] * 0.25 + 0.5
    round_trip = _colouring.hue(pixels, torch.tensor([0.0, 1.0, -1.0]))
    torch.testing.assert_close(round_trip, pixels, atol=2e-3, rtol=0)
    grey = torch.full((1, 3, 2, 2), 0.4)
    torch.testing.assert_close(_colouring.hue(grey, torch.tensor([0.3])), grey, atol=2e-3, rtol=0)
    assert (_colouring.hue(pixels, torch.full((3,), 0.3)) - pixels).abs().amax(
        (1, 2, 3)
    ).min() > 0.1


def test_warps_are_torchvisions() -> None:
    """Turned by 90 degrees and moved by whole pixels there is nothing to interpolate."""
    square = torch.rand(2, 1, 8, 8) * 2 - 1
    turned = _warping.warped(square, _warping.turning(torch.tensor([90.0, -90.0])), "grey")
    expected = [functional.rotate(square[0], 90.0), functional.rotate(square[1], -90.0)]
    torch.testing.assert_close(turned.flip((2, 3)), torch.stack(expected), atol=1e-4, rtol=0)
    right = _warping.warped(square, _warping.moving(torch.tensor([2.0, 2.0]), 0), "black")
    torch.testing.assert_close(right[..., :-2], square[..., 2:], atol=1e-5, rtol=0)
    assert torch.allclose(right[..., -2:], torch.tensor(-1.0))


@pytest.mark.parametrize(
    ("fill", "left"), [("edge", 3.0), ("reflect", 4.0), ("grey", 0.0), ("black", -1.0)]
)
def test_what_comes_in_from_outside(fill: Any, left: float) -> None:
    row = torch.tensor([3.0, 4.0, 5.0]).expand(1, 1, 3, 3)
    moved = _warping.shifted(row, torch.tensor([1]), torch.tensor([0]), (1, 1), fill)
    assert moved[0, 0, 1].tolist() == [left, 3.0, 4.0]


def test_flips_are_as_frequent_as_wished(labels: Tensor) -> None:
    ramp = torch.linspace(-1, 1, 16).expand(400, 3, 12, 16)
    result, _ = augmented("flip", ramp, labels, horizontal=0.25)
    mirrored = (result[:, 0, 0, 0] > 0).float().mean()
    assert 0.17 < mirrored < 0.33 and torch.equal(
        result.flip(3)[result[:, 0, 0, 0] > 0][0], ramp[0]
    )


def test_crops_move_to_all_sides(labels: Tensor) -> None:
    ramp = torch.linspace(-1, 1, 16).expand(200, 3, 12, 16)
    result, _ = augmented("crop", ramp, labels, padding=0.125)
    first = (result[:, 0, 0, 0] - ramp[0, 0, 0, 0]).div(2 / 15).round()
    assert set(first.tolist()) == {0.0, 1.0, 2.0}  # the edge drawn out, or moved by up to 2 of 16


def test_boxes_have_their_sizes_and_are_cut_at_the_edges() -> None:
    inside, corner = boxes(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.full((2, 2), 4.0), 8, 12)
    assert int(inside.sum()) == 16 and bool(inside[2:6, 4:8].all())
    assert int(corner.sum()) == 4 and bool(corner[:2, -2:].all())


# ---- policies ----


def test_operations_may_be_left_out(images: Tensor, labels: Tensor) -> None:
    """All that is left is to invert what is bright enough: each half stays flat, and some images stay as they are."""
    half = torch.where(torch.arange(16) < 8, -1.0, 0.5).expand(64, 3, 12, 16)
    result, _ = augmented(
        "trivial-augment", half, labels, without=["rotate", "shear", "crop", "recolor"]
    )
    kinds = [bool(torch.allclose(each, half[0])) for each in result]
    assert 0 < sum(kinds) < 64
    for each in result:
        assert len(each[:, :, :8].unique()) == len(each[:, :, 8:].unique()) == 1


def test_nothing_left_to_draw_is_an_error() -> None:
    everything = ["shear", "crop", "rotate", "recolor", "invert"]
    with pytest.raises(ValueError, match="leaves no operation"):
        built("augmentations", {"name": "rand-augment", "without": everything}, SHAPE)


def test_strength_is_how_far_images_go(images: Tensor, labels: Tensor) -> None:
    options = {"trivial-augment": "strength", "rand-augment": "magnitude", "aug-mix": "strength"}
    for name, option in options.items():
        far = [
            float((augmented(name, images, labels, **{option: s})[0] - images).abs().mean())
            for s in (0.1, 1.0)
        ]
        assert 0 < 2 * far[0] < far[1], name


@pytest.mark.parametrize(
    ("tree", "done"),
    [
        ("trivial-augment", {"shear", "crop", "rotate", "recolor", "invert"}),
        ({"name": "trivial-augment", "without": ["rotate"]}, {"shear", "crop", "recolor", "invert"}),
        ({"name": "trivial-augment", "strength": 0.2}, {"shear", "crop", "recolor", "invert"}),
        ("rand-augment", {"shear", "crop", "recolor", "invert"}),
        ("flip", {"flip"}),
        ("affine", {"crop"}),
        ({"name": "affine", "degrees": 45.0, "shear": 0.1}, {"crop", "rotate", "shear"}),
        ("mixup", {"mix"}),
        ("none", set()),
    ],
)  # fmt: skip
def test_they_say_what_they_do(tree: Any, done: set[str]) -> None:
    found = component("augmentations", tree)
    assert set(found.trait("operations", None)(found.options)) == done


# ---- mixtures ----


def test_mixup_mixes_images_as_it_mixes_labels() -> None:
    """Image i is filled with its label's value: the mixture's value must be the mean of its targets' values."""
    labels = torch.arange(40) % 5
    values = torch.linspace(-1, 1, 5)
    flat = values[labels][:, None, None, None].expand(40, 3, 12, 16).contiguous()
    for name in ("mixup", "cutmix"):
        result, targets = augmented(name, flat, labels, alpha=1.0)
        assert targets.shape == (40, 5) and torch.allclose(targets.sum(1), torch.ones(40))
        torch.testing.assert_close(result.mean((1, 2, 3)), targets @ values, atol=1e-5, rtol=0)
        kept = targets[torch.arange(40), labels]
        assert len(kept.unique()) > 10, "each image has a share of its own"


def test_mixing_may_be_rare_and_repeated(images: Tensor, labels: Tensor) -> None:
    _, targets = augmented("mixup", images, labels, alpha=1.0, probability=0.3)
    assert 0 < int((targets.amax(1) < 1).sum()) < 20
    result, twice = augmented("sequence", images, labels, of=["mixup", "cutmix"])
    assert torch.allclose(twice.sum(1), torch.ones(24)) and result.shape == images.shape


def test_a_sequence_is_in_order(images: Tensor, labels: Tensor) -> None:
    erased = {"name": "erasing", "probability": 1.0, "area": 1.0}
    result, _ = augmented("sequence", images, labels, of=[erased, "flip"])
    assert (result == 0).any() and not torch.equal(result, images)
    with pytest.raises(ValueError, match="at least one"):
        built("augmentations", {"name": "sequence", "of": []}, SHAPE)


# ---- in a training ----


def test_the_model_sees_augmented_images_in_training_only(tmp_path: Path) -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def watched(shape: InputShape) -> torch.nn.Module:
        model = network(shape)
        model.register_forward_pre_hook(
            lambda module, given: seen[module.training].append(given[0].clone())
        )
        return model

    data = points(0)
    known = {float(image) for part in ("train", "val") for images, _ in data.batches(part) for image in images}  # type: ignore[arg-type]  # fmt: skip
    Calls(tmp_path)(2, model=watched, augmentation={"name": "color-jitter", "brightness": 0.5})
    assert all(float(image) in known for images in seen[False] for image in images)
    values = [float(image) for images in seen[True] for image in images]
    assert sum(value not in known for value in values) > len(values) / 3


def test_both_passes_and_all_parts_are_of_one_augmented_batch(tmp_path: Path) -> None:
    """A sharpness-aware step evaluates it twice, in parts: augmented once, with mixed targets cut along."""
    seen: list[Tensor] = []

    def watched(shape: InputShape) -> torch.nn.Module:
        model = network(shape)
        model.register_forward_pre_hook(
            lambda module, given: seen.append(given[0].clone()) if module.training else None
        )
        return model

    calls = Calls(tmp_path, out_of_memory=1)
    sam = {"name": "sam", "rho": 0.1, "base": {"name": "sgd", "lr": 0.1}}
    [report] = calls(
        1, model=watched, optimizer=sam, halve_on_out_of_memory=True, loss="adaptive-focal",
        augmentation={"sequence": ["color-jitter", {"name": "mixup", "alpha": 1.0}]},
    )  # fmt: skip
    assert [len(part) for part in seen[:4]] == [3, 2, 3, 2]
    assert torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:4]))
    assert torch.isfinite(torch.tensor(report.metrics["train_loss"]))


def test_a_paused_training_sees_the_same_augmented_images(tmp_path: Path) -> None:
    options: Any = {
        "augmentation": {"sequence": ["crop", "trivial-augment", "cutmix"]},
        "dataset": squares,
    }
    whole = attempt(tmp_path / "whole", "sgd", options=options)
    plain = attempt(tmp_path / "plain", "sgd", options={"dataset": squares})
    assert [r.metrics for r in whole.reports] != [r.metrics for r in plain.reports]
    for pause_at in (1, 3):
        first = attempt(tmp_path / str(pause_at), "sgd", pause_at, options=options)
        second = attempt(tmp_path / str(pause_at), "sgd", checkpoints=saved(first), options=options)
        assert numbers(first, second) == numbers(whole)
        assert [report.classes for report in (*first.reports, *second.reports)] == [
            report.classes for report in whole.reports
        ]
