"""Requests whose outcomes come true at once: ``python labels.py PORT FILE``, until stopped.

FILE holds requests of ten rows each, as JSON, and the label of each row.
"""

import http.client
import json
import sys
import time

BETWEEN = 0.1


def main(port, file):
    with open(file, encoding="utf-8") as opened:
        batches = json.load(opened)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(path, document):
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    while True:
        for batch in batches:
            began = time.monotonic()
            try:
                status, said = post("/v2/models/bench/infer", batch["request"])
                if status == 200:
                    ids = json.loads(said)["parameters"]["request_ids"]
                    labels = dict(zip(ids, batch["labels"], strict=True))
                    post("/v1/models/bench/feedback", {"labels": labels})
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens another
            time.sleep(max(0.0, began + BETWEEN - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
