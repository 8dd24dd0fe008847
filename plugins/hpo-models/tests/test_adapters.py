"""Low-rank adapters: what is trained and what is not, and that merging gives the backbone back with the same logits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hpo_core import HpoError, InputShape
from hpo_core.testing.training import ModelContract, built, checked

pytest.importorskip("peft")

SHAPE = InputShape(3, 32, 32, 5)
RESNET: dict[str, Any] = {"name": "lora", "backbone": "timm/test_resnet", "rank": 4}
VIT: dict[str, Any] = {**RESNET, "backbone": "timm/test_vit"}


class TestLora(ModelContract):
    component: ClassVar = RESNET


class TestDora(ModelContract):
    component: ClassVar = {**VIT, "dora": True, "drop_rate": 0.1, "train_head": False}


def trained(tree: dict[str, Any]) -> tuple[Any, dict[str, Any], torch.Tensor]:
    """A model after three steps of hpo's own SGD with weight decay, its weights before, and images."""
    torch.manual_seed(1)
    # channels last, as an objective may want it
    model = built("models", tree, SHAPE).to(memory_format=torch.channels_last)
    images = torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(
            module, torch.nn.BatchNorm2d
        ):  # timm's begin with 0 where a block ends: no gradient
            torch.nn.init.ones_(module.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step = built("optimizers", {"name": "sgd", "lr": 0.05, "weight_decay": 0.1}, model.parameters())
    for _ in range(3):
        step.zero_grad()
        torch.nn.functional.cross_entropy(model(images), torch.arange(8) % 5).backward()
        step.step()
    return model, before, images


def trainable(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize(("rank", "millions"), [(4, 0.318), (8, 0.636), (16, 1.271)])
def test_trainable_parameters_of_all_convolutions_of_resnet50(rank: int, millions: float) -> None:
    tree = {"name": "lora", "rank": rank, "targets": [r"conv1|layer.*"], "train_head": False}
    with torch.device("meta"):
        model = built("models", tree, InputShape(3, 224, 224, 10))
    adapted = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert len(adapted) == 53
    assert trainable(model) / 1e6 == pytest.approx(millions, abs=0.0005)


@pytest.mark.parametrize(
    "tree",
    [
        RESNET,
        {**RESNET, "dora": True},
        {**VIT, "rslora": True},
        {**VIT, "dora": True},
        {**RESNET, "backbone": "resnet18"},
        {
            "name": "lora",
            "rank": 2,
            "backbone": {"name": "multi-input", "inputs": 3, "backbone": "timm/test_vit"},
        },
    ],
    ids=["resnet", "resnet-dora", "vit-rslora", "vit-dora", "trimmed", "multi-input"],
)
def test_only_adapters_and_head_move_and_merge_into_the_backbone(tree: dict[str, Any]) -> None:
    from hpo_models.low_rank import merge

    model, before, images = trained(tree)
    after = model.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    head = next(name for name in reversed(list(before)) if name.endswith(".bias"))
    weights = {name for name in moved if "running_" not in name and "num_batches" not in name}
    assert {name for name in weights if "lora_" not in name} == {
        head,
        head.replace("bias", "weight"),
    }
    assert all(name in moved for name in after if "lora_" in name)
    images = images.double()  # so that what differs is no rounding
    adapted = model.double().eval()(images).detach()
    merge(model)
    plain = built("models", tree["backbone"], SHAPE).double().eval()
    assert list(model.state_dict()) == list(plain.state_dict()) and type(model) is type(plain)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(plain(images), adapted, rtol=1e-7, atol=1e-7)
    assert trainable(model) == sum(weight.numel() for weight in model.parameters())


def test_an_untrained_adapter_changes_nothing() -> None:
    for tree in (RESNET, {**VIT, "dora": True}):
        torch.manual_seed(3)
        adapted = built("models", tree, SHAPE).eval()
        torch.manual_seed(3)
        plain = built("models", tree["backbone"], SHAPE).eval()
        images = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(adapted(images), plain(images))


def test_layers_that_are_not_called_are_left_alone() -> None:
    """torchvision's transformer takes the weights of `out_proj` without calling it: an adapter would be idle."""
    tree = {"name": "lora", "backbone": "torchvision/vit_b_16", "rank": 1}
    with torch.device("meta"):
        model = built("models", tree, InputShape(3, 32, 32, 5))
    adapted = {
        name.rsplit(".", 2)[0]
        for name, _ in model.named_modules()
        if name.endswith("lora_A.default")
    }
    assert adapted and not any("out_proj" in name for name in adapted)


def test_depthwise_convolutions_are_left_alone() -> None:
    with torch.device("meta"):
        model = built("models", {**RESNET, "backbone": "timm/test_convnext"}, SHAPE)
    names = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert names and not any("conv_dw" in name for name in names)


def test_targets_that_match_nothing_are_named() -> None:
    with (
        pytest.raises(ValueError, match=r"matches \['layer9'\]; there are: conv1"),
        torch.device("meta"),
    ):
        built("models", {**RESNET, "backbone": "resnet18", "targets": ["layer9"]}, SHAPE)


def test_a_checkpoint_is_merged(tmp_path: Path) -> None:
    from hpo_models.merging import merge_file

    model, _, images = trained(RESNET)
    tree = checked("models", RESNET)
    about = {
        "model": json.dumps(tree),
        "classes": json.dumps(list("abcde")),
        "input_shape": "[3, 32, 32]",
    }
    source, target = tmp_path / "model.safetensors", tmp_path / "merged.safetensors"
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, source, {**about, "epoch": "3"})
    assert merge_file(source, target) == "timm/test_resnet"
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert metadata["epoch"] == "3"
    plain = built("models", json.loads(metadata["model"]), SHAPE).eval()
    plain.load_state_dict(load_file(target))
    torch.testing.assert_close(plain(images), model.eval()(images), rtol=1e-5, atol=1e-5)
    with pytest.raises(HpoError, match="is of the model 'timm/test_resnet', which has no adapters"):
        merge_file(target, source)
    assert sorted(file.name for file in tmp_path.iterdir()) == [target.name, source.name]


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    from hpo_models.merging import merge_file

    file = tmp_path / "model.safetensors"
    with pytest.raises(HpoError, match="cannot read"):
        merge_file(file, file)
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(HpoError, match="it has no model, classes, input_shape"):
        merge_file(file, file)


def test_without_peft_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(HpoError, match=r"install hpo-models\[peft\]"):
        built("models", RESNET, SHAPE)


def test_names_and_options_need_neither_torch_nor_peft() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "for name in ('lora', 'multi-input'): checked('models', name)\n"
        "assert not {'torch', 'timm', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
