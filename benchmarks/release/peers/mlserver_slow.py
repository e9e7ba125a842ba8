"""MLServer's scikit-learn runtime with a load that takes a while, and lets others run meanwhile."""

import asyncio
import os

from mlserver_sklearn import SKLearnModel


class Slow(SKLearnModel):
    """The runtime."""

    async def load(self) -> bool:
        await asyncio.sleep(float(os.environ["BENCH_LOAD_SECONDS"]))
        return await super().load()
