#!/usr/bin/env python3
"""How `retain plan` grows with files, directories, rules and groups.

    python3 benches/growth.py RETAIN PLACE [LARGEST]

RETAIN is a release build, PLACE a directory to make trees in (a tmpfs measures the
program and not the disk, and seldom has room for ten million names), LARGEST the most
files of a tree, a million unless said. Each point is the fastest of three runs, of one
beyond a million files, in seconds of processor time, user and system, which other
programs disturb less than the wall; and the peak of resident memory.
Prints Markdown tables and writes benches/growth.svg, with both axes logarithmic: what
grows as n lies along the dashed diagonal of its chart.
"""

import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

RUNS = 3
# Beyond so many files one run has to do.
MANY = 1_000_000
# What one axis varies, the others keep.
FILES, PER_DIRECTORY = 100_000, 40


def grow_some(root, directories, files, per_directory, every_old):
    old = time.time() - 30 * 86400
    for directory in directories:
        os.mkdir(f"{root}/S{directory}_1h")
        begin = directory * per_directory
        for number in range(begin, min(begin + per_directory, files)):
            path = f"{root}/S{directory}_1h/{number}.png"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            if every_old or number % 2:
                os.utime(path, (old, old))


def grow(root, files, per_directory, every_old=False):
    """Files in directories of so many, half of them old or all, made by all cores."""
    os.mkdir(root)
    directories, cores = math.ceil(files / per_directory), os.cpu_count()
    share = math.ceil(directories / cores)
    children = []
    for begin in range(0, directories, share):
        child = os.fork()
        if child == 0:
            part = range(begin, min(begin + share, directories))
            grow_some(root, part, files, per_directory, every_old)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("the tree could not be made")


def configure(room, statements):
    (room / "p.retain").write_text(
        'edition 2026\ncollection all at "{symbol}_{interval}/{name}.png" {\n'
        "age is measured from last modified\n" + statements + '}\nstop never because "a benchmark"\n'
    )
    (room / "retain.toml").write_text(
        '[stores.s]\npath = "tree"\npolicy = "p.retain"\nexclusive = true\n[state]\npath = "state"\n'
    )


def measure(retain, room, runs):
    """Processor seconds and peak bytes of one plan, the least of some runs."""
    best = (math.inf, math.inf)
    for _ in range(runs):
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            os.execv(retain, [retain, "--config", str(room / "retain.toml"), "plan"])
        _, status, used = os.wait4(child, 0)
        if status != 0:
            sys.exit(f"retain plan ended with {os.waitstatus_to_exitcode(status)}")
        best = min(best, (used.ru_utime + used.ru_stime, used.ru_maxrss * 1024))
    return best


