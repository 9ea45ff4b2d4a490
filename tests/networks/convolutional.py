"""ResNet-20 (CIFAR-10), ResNet-18 and SqueezeNet 1.1 (ImageNet), with the shared weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.shared import weights


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut skips pixels and pads channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.conv2, self.bn2 = (
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return functional.relu(y + x)


class CifarResNet(nn.Module):
    """He et al.'s ResNet for CIFAR-10 with `blocks` blocks per stage."""

    def __init__(self, blocks: int, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
        )
        inputs = widths[0]
        for stage, outputs in enumerate(widths, 1):
            first = CifarBlock(inputs, outputs, 1 if stage == 1 else 2)
            rest = [CifarBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = outputs
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


class BasicBlock(nn.Module):
    """The block of ResNet-18; a 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.conv2, self.bn2 = (
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """ResNet-18."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, outputs in enumerate((64, 128, 256, 512), 1):
            blocks = (
                BasicBlock(inputs, outputs, 1 if stage == 1 else 2),
                BasicBlock(outputs, outputs, 1),
            )
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Fire(nn.Module):
    """SqueezeNet's block: squeeze 1x1, then 1x1 and 3x3 side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1, self.expand3 = (
            nn.Conv2d(squeezed, expanded, 1),
            nn.Conv2d(squeezed, expanded, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat(
            [functional.relu(self.expand1(x)), functional.relu(self.expand3(x))], dim=1
        )


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv10 = nn.Conv2d(3, 64, 3, 2), nn.Conv2d(512, 1000, 1, padding=1)
        inputs = 64
        for number, (squeezed, expanded) in enumerate(
            [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)],
            2,
        ):
            self.add_module(f"fire{number}", Fire(inputs, squeezed, expanded))
            inputs = 2 * expanded

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.fire3(self.fire2(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.fire5(self.fire4(x)), 3, 2, ceil_mode=True)
        x = self.fire9(self.fire8(self.fire7(self.fire6(x))))
        return functional.relu(self.conv10(x)).mean(dim=(2, 3))


def resnet20() -> CifarResNet:
    """Return ResNet-20 with the shared weights."""
    model = CifarResNet(3).eval()
    model.load_state_dict(weights("cifar10_resnets/resnet20.safetensors"), strict=False)
    return model


def resnet18() -> ResNet18:
    """Return ResNet-18 with the shared weights; its norms have mean 0 and variance 1."""
    model = ResNet18().eval()
    model.load_state_dict(weights("imagenet_resnet18/resnet18.safetensors"), strict=False)
    return model


def squeezenet() -> SqueezeNet:
    """Return SqueezeNet 1.1 with the shared weights."""
    model = SqueezeNet().eval()
    model.load_state_dict(weights("imagenet_squeezenet1_1/squeezenet1_1.safetensors"))
    return model


def export_resnet20(path: Path, picture: Tensor) -> None:
    """Write ResNet-20 as ONNX, for any number of pictures like (1, 3, 32, 32)."""
    torch.onnx.export(
        resnet20(),
        (picture,),
        str(path),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "n"}},
    )
