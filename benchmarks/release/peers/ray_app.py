"""Ray Serve: one replica behind its HTTP proxy."""

import signal

import ray
from model import fitted, port
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=128)
class Predict:
    """The deployment."""

    def __init__(self):
        self.model = fitted()

    async def __call__(self, request):
        rows = (await request.json())["rows"]
        return {"predictions": self.model.predict(rows).tolist()}


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port()},
                logging_config={"enable_access_log": False})  # fmt: skip
    serve.run(Predict.bind(), name="bench", route_prefix="/predict")
    signal.sigwait([signal.SIGTERM])
    serve.shutdown()
    ray.shutdown()
