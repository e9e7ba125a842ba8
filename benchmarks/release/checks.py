"""What came back for a run's requests, each answer read and held against what it should say."""

import json
from array import array
from collections import Counter

#: Both sides compute in float64, and sum thirty products in an order of their own.
CLOSE = 1e-9


class Wrong(Exception):
    """Why an answer counts as failed."""


def body_of(answer):
    """The body of a 200; raises Wrong for anything else."""
    if not answer.startswith(b"HTTP/1.1 200"):
        line = answer.split(b"\r\n", 1)[0].decode(errors="replace")
        raise Wrong(line.removeprefix("HTTP/1.1 ")[:40])
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = unchunked(body)
    return head, body


def unchunked(body):
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        found, body = found + rest[:length], rest[length + 2 :]
    return found


def plain(head, body, expected, which):
    """``{"predictions": [label]}``."""
    if json.loads(body)["predictions"] != [expected["labels"][which]]:
        raise Wrong("another answer than the model gives")
    return 0


def protocol(head, body, expected, which):
    """The Open Inference Protocol's, one row, from a server without versions."""
    output = json.loads(body)["outputs"][0]
    if output["shape"] not in ([1], [1, 1]):
        raise Wrong(f"shape {output['shape']}")
    if output["data"] != [expected["labels"][which]]:
        raise Wrong("another answer than the model gives")
    return 0


def tidegate(head, body, expected, which):
    """As the version in the header answers, which is looked up in what that version computes."""
    at = head.find(b"tidegate-version: ")
    if at < 0:
        raise Wrong("no header tidegate-version")
    name = head[at + 18 :].split(b"\r\n", 1)[0].decode()
    version = name.rpartition("@")[2]
    known = expected["versions"].get(version)
    if known is None:
        raise Wrong(f"a version that is none: {name}")
    document, binary = split_binary(head, body)
    outputs = {output["name"]: output for output in document["outputs"]}
    if outputs["predict"]["shape"] not in ([1], [1, 1]):
        raise Wrong(f"shape {outputs['predict']['shape']}")
    if values(outputs["predict"], binary, "q") != [known["labels"][which]]:
        raise Wrong("not what the version in the header says")
    shares = values(outputs["probabilities"], binary, "d") if "probabilities" in outputs else None
    if shares is not None and abs(shares[-1] - known["shares"][which]) > CLOSE:
        raise Wrong("not what the version in the header says")
    return int(version)


def split_binary(head, body):
    """The JSON of an answer, and the bytes of its outputs by name where they came as bytes."""
    at = head.lower().find(b"inference-header-content-length: ")
    if at < 0:
        return json.loads(body), {}
    size = int(head[at + 33 :].split(b"\r\n", 1)[0])
    document, found, start = json.loads(body[:size]), {}, size
    for output in document["outputs"]:
        length = output.get("parameters", {}).get("binary_data_size")
        if length is not None:
            found[output["name"]] = body[start : start + length]
            start += length
    return document, found


def values(output, binary, kind):
    if output["name"] in binary:
        return list(array(kind, binary[output["name"]]))
    return output["data"]


FORMS = {"plain": plain, "protocol": protocol, "tidegate": tidegate}


def read(run, order):
    """The version of each answer, -1 for one that failed; and how many failed of what."""
    versions, failed = array("l", bytes(8 * run.done)), Counter()
    with open(order["expected"], encoding="utf-8") as file:
        expected = json.load(file)
    echoed = order["form"] == "echo"
    form = FORMS.get(order["form"])
    for at in range(run.done):
        which, answer = run.which[at], run.answers[at]
        try:
            head, body = body_of(answer)
            if not echoed:
                versions[at] = form(head, body, expected, which)
            elif not run.requests[which].endswith(b"\r\n\r\n" + body):
                raise Wrong("another body than was sent")
        except Wrong as wrong:
            versions[at] = -1
            failed[str(wrong)] += 1
        except (ValueError, KeyError, TypeError, IndexError) as error:
            versions[at] = -1
            failed[f"unreadable: {type(error).__name__}"] += 1
    return versions, failed


def moved(run, versions):
    """How many of the distinct requests, each of one entity, more than one version answered."""
    first, more = {}, set()
    for which, version in zip(run.which[: run.done], versions, strict=True):
        if version > 0 and first.setdefault(which, version) != version:
            more.add(which)
    return len(more)


def summary(run, order, seconds, used):
    """Rates, latencies in ms, failures by kind and answers by version; ``used``: CPU seconds.

    With ``timeline`` in the order, a file of that name gets the times sent, the times answered
    and the versions, one array after the other.
    """
    versions, failed = read(run, order)
    waits = sorted(run.got[at] - run.sent[at] for at in range(run.done))
    if order.get("timeline"):
        with open(order["timeline"], "wb") as file:
            for column in (run.sent[: run.done], run.got[: run.done], versions):
                column.tofile(file)

    def quantile(share):
        return 1000 * waits[min(int(share * len(waits)), len(waits) - 1)] if waits else None

    return {
        "requests": run.done,
        "seconds": seconds,
        "rate": run.done / seconds,
        "good": (run.done - sum(failed.values())) / seconds,
        "used": used,
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "failed": dict(failed),
        "moved": moved(run, versions),
        "versions": {str(v): n for v, n in Counter(versions).items() if v > 0},
    }
