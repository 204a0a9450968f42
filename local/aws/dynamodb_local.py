"""Runs AWS's own DynamoDB Local in memory. Needs Java 17 and npm.

The npm registry has it. This module fetches it once and checks it.
"""

import hashlib
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
SHA256: Final = "3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9"
_START_SECONDS: Final = 30


def fetch(folder: Path) -> Path:
    """Returns the folder of DynamoDBLocal.jar. Raises `RuntimeError`, which says what is missing."""
    emulator = folder / "package" / "emulator"
    if (emulator / "DynamoDBLocal.jar").exists():
        return emulator
    npm = shutil.which("npm")
    if not npm or not shutil.which("java"):
        raise RuntimeError("DYNAMODB=local needs java (17) and npm on the PATH.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        packed = subprocess.run(
            [npm, "pack", "--silent", PACKAGE], cwd=fresh, capture_output=True, text=True, check=False
        )
        if packed.returncode:
            raise RuntimeError(f"{PACKAGE} cannot be fetched: {packed.stderr}")
        archive = Path(fresh) / packed.stdout.split()[-1]
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise RuntimeError(f"The download is not the expected {PACKAGE}: its SHA-256 differs.")
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        # The rename is one step, so another process never starts an incomplete copy.
        with suppress(OSError):
            (Path(fresh) / "package").rename(folder / "package")
    if not (emulator / "DynamoDBLocal.jar").exists():
        raise RuntimeError(f"{folder / 'package'} exists, but it holds no DynamoDB Local. Remove it.")
    return emulator


class DynamoDBLocal:
    """A running server at `url`. Its data is lost when it closes.

    It keeps a database for each access key. So whoever does not know the stack's key finds none of its tables.
    """

    def __init__(self, folder: Path, port: int) -> None:
        emulator = fetch(folder)
        java = shutil.which("java") or "java"
        # It lives for minutes: compiling its code well costs more than it gains (two thirds of its time).
        command = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "dynamodb-local.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "-inMemory", "-port", str(port), "-disableTelemetry"],
            cwd=emulator,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait(port)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"DynamoDB Local did not start; see {self._log.name}")
