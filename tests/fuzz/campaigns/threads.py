"""Models that were never used before, in several threads at once."""

import sys
import threading
from pathlib import Path

import torch

import pixelcnn as px
import tiny
from fuzz.case import Campaign, Case, Fault
from pixelcnn.model import PixelModel
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS

THREADS, MODELS = 4, 5
INTERVAL = 1e-5
"""Seconds after which the interpreter changes threads: often enough to meet inside any function."""


def fresh(name: str) -> PixelModel:
    """A small model with a registered network and given weights, never used before."""
    output = OUTPUTS["categorical"](levels=3)
    network = tiny.small(NETWORKS[name], channels=1, out=3, **tiny.room(NETWORKS[name], (3, 5)))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return PixelModel(network, output, (1, 3, 5)).eval()


class Threads(Campaign):
    """First use of models in threads disturbs neither them nor anything else in the process."""

    name = "threads"
    about = "first use of fresh models in 4 threads, 20 models a case"
    full = 100
    few = 0
    inputs = THREADS * MODELS
    seconds = 60.0

    def prepare(self, folder: Path) -> None:
        self.names = [name for name in NETWORKS if name not in tiny.LARGE]
        self.drawn = {
            name: px.sample(fresh(name), 1, seed=0, engine="cached") for name in self.names
        }
        self.bystander = torch.nn.Linear(2, 2)

    def run(self, case: Case) -> None:
        wrong: list[str] = []
        names = [[case.draw.choice(self.names) for _ in range(MODELS)] for _ in range(THREADS)]
        ready, call = threading.Barrier(THREADS), torch.nn.Module.__call__

        def use(chosen: list[str]) -> None:
            models = [fresh(name) for name in chosen]
            ready.wait()
            for name, model in zip(chosen, models, strict=True):
                try:
                    self.bystander(torch.zeros(1, 2))
                    drawn = px.sample(model, 1, seed=0, engine="cached")
                    if not torch.equal(drawn, self.drawn[name]):
                        wrong.append(f"{name} draws another image")
                except BaseException as error:
                    wrong.append(f"{type(error).__name__}: {str(error)[:200]}")

        before = sys.getswitchinterval()
        sys.setswitchinterval(INTERVAL)
        try:
            users = [threading.Thread(target=use, args=(chosen,)) for chosen in names]
            for user in users:
                user.start()
            for user in users:
                user.join()
        finally:
            sys.setswitchinterval(before)
        if torch.nn.Module.__call__ is not call:
            torch.nn.Module.__call__ = call
            raise Fault("process", "torch.nn.Module.__call__ stays replaced")
        if wrong:
            raise Fault("threads", f"{len(wrong)} of {self.inputs}: {wrong[0]}")
