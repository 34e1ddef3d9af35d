#!/usr/bin/env python3
"""How much memory a plan over many files takes, by what its policy asks for.

    python3 benches/memory.py RETAIN PLACE [FILES]

RETAIN is a release build, PLACE a directory to make the tree in, FILES how many (a million
unless said), in directories of 40, half of them old. Prints the peak of resident memory of
`retain plan`, what of it a file takes beyond a plan of an empty store, and seconds, of the
wall and of the processor: medians of three runs. The last row is `retain serve` once its
store was looked at and its page asked for.
"""

import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

COLLECTION = """edition 2026
collection charts at "{{symbol}}_{{interval}}/*.png" {{
    age is measured from last modified
    delete when older than 7 days
    {}
}}
stop never
"""


def policies(files):
    """What is asked of a plan, with the statement that asks for it."""
    return {
        "ages": "",
        "a budget for each symbol, none exceeded": "limit total size to 1 TB per {symbol}, evicting oldest first",
        "one budget, a tenth of the files evicted": f"limit count to {files * 4 // 10}, evicting oldest first",
        "a budget for each symbol, half of what stays evicted": "limit count to 10 per {symbol}, evicting oldest first",
        "the newest ten of each symbol kept": "keep newest 10 per {symbol}",
    }


def grow(root, files):
    old = time.time() - 30 * 86400
    for number in range(files):
        directory = f"{root}/S{number // 40:07d}_1h"
        if number % 40 == 0:
            os.makedirs(directory)
        path = f"{directory}/{number:08d}.png"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        if number % 2:
            os.utime(path, (old, old))


def configure(room, store, statement, service=""):
    (room / "p.retain").write_text(COLLECTION.format(statement))
    (room / "state").mkdir(exist_ok=True)
    (room / "retain.toml").write_text(
        f'[state]\npath = "{room}/state"\n'
        f'[stores.s]\npath = "{store}"\npolicy = "p.retain"\n{service}'
    )


def plan(retain, room):
    """Peak in bytes, seconds of the wall and of the processor."""
    runs = []
    for _ in range(3):
        begun = time.monotonic()
        child = subprocess.Popen([retain, "plan", "s"], cwd=room, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit("retain plan failed")
        cpu = used.ru_utime + used.ru_stime
        runs.append((used.ru_maxrss * 1024, time.monotonic() - begun, cpu))
    return [statistics.median(column) for column in zip(*runs)]


def serve(retain, room, store):
    """The service's peak in bytes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configure(room, store, "", f'[service]\nlisten = "127.0.0.1:{port}"\n')
    child = subprocess.Popen(
        [retain, "serve"], cwd=room, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for path in ["readyz", "v1/stores/s", "stores/s"]:
            for attempt in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}").read()
                    break
                except OSError:
                    time.sleep(0.1)
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    finally:
        child.terminate()
        child.wait()


def main():
    retain = os.path.realpath(sys.argv[1])
    files = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    room = pathlib.Path(tempfile.mkdtemp(prefix="retain-memory-", dir=sys.argv[2]))
    try:
        store, empty = room / "store", room / "empty"
        store.mkdir()
        empty.mkdir()
        grow(store, files)
        configure(room, empty, "")
        floor = plan(retain, room)[0]
        print(f"| {files:,} files, half of them old | peak MB | bytes a file | seconds | processor, s |")
        print("|---|--:|--:|--:|--:|")
        print(f"| an empty store | {floor / 1e6:.0f} | | | |")
        for name, statement in policies(files).items():
            configure(room, store, statement)
            peak, wall, cpu = plan(retain, room)
            print(f"| {name} | {peak / 1e6:.0f} | {(peak - floor) / files:.0f} | {wall:.2f} | {cpu:.2f} |")
        print(f"| `retain serve`, ages | {serve(retain, room, store) / 1e6:.0f} | | | |")
    finally:
        shutil.rmtree(room)


if __name__ == "__main__":
    main()
