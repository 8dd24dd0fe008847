"""Shapes: the contract, twenty classes, and groups that cover them."""

from __future__ import annotations

from typing import ClassVar

from hpo_core.testing.training import DatasetContract, built


class TestShapes(DatasetContract):
    component: ClassVar = {
        "name": "shapes20",
        "image_size": 16,
        "batch_size": 16,
        "train_per_class": 3,
        "val_per_class": 2,
        "test_per_class": 2,
    }

    def test_each_class_is_in_one_group_of_the_hierarchy(self) -> None:
        data = built("datasets", self.component, 1)
        assert len(data.classes) == 20 and list(data.classes) == sorted(data.classes)
        groups = dict(data.groups)
        convex = groups.pop("convex")
        assert set(convex) < set(data.classes), "groups may lie across others"
        assert sorted(name for names in groups.values() for name in names) == list(data.classes)

    def test_classes_can_be_told_apart(self) -> None:
        """By their masks: no two classes are drawn alike, noise and colour aside."""
        import random

        from hpo_vision.procedural.shape_drawing import SHAPES
        from hpo_vision.procedural.silhouettes import mask

        drawn = {
            name: mask(shape(random.Random(0)), 64, (32, 32), 28) for name, shape in SHAPES.items()
        }
        masks = {name: image.tobytes() for name, image in drawn.items()}
        for name, one in masks.items():
            assert 0.1 < sum(map(bool, one)) / len(one) < 0.8, name
            for other, another in masks.items():
                different = sum(a != b for a, b in zip(one, another, strict=True))
                assert name == other or different > 0.01 * len(one), (name, other)
