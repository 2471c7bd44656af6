"""What do 500 MB of array and frame cost, in time and memory, beside reading and hashing the bytes?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Row, paired

ROUNDS = 5
MAKE = {
    "array": "import numpy; value = numpy.random.default_rng(1).random(62_500_000)",
    "frame": (
        "import numpy, pandas; draw = numpy.random.default_rng(1); "
        "value = pandas.DataFrame({f'c{i}': draw.random(6_250_000) for i in range(10)})"
    ),
}
PRELUDE = """
import hashlib, json, os, time
from airflow_model_provider import Client
import numpy, pandas, pyarrow.feather
client = Client()
client.list_models()
def held():
    open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
def peak():
    return int([l for l in open("/proc/self/status") if l.startswith("VmHWM")][0].split()[1]) * 1024 / 1e6
def told(begun, before):
    print(json.dumps([time.perf_counter() - begun, peak() - before]))
"""
SAVE = (
    PRELUDE
    + """
exec(os.environ["MAKE"])
value = value + time.time()  # new bytes, which are not in the store yet
before, begun = held(), time.perf_counter()
with client.new_model_version("large") as version:
    version.save_artifact("value", value, kind="data")
    version.save_artifact("small", value[:2], kind="data")
told(begun, before)
"""
)
LOAD = (
    PRELUDE
    + """
client.get_artifact("small").load(mmap=True)  # imports are not what is measured here
artifact = client.get_artifact("value")
before, begun = held(), time.perf_counter()
value = artifact.load(mmap="MMAP" in os.environ)
told(begun, before)
"""
)
READ = (
    PRELUDE
    + """
path = client.get_artifact("value").uri.removeprefix("file://")
before, begun = held(), time.perf_counter()
digest = hashlib.sha256()
with open(path, "rb") as file:
    while block := file.read(1 << 20):
        digest.update(block)
told(begun, before)
"""
)
WRITE = (
    PRELUDE
    + """
path = client.get_artifact("value").uri.removeprefix("file://")
data = open(path, "rb").read()
before, begun = held(), time.perf_counter()
hashlib.sha256(data).digest()
with open(os.environ["COPY"], "wb") as file:
    file.write(data)
    os.fsync(file.fileno())
told(begun, before)
"""
)
SIZE = 500.0


def measure() -> list[Row]:
    """Save, load writable, load mapped, load mapped once more; medians of fresh processes."""
    rows = []
    for name, make in MAKE.items():
        with tempfile.TemporaryDirectory() as home:
            rows += _rows(name, make, home)
    return rows


def _rows(name: str, make: str, home: str) -> list[Row]:
    peaks: dict[str, float] = {}

    def timed(what: str, code: str, **environment: str) -> float:
        environment |= {"AIRFLOW_HOME": home, "XDG_CACHE_HOME": f"{home}/cache"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        taken, peaks[what] = json.loads(done.stdout.splitlines()[-1])
        return taken

    def save() -> float:
        return timed("save", SAVE, MAKE=make)

    def load_first() -> float:
        shutil.rmtree(Path(home) / "cache", ignore_errors=True)
        return timed("mapped", LOAD, MMAP="1")

    def read() -> float:
        return timed("read", READ)

    # Saving comes last: every new file takes memory for its pages.
    save()
    # On a virtual machine memory that was never touched is slow; what is measured is not that.
    subprocess.run([sys.executable, "-c", "import numpy; numpy.ones(500_000_000)"], check=True)
    loading = paired(lambda: timed("load", LOAD), read, rounds=ROUNDS, warm=2)
    first = paired(load_first, read, rounds=ROUNDS)
    second = paired(lambda: timed("mapped", LOAD, MMAP="1"), read, rounds=ROUNDS)
    saving = paired(save, lambda: timed("write", WRITE, COPY=f"{home}/copy"), rounds=ROUNDS)
    return [
        Row("500 MB", f"{name}: save / hash and write the bytes", *saving, rounds=ROUNDS),
        Row("500 MB", f"{name}: load, writable / read and hash the bytes", *loading, "s", 2.0, rounds=ROUNDS),
        Row("500 MB", f"{name}: peak memory of a writable load / the value", peaks["load"], SIZE, "MB", 1.2),
        Row(
            "500 MB",
            f"{name}: peak memory of saving, beyond the value / the value",
            peaks["save"],
            SIZE,
            "MB",
        ),
        Row(
            "500 MB",
            f"{name}: first load, mmap / read and hash the bytes",
            *first,
            "s",
            1 / 0.9,
            rounds=ROUNDS,
        ),
        Row(
            "500 MB",
            f"{name}: second load, mmap / read and hash the bytes",
            *second,
            "s",
            0.01,
            rounds=ROUNDS,
        ),
    ]
