"""LitServe: one API server, one worker."""

import litserve
from model import fitted, port


class Predict(litserve.LitAPI):
    """The API."""

    def setup(self, device):
        self.model = fitted()

    def decode_request(self, request):
        return request["rows"]

    def predict(self, rows):
        return self.model.predict(rows).tolist()

    def encode_response(self, said):
        return {"predictions": said}


if __name__ == "__main__":
    server = litserve.LitServer(Predict(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port(), num_api_servers=1, generate_client_file=False,
               access_log=False, log_level="warning")  # fmt: skip
