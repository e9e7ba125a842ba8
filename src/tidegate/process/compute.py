"""Where training runs: here, piece after piece, or on Ray, side by side."""

import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tidegate.domain.errors import TidegateError, WrongUsage
from tidegate.domain.training_policy import ComputePolicy
from tidegate.training.adapter import Fitted, Job, adapter, train
from tidegate.training.state import Array, Floats, silent

W = TypeVar("W")
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")
Progress = Callable[[int, int], None]

#: Times a piece is tried again whose worker was lost.
RETRIES = 3
#: Seconds within which a cluster must answer.
_SECONDS = 10.0


class Compute(Protocol):
    """Something that works through items, and trains."""

    def fit(self, name: str, x: Floats, y: Array, job: Job) -> Fitted:
        """Parameters by the adapter of that name; see ``train``."""
        ...

    def map(
        self, work: Callable[[W, I], R], given: W, items: Sequence[I], progress: Progress
    ) -> list[R]:
        """``work(given, item)`` of every item, in their order; ``given`` is handed over once."""
        ...


class Local:
    """One after the other: what is trained has the machine's threads to itself."""

    def fit(self, name: str, x: Floats, y: Array, job: Job) -> Fitted:
        """Parameters by the adapter of that name."""
        return train(adapter(name), x, y, job)

    def map(
        self, work: Callable[[W, I], R], given: W, items: Sequence[I], progress: Progress
    ) -> list[R]:
        """``work(given, item)`` of every item, in their order."""
        made = []
        for number, item in enumerate(items):
            progress(number, len(items))
            made.append(work(given, item))
        progress(len(items), len(items))
        return made


HERE = Local()


class OnRay:
    """Side by side on a cluster; a piece whose worker was lost is tried again."""

    def __init__(self, ray: Any, workers: int):
        self._ray, self._workers = ray, workers

    def fit(self, name: str, x: Floats, y: Array, job: Job) -> Fitted:
        """Parameters by the adapter of that name: a network's on so many workers, each of which
        takes its share of every batch; anything else's here."""
        if self._workers == 1 or not adapter(name).parallel:
            return train(adapter(name), x, y, job)
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        job.progress(0, 1)
        given = (name, x, y, replace(job, progress=silent, checkpoint=None))
        keeper = self._ray.remote(num_cpus=0)(Keeper).remote(given)
        with tempfile.TemporaryDirectory() as folder:
            TorchTrainer(
                side_by_side,
                train_loop_config={"keeper": keeper},
                scaling_config=ScalingConfig(num_workers=self._workers),
                torch_config=TorchConfig(backend="gloo"),
                run_config=RunConfig(
                    storage_path=folder, failure_config=FailureConfig(max_failures=RETRIES)
                ),
            ).fit()
            made = self._ray.get(keeper.made.remote())
        job.progress(1, 1)
        if isinstance(made, TidegateError):
            raise made
        assert isinstance(made, Fitted)  # noqa: S101 - the first worker keeps one or the other
        return made

    def map(
        self, work: Callable[[W, I], R], given: W, items: Sequence[I], progress: Progress
    ) -> list[R]:
        """``work(given, item)`` of every item, in their order."""
        ray = self._ray
        shared = ray.put(given)
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        waiting = [task.remote(shared, item) for item in items]
        left, total = list(waiting), len(items)
        try:
            while left:
                progress(total - len(left), total)
                _, left = ray.wait(left, num_returns=1)
            progress(total, total)
            return list(ray.get(waiting))
        except ray.exceptions.RayTaskError as error:
            # What a piece raised is what a user can mend; the rest tells of the cluster.
            if isinstance(error.cause, TidegateError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            raise WrongUsage(
                "the Ray cluster lost a piece of work {times} times: {problem}",
                do="see the cluster's logs, or set policy.training.compute.engine to local",
                times=RETRIES + 1,
                problem=str(error).splitlines()[0],
            ) from error


class Keeper:
    """Where workers find what to train on, and leave what came out."""

    def __init__(self, given: Any):
        self._given, self._made = given, None

    def given(self) -> Any:
        """What to train, and on what."""
        return self._given

    def keep(self, made: Any) -> None:
        """What came out."""
        self._made = made

    def made(self) -> Any:
        """What came out; None before."""
        return self._made


def side_by_side(config: dict[str, Any]) -> None:
    """One worker's part: all train alike, and the first one tells."""
    import ray.train

    keeper = config["keeper"]
    name, x, y, job = ray.get(keeper.given.remote())
    try:
        made: Any = train(adapter(name), x, y, job)
    except TidegateError as error:
        made = error
    if ray.train.get_context().get_world_rank() == 0:
        ray.get(keeper.keep.remote(made))


def _reach(address: str | None) -> None:
    """Raise OSError where nothing listens at ``host:port``: Ray would ask for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()


@contextmanager
def opened(policy: ComputePolicy) -> Iterator[Compute]:
    """What policy says to compute on; a connection that was made here is closed after.

    Raises WrongUsage where Ray is not installed, or where no cluster answers at its address.
    """
    if policy.engine == "local":
        yield Local()
        return
    try:
        import ray

        if policy.workers > 1:
            import ray.train
    except ImportError:
        raise WrongUsage(
            "policy asks to compute on Ray, which is not installed",
            do="install it with: pip install 'tidegate[ray]'",
        ) from None
    mine = not ray.is_initialized()
    if mine:
        try:
            _reach(policy.address)
            ray.init(
                address=policy.address, log_to_driver=False, include_dashboard=False,
                configure_logging=False,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            raise WrongUsage(
                "no Ray cluster answers at {address}: {problem}",
                do="start one with: ray start --head, or leave the address out for a local one",
                address=policy.address or "(local)",
                problem=str(error).splitlines()[0],
            ) from error
    try:
        yield OnRay(ray, policy.workers)
    finally:
        if mine:
            ray.shutdown()
