"""How much each value of a module mattered to what it has learned."""

import torch
from torch import nn


def fisher(
    module: nn.Module, x: torch.Tensor, names: list[str], *, classes: bool, seed: int
) -> dict[str, torch.Tensor]:
    """Diagonal Fisher information of the named parameters, scaled to a mean of one.

    Labels are drawn from the module's own answers, as the definition asks (Kirkpatrick et al.
    2017, arXiv:1612.00796; Kunstner et al. 2019, arXiv:1905.12558), row by row.
    """
    parameters = dict(module.named_parameters())
    asked = {name: parameters[name] for name in names if name in parameters}
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in asked)
    module.eval()
    random = torch.Generator().manual_seed(seed)
    found = {name: torch.zeros_like(parameter) for name, parameter in asked.items()}
    for row in x:
        output = module(row[None])[0]
        if classes:
            shares = torch.softmax(output.detach(), 0).cpu()
            drawn = int(torch.multinomial(shares, 1, generator=random))
            score = torch.log_softmax(output, 0)[drawn]
        else:
            noise = torch.randn(output.shape, generator=random).to(output.device)
            score = (output * noise).sum()  # a normal's score: its noise times the gradient
        slopes = torch.autograd.grad(score, list(asked.values()), allow_unused=True)
        for name, slope in zip(asked, slopes, strict=True):
            if slope is not None:
                found[name] += slope**2
    mean = sum(float(each.sum()) for each in found.values()) / max(
        1, sum(each.numel() for each in found.values())
    )
    return {
        name: each / mean if mean > 0 else torch.ones_like(each) for name, each in found.items()
    }
