"""timm's models: the contract on its tiny test models, the index, and options that a model lacks."""

from __future__ import annotations

import subprocess
import sys
from typing import ClassVar

import pytest
import timm
from hpo_models import timm_index
from hpo_models.timm_models import timm_model

from hpo_core import InputShape
from hpo_core.testing.training import ModelContract, built, installed_catalog

SMALL = InputShape(3, 32, 32, 10)


class TestTinyResnet(ModelContract):
    component: ClassVar = {"name": "timm/test_resnet", "drop_path_rate": 0.1}


class TestTinyTransformer(ModelContract):
    """Transformers are told the size of the images, which need not be square."""

    component = "timm/test_vit"
    shapes = (SMALL, InputShape(1, 32, 48, 4))


def test_index_is_that_of_the_installed_timm() -> None:
    assert timm_index.names() == sorted(timm.list_models()), timm_index.__doc__


def test_all_are_offered() -> None:
    offered = set(installed_catalog().names("models"))
    assert {"resnet18", "resnet34", "resnet50", "timm/resnet18", "timm/convnext_atto"} <= offered


def test_options_arrive() -> None:
    model = built("models", {"name": "timm/test_resnet", "drop_rate": 0.25}, SMALL)
    assert model.drop_rate == 0.25


def test_an_option_that_the_model_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="'timm/vgg11' has no drop_path_rate"):
        timm_model(SMALL, architecture="vgg11", drop_path_rate=0.1)


def test_names_are_known_without_torch_or_timm() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "for name in ('resnet18', 'timm/test_vit'): checked('models', name)\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
