"""Starts BentoML's server as its command line does."""

import os
import sys
from pathlib import Path

from model import port

if __name__ == "__main__":
    here = str(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "bentoml_service:Bench",
                              "--host", "127.0.0.1", "--port", str(port()),
                              "--working-dir", here])  # fmt: skip
