"""Train a U-Net on a folder of images and masks, which is the only argument, in plain PyTorch."""

import sys
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import UNet
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tuning import session

EPOCHS, SIZE = 12, (128, 128)


def load(folder: Path) -> TensorDataset:
    """Read images and masks of the same name as two tensors `(N, 1, 128, 128)`."""
    images, masks = [], []
    for path in sorted((folder / "masks").glob("*.png")):
        image = Image.open(folder / "images" / path.name).convert("L").resize(SIZE)
        mask = Image.open(path).convert("L").resize(SIZE, Image.Resampling.NEAREST)
        pixels = np.asarray(image, np.float32)
        images.append((pixels - pixels.mean()) / (pixels.std() + 1e-6))
        masks.append(np.asarray(mask) > 0)
    return TensorDataset(torch.tensor(np.stack(images)[:, None]), torch.tensor(np.stack(masks)[:, None]).float())


def dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Dice of each image."""
    both = (prediction * truth).sum((1, 2, 3))
    return (2 * both + 1e-5) / (prediction.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1e-5)


def main(folder: Path) -> None:
    """Train on the first four fifths, validate on the rest."""
    params = {"lr": 1e-2, "batch": 8, "dice_weight": 0.5} | session.params
    torch.manual_seed(0)
    data = load(folder)
    cut = len(data) * 4 // 5
    train, val = data[:cut], data[cut:]
    net = UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 16, 32), strides=(2, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=params["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    batches = DataLoader(TensorDataset(*train), batch_size=int(params["batch"]), shuffle=True)
    done = session.checkpoint(net, optimizer=optimizer, scheduler=schedule)
    cross_entropy, weight = nn.BCEWithLogitsLoss(), params["dice_weight"]
    for epoch in range(done + 1, EPOCHS + 1):
        net.train()
        for images, masks in batches:
            logits = net(images)
            loss = weight * (1 - dice(logits.sigmoid(), masks).mean()) + (1 - weight) * cross_entropy(logits, masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        net.eval()
        with torch.no_grad():
            val_dice = dice((net(val[0]) > 0).float(), val[1]).mean().item()
        print(f"epoch {epoch}: validation Dice {val_dice:.4f}")
        session.report(val_dice=val_dice, epoch=epoch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