def axes(largest):
    """Title, and for each point: what is counted, files, files a directory, statements."""
    age = "delete when older than 7 days\n"
    powers = [10**power for power in range(4, 9) if 10**power <= largest]
    yield "files, ages only", [(n, n, PER_DIRECTORY, age) for n in powers]
    budget = age + "limit total size to 1 TB per {symbol}, evicting oldest first\n"
    yield "files, with a budget per group", [(n, n, PER_DIRECTORY, budget) for n in powers]
    floor = age + "keep newest 10 per {symbol}\n"
    yield "files, the newest ten of each group kept", [(n, n, PER_DIRECTORY, floor) for n in powers]
    many = [n for n in (10, 100, 1_000, 10_000, 100_000) if n <= FILES]
    yield "directories", [(n, FILES, FILES // n, age) for n in many]
    rules = lambda n: "".join(f'keep for 400 days where {{symbol}} is "T{i}"\n' for i in range(n))
    yield "rules", [(n, FILES, PER_DIRECTORY, age + rules(n)) for n in (10, 100, 1_000, 10_000)]
    newest = age + "keep newest 1 per {%s}\n"
    groups = [(n, n, 1, newest % "name") for n in (10, 100, 1_000, 10_000, 100_000, 1_000_000)]
    yield "groups, one file each", [point for point in groups if point[0] <= largest]


def chart(title, points, left, top, width, height):
    """One chart of a figure: the points, and the diagonal of n through the last."""
    xs = [math.log10(n) for n, *_ in points]
    ys = [math.log10(max(seconds, 1e-3)) for _, seconds, *_ in points]
    low, high = math.floor(min(ys)), math.ceil(max(ys)) or 1
    high = max(high, low + 1)
    first, last = min(xs), max(xs)
    across = lambda x: left + (x - first) / (last - first or 1) * width
    up = lambda y: top + height - (y - low) / (high - low) * height
    parts = [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>',
        f'<text x="{left}" y="{top - 8}">{title}</text>',
    ]
    for y in range(low, high + 1):
        parts.append(f'<text x="{left - 6}" y="{up(y) + 4}" text-anchor="end">{10.0**y:g} s</text>')
        parts.append(f'<path d="M{left} {up(y)}h{width}" stroke="#8884"/>')
    for x in range(math.ceil(first), math.floor(last) + 1):
        parts.append(f'<text x="{across(x)}" y="{top + height + 16}" text-anchor="middle">10^{x}</text>')
    begin = ys[-1] - (xs[-1] - first)
    if begin < low:
        cut = xs[-1] - (ys[-1] - low)
        parts.append(f'<path d="M{across(cut)} {up(low)}L{across(xs[-1])} {up(ys[-1])}" stroke="#888" stroke-dasharray="4"/>')
    else:
        parts.append(f'<path d="M{across(first)} {up(begin)}L{across(xs[-1])} {up(ys[-1])}" stroke="#888" stroke-dasharray="4"/>')
    line = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in zip(xs, ys))
    parts.append(f'<path d="M{line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>')
    parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="#2a6fdb"/>' for x, y in zip(xs, ys)]
    return "\n".join(parts)


def figure(measured):
    width, height, columns = 220, 150, 3
    rows = math.ceil(len(measured) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * 310}" height="{rows * 230}" '
        'font-family="sans-serif" font-size="11" fill="#555">'
    ]
    for index, (title, points) in enumerate(measured):
        left, top = 70 + index % columns * 310, 40 + index // columns * 230
        parts.append(chart(title, points, left, top, width, height))
    return "\n".join(parts + ["</svg>\n"])


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    retain, place = os.path.realpath(sys.argv[1]), sys.argv[2]
    largest = int(sys.argv[3]) if len(sys.argv) == 4 else 1_000_000
    room = pathlib.Path(tempfile.mkdtemp(prefix="retain-growth.", dir=place))
    all_axes = list(axes(largest))
    trees = {}
    for axis, (_, points) in enumerate(all_axes):
        for count, files, per_directory, statements in points:
            trees.setdefault((files, per_directory), []).append((axis, count, statements))
    measured = [(title, []) for title, _ in all_axes]
    try:
        for (files, per_directory), points in trees.items():
            grow(room / "tree", files, per_directory)
            for axis, count, statements in points:
                shutil.rmtree(room / "state", ignore_errors=True)
                # Where steps lie that are too many for memory.
                (room / "state").mkdir()
                configure(room, statements)
                seconds, peak = measure(retain, room, RUNS if files <= MANY else 1)
                measured[axis][1].append((count, seconds, peak, files))
                print(f"{measured[axis][0]}: {count:,}", file=sys.stderr, flush=True)
            subprocess.run(["rm", "-rf", room / "tree"], check=True)
    finally:
        subprocess.run(["rm", "-rf", room], check=True)
    for title, points in measured:
        points.sort()
        print(f"\n| {title} | processor, s | microseconds each | peak MB |\n|--:|--:|--:|--:|")
        for count, seconds, peak, files in points:
            print(f"| {count:,} | {seconds:.3f} | {seconds / files * 1e6:.2f} | {peak / 1e6:.0f} |")
    plot = pathlib.Path(__file__).with_name("growth.svg")
    plot.write_text(figure(measured))
    print(f"\nwrote {plot}")


if __name__ == "__main__":
    main()
