#!/usr/bin/env python3
"""What a reviewer that lets everything go adds to a run, beside what its plan takes.

    python3 benches/reviewers.py RETAIN PLACE [FILES [ROUNDS]]

RETAIN is a release build, PLACE a directory to make trees in, best a tmpfs, FILES how many
there are, all of them old and all of them asked about, a million unless said. In each round
the tree is planned, and then made and applied to once without and once with each reviewer.
Prints seconds of processor time, user and system, medians of ROUNDS, three unless said, but for
`bench` those of the wall, to be read on a quiet machine. What a
reviewer adds is a small difference of two runs that remove a million files, so it is printed with
what `retain plugin bench` takes to ask about as many files, which it does on one core: telling
the plugin of them, its answers, a fresh instance for each call, and a list of all answers,
which a run does not have.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import growth

PER_DIRECTORY = 40
REVIEWERS = {"keep-linked": {}, "legal-hold": {"paths": ["held/**"]}}


def configure(room, reviewer):
    hook = f"before delete, run {reviewer}, otherwise keep\n" if reviewer else ""
    growth.configure(room, "delete when older than 7 days\n" + hook)
    with open(room / "retain.toml", "a") as file:
        for name, settings in REVIEWERS.items():
            file.write(f'[plugins.{name}]\nwasm = "builtin:{name}"\n')
            if settings:
                pairs = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
                file.write(f"settings = {{ {', '.join(pairs)} }}\n")


def grow(room, files):
    """A tree that nothing was ever done to; of the state only compiled plugins stay."""
    shutil.rmtree(room / "tree", ignore_errors=True)
    for known in room.glob("state/*"):
        if known.is_file() and not known.name.startswith("compiled"):
            known.unlink()
    growth.grow(str(room / "tree"), files, PER_DIRECTORY, every_old=True)


def processor(retain, room, *words):
    """Seconds of processor time, user and system, of one command."""
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.execv(retain, [retain, "--config", str(room / "retain.toml"), *words])
    _, status, used = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"retain {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def apply(retain, room, files, reviewer):
    """The same of a run that removes every file."""
    configure(room, reviewer)
    grow(room, files)
    used = processor(retain, room, "apply", "--yes")
    left = sum(len(names) for at, _, names in os.walk(room / "tree") if "/.retain" not in at)
    if left:
        sys.exit(f"{left} files are left after an apply with {reviewer}")
    return used


def asked(retain, room, reviewer, files):
    """Seconds in which `bench` asks about so many files, the median of five."""
    words = ["plugin", "bench", f"builtin:{reviewer}", "--settings", json.dumps(REVIEWERS[reviewer])]
    words += ["--rounds", "5", "--entries", str(files), "--format", "json"]
    said = subprocess.run([retain, *words], cwd=room, check=True, capture_output=True, text=True)
    rows = map(json.loads, said.stdout.splitlines())
    return next(row["seconds"] for row in rows if row["what"] == f"{files} files reviewed")


def main():
    retain, place = os.path.abspath(sys.argv[1]), sys.argv[2]
    files, rounds = [*map(int, sys.argv[3:]), *[1_000_000, 3][len(sys.argv) - 3 :]]
    room = pathlib.Path(tempfile.mkdtemp(prefix="retain-bench.", dir=place))
    taken = {}
    note = lambda what, seconds: taken.setdefault(what, []).append(seconds)
    try:
        for reviewer in REVIEWERS:
            # Compiled and kept before anything is measured.
            apply(retain, room, PER_DIRECTORY, reviewer)
        for _ in range(rounds):
            configure(room, None)
            grow(room, files)
            note("plan", processor(retain, room, "plan"))
            for reviewer in [None, *REVIEWERS]:
                note(f"apply, {reviewer or 'nobody asked'}", apply(retain, room, files, reviewer))
            for reviewer in REVIEWERS:
                note(f"bench, {reviewer}", asked(retain, room, reviewer, files))
    finally:
        shutil.rmtree(room, ignore_errors=True)
    median = {what: statistics.median(seconds) for what, seconds in taken.items()}
    print(f"{files} files, medians of {rounds}")
    print("| work | seconds | added, s | of the plan |\n|---|--:|--:|--:|")
    for what, seconds in median.items():
        kind, _, who = what.partition(", ")
        added = {"apply": seconds - median["apply, nobody asked"], "bench": seconds}.get(kind)
        if added is None or who == "nobody asked":
            print(f"| {what} | {seconds:.2f} | | |")
        else:
            print(f"| {what} | {seconds:.2f} | {added:.2f} | {100 * added / median['plan']:.0f}% |")


if __name__ == "__main__":
    main()
