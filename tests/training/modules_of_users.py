"""Modules as users write them, good ones and bad ones."""

import contextvars
import subprocess

import torch
from torch import nn

CALLED = {"path": None}


class _Normed(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_features, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.head = nn.Linear(16, n_outputs)

    def forward(self, x):
        return self.head(self.body(x))


def with_batch_norm(*, n_features, n_outputs):
    return _Normed(n_features, n_outputs)


def raises(*, n_features, n_outputs):
    raise RuntimeError("not today")


def writes(*, n_features, n_outputs):
    CALLED["path"].write_text("here")
    return with_batch_norm(n_features=n_features, n_outputs=n_outputs)


def connects(*, n_features, n_outputs):
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=1)


def starts_a_program(*, n_features, n_outputs):
    subprocess.run(["true"], check=True)


def returns_no_module(*, n_features, n_outputs):
    return {}


def in_half_precision(*, n_features, n_outputs):
    return nn.Linear(n_features, n_outputs).to(torch.bfloat16)


def exits(*, n_features, n_outputs):
    raise SystemExit(0)


def writes_in_a_context_of_its_own(*, n_features, n_outputs):
    contextvars.Context().run(writes, n_features=n_features, n_outputs=n_outputs)


class _Answers(nn.Module):
    def __init__(self, n_features, n_outputs, squeezed=False):
        super().__init__()
        self.layer = nn.Linear(n_features, n_outputs)
        self.squeezed = squeezed

    def forward(self, x):
        return self.layer(x)[:, 0] if self.squeezed else self.layer(x)


def of_other_features(*, n_features, n_outputs):
    return _Answers(n_features + 1, n_outputs)


def of_other_outputs(*, n_features, n_outputs):
    return _Answers(n_features, n_outputs + 1)


def with_flat_answers(*, n_features, n_outputs):
    return _Answers(n_features, n_outputs, squeezed=True)


class _Tied(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.first = nn.Linear(n_features, n_features, bias=False)
        self.second = nn.Linear(n_features, n_features, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def with_tied_groups(*, n_features, n_outputs):
    return _Tied(n_features)
