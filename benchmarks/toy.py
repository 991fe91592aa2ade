"""A data set of a few tiny images and the hand-written trial that trains one step on it."""

from typing import Any

import numpy as np

from components.data import SegmentationData, Split


def tiny_data(cases: int = 12) -> SegmentationData:
    """Bright discs on noise, 32×32: learnable in a few steps, so that the engine is what is measured."""
    train, val, test = _split("train", cases), _split("val", 3), _split("test", 3)
    return SegmentationData(name="discs", mode="binary", classes=("disc",), train=train, val=val, test=test)


def stock_trial(config: dict[str, Any], data: SegmentationData) -> None:
    """What one writes by hand: build, train a step, score, report."""
    import torch
    from monai.losses import DiceCELoss
    from ray import tune

    from components.metrics import DiceCounts
    from components.training import small_unet

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = small_unet(1, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = DiceCELoss(sigmoid=True, lambda_dice=config["dice"], lambda_ce=1 - config["dice"])
    images, masks = (torch.from_numpy(np.stack(a)) for a in (data.train.images, data.train.masks))
    loss(model(images), masks).backward()
    optimizer.step()
    counts = DiceCounts("binary")
    with torch.inference_mode():
        counts.add(model(torch.from_numpy(np.stack(data.val.images))), torch.from_numpy(np.stack(data.val.masks)))
    tune.report({"val_dice": counts.scores().mean})


def _split(name: str, cases: int) -> Split:
    random = np.random.default_rng(len(name))
    rows, columns = np.mgrid[:32, :32]
    centres = random.integers(10, 22, size=(cases, 2))
    masks = np.stack([(rows - y) ** 2 + (columns - x) ** 2 < 100 for y, x in centres])[:, None].astype(np.uint8)
    images = (masks + 0.5 * random.standard_normal(masks.shape)).astype(np.float32)
    names = tuple(f"{name}_{index}" for index in range(cases))
    return Split(list(images), list(masks), names, names)
