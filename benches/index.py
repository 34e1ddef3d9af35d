#!/usr/bin/env python3
"""What `index = true` saves: a second look at a tree that nobody touched.

    python3 benches/index.py RETAIN PLACE [FILES [ROUNDS]]

RETAIN is a release build, PLACE a directory to make the tree in, FILES how many (200,000
unless said), in directories of 40, none of them old enough to go. Prints medians of ROUNDS
(five unless said) of `retain plan` with the index and without one, by turns, as they are on
the wall and in processor time, user and system.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

POLICY = """edition 2026
collection all at "{symbol}_{interval}/*.png" {
    age is measured from last modified
    delete when older than 7 days
}
"""


def measure(command):
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{command} failed")
    return time.monotonic() - begun, used.ru_utime + used.ru_stime


def main():
    retain = os.path.realpath(sys.argv[1])
    place = sys.argv[2]
    files = int(sys.argv[3]) if len(sys.argv) > 3 else 200_000
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    room = pathlib.Path(tempfile.mkdtemp(dir=place))
    try:
        (room / "store").mkdir()
        for number in range(files):
            directory = f"{room}/store/S{number // 40}_1h"
            if number % 40 == 0:
                os.mkdir(directory)
            os.close(os.open(f"{directory}/{number}.png", os.O_CREAT | os.O_WRONLY))
        (room / "p.retain").write_text(POLICY)
        for name, index in (("with", "true"), ("without", "false")):
            text = f"""[stores.files]
path = "store"
policy = "p.retain"
index = {index}
[state]
path = "state"
"""
            (room / f"{name}.toml").write_text(text)
        # What changed within three seconds may change again and look the same.
        time.sleep(5)
        measure([retain, "-c", str(room / "with.toml"), "apply", "--yes"])
        seen = {"without": [], "with": []}
        for _ in range(rounds):
            for name, all_of in seen.items():
                all_of.append(measure([retain, "-c", str(room / f"{name}.toml"), "plan"]))
        print(f"| {files} files, nothing to go | seconds | processor, s |\n|---|--:|--:|")
        medians = {}
        for name, all_of in seen.items():
            medians[name] = [statistics.median(part) for part in zip(*all_of)]
            wall, processor = medians[name]
            print(f"| {name} the index | {wall:.3f} | {processor:.3f} |")
        ratios = [a / b for a, b in zip(medians["with"], medians["without"])]
        print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")
        size = (room / "state" / "index" / "files").stat().st_size
        print(f"\nthe index: {size} bytes, {size / (files / 40):.0f} a directory")
    finally:
        shutil.rmtree(room)


main()
