"""BentoML: one worker."""

import bentoml
from model import fitted


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Bench:
    """The service."""

    def __init__(self):
        self.model = fitted()

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> dict[str, list[int]]:
        return {"predictions": self.model.predict(rows).tolist()}
