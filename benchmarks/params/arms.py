"""One store at work, in its own environment: reads orders on stdin, answers on stdout, as JSON.

Every store is called in process, without a program's start; git-theta has no other interface
than git's, so its figures contain the start of git and of its filters.
"""

import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAME = "model.safetensors"


class Tidegate:
    """``params import`` and ``params checkout``; each version is near the one before."""

    def __init__(self, folder):
        from tidegate.store.objects import Objects

        self.objects = Objects.open(str(folder / "objects"))
        self.versions = []

    def commit(self, file):
        from tidegate.params.files.import_file import import_file

        manifest = import_file(self.objects, file, near=self.versions[-1:-6:-1])
        self.versions.append(manifest.id)

    def checkout(self, number, out):
        from tidegate.params.checkout import checkout, load_manifest

        checkout(self.objects, load_manifest(self.objects, self.versions[number]), out)


class Copy:
    """A copy for each version, its SHA-256 taken on the way in and checked on the way out."""

    def __init__(self, folder):
        self.folder, self.digests = folder / "store", []
        self.folder.mkdir()

    def commit(self, file):
        self.digests.append(self._copy(file, self.folder / str(len(self.digests))))

    def checkout(self, number, out):
        if self._copy(self.folder / str(number), out) != self.digests[number]:
            raise ValueError("damaged")

    def _copy(self, source, target):
        hasher = hashlib.sha256()
        with open(source, "rb") as file, open(target, "wb") as copy:
            while part := file.read(1 << 22):
                hasher.update(part)
                copy.write(part)
        return hasher.hexdigest()


class Mlflow:
    """An artifact of a run, copied in and out; nothing is verified."""

    def __init__(self, folder):
        os.environ |= {
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        from mlflow import MlflowClient

        self.uri = f"file://{folder / 'runs'}"
        self.client, self.runs = MlflowClient(tracking_uri=self.uri), []

    def commit(self, file):
        run = self.client.create_run("0").info.run_id
        self.client.log_artifact(run, str(file))
        self.runs.append(run)

    def checkout(self, number, out):
        folder = out.with_suffix(".folder")
        folder.mkdir()
        self.client.download_artifacts(self.runs[number], NAME, str(folder))
        (folder / NAME).rename(out)
        folder.rmdir()


class Dvc:
    """``dvc add`` and ``dvc checkout`` in a git repository."""

    def __init__(self, folder):
        os.environ["DVC_NO_ANALYTICS"] = "true"
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        os.chdir(folder)
        from dvc.repo import Repo

        self.repo, self.folder, self.pointers = Repo.init(), folder, []

    def take(self, file):
        """``dvc add`` works on a file in the repository; that it gets there is not its cost."""
        shutil.copyfile(file, self.folder / NAME)

    def commit(self, _file):
        self.repo.add(NAME)
        self.pointers.append((self.folder / f"{NAME}.dvc").read_text())

    def leave(self):
        (self.folder / NAME).unlink(missing_ok=True)

    def checkout(self, number, out):
        (self.folder / f"{NAME}.dvc").write_text(self.pointers[number])
        self.repo.checkout(f"{NAME}.dvc", force=True)
        (self.folder / NAME).rename(out)


class Xet:
    """hf_xet's local mode: chunks cut by content, kept by hash."""

    def __init__(self, folder):
        os.environ |= {"HF_HOME": str(folder / "home"), "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0"}
        import hf_xet

        self.xet, self.files = hf_xet, []
        self.where = f"local://{folder / 'cas'}"

    def commit(self, file):
        (done,) = self.xet.upload_files(
            [str(file)], self.where, ("-", 0), None, None, "model", skip_sha256=True
        )
        self.files.append((done.hash, done.filesize))

    def checkout(self, number, out):
        wanted = self.xet.PyXetDownloadInfo(str(out), *self.files[number])
        self.xet.download_files([wanted], self.where, ("-", 0), None, None)


class Theta:
    """git-theta: ``git add`` and ``git checkout`` with its filters; commits are not timed."""

    def __init__(self, folder):
        here = str(Path(sys.executable).parent)
        os.environ |= {
            "PATH": f"{here}:{os.environ['PATH']}",
            "GIT_THETA_CHECKPOINT_TYPE": "safetensors",
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        }
        self.folder, self.numbers = folder / "work", []
        self.folder.mkdir()
        self._git("config", "--global", "user.name", "bench")
        self._git("config", "--global", "user.email", "bench@localhost")
        for words in (["init", "-q"], ["lfs", "install"], ["theta", "install"]):
            self._git(*words)
        self._git("theta", "track", NAME)

    def _git(self, *words):
        subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True)

    def take(self, file):
        shutil.copyfile(file, self.folder / NAME)

    def commit(self, _file):
        self._git("add", NAME)

    def leave(self):
        self._git("commit", "-q", "-m", "next")
        self._git("tag", f"v{len(self.numbers)}")
        self.numbers.append(len(self.numbers))

    def checkout(self, number, out):
        (self.folder / NAME).unlink(missing_ok=True)
        self._git("checkout", "-q", f"v{number}", "--", NAME)
        shutil.move(self.folder / NAME, out)


ARMS = {
    "Tidegate": Tidegate,
    "copy + SHA-256": Copy,
    "MLflow": Mlflow,
    "DVC": Dvc,
    "hf_xet": Xet,
    "git-theta": Theta,
}


def stored(folder):
    """Bytes of all files below ``folder``, each counted once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found = path.stat()
            sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def timed(work):
    gc.collect()
    os.sync()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def obey(arm, folder, order):
    if order["do"] == "commit":
        file = Path(order["file"])
        getattr(arm, "take", lambda _file: None)(file)
        seconds = timed(lambda: arm.commit(file))
        getattr(arm, "leave", lambda: None)()
        return {"seconds": seconds, "stored": stored(folder)}
    out = Path(order["out"])
    out.unlink(missing_ok=True)
    return {"seconds": timed(lambda: arm.checkout(order["number"], out))}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    folder = Path(sys.argv[2]).resolve()
    arm = ARMS[sys.argv[1]](folder)
    for line in sys.stdin:
        try:
            answer = obey(arm, folder, json.loads(line))
        except Exception as problem:
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
