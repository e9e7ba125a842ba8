"""Real optimiser steps: a small torch model learns; its weights after each step are saved.

Runs in the environment that has torch: ``python optimiser.py FOLDER``.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS = 20


def main(folder: Path, dtype: torch.dtype, learning_rate: float) -> None:
    torch.manual_seed(0)
    width, vocabulary, length = 512, 2048, 16
    layer = torch.nn.TransformerEncoderLayer(width, 8, 4 * width, batch_first=True, dropout=0.0)
    model = torch.nn.Sequential(
        torch.nn.Embedding(vocabulary, width),
        torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        torch.nn.Linear(width, vocabulary),
    ).to(dtype)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(1)
    for step in range(STEPS + 10):
        # Each token tells the next, so there is something to learn.
        start = torch.randint(vocabulary, (4, 1), generator=generator)
        tokens = (start + 17 * torch.arange(length + 1)) % vocabulary
        scores = model(tokens[:, :-1]).float()
        loss = torch.nn.functional.cross_entropy(
            scores.reshape(-1, vocabulary), tokens[:, 1:].reshape(-1)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step >= 9:  # past the first steps, in which Adam's averages still settle
            save_file(model.state_dict(), folder / f"{step - 9:02d}.safetensors")


if __name__ == "__main__":
    for name, dtype, rate in (("fp32", torch.float32, 1e-4), ("bf16", torch.bfloat16, 1e-4)):
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True)
        main(folder, dtype, rate)
