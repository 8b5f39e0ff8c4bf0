#!/usr/bin/env python3
"""One Gaussian kernel product y = K x in fp32 by flashring, by KeOps and by tiles of NumPy, in turn on this machine.

usage: cluster/bench_compare.py [-programs DIR] [-n 16384] [-d 3,16,64] [-threads 1,2] [-rounds 3] [-seconds 1]

Those of pykeops and numpy that this Python can import are measured (pip install pykeops numpy; KeOps compiles its
formula at the first call). Each is a process of its own with that many threads; all run in turn, -rounds times, and
medians are told. A table goes to standard error, one JSON object to standard output. Speed is N^2 over the seconds of a
product; every program sums all N^2 entries, flashring evaluates each pair once for both. The products of the others are
checked against double sums of some rows; the tests of flashring do that for its own.
"""
import argparse
import datetime
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time


def points(n, d):
    import numpy
    random = numpy.random.default_rng(1)
    return random.standard_normal((n, d)).astype("f4"), random.random((n, 1)).astype("f4"), numpy.float32(1 / (4 * d))


def keops_product(n, d):
    import pykeops.numpy as keops
    x, columns, beta = points(n, d)
    x_i, x_j = keops.LazyTensor(x[:, None, :]), keops.LazyTensor(x[None, :, :])
    kernel = (-beta * ((x_i - x_j) ** 2).sum(-1)).exp()
    kernel.backend = "CPU"
    return lambda: kernel @ columns, x, columns, beta


def numpy_product(n, d):
    import numpy
    x, columns, beta = points(n, d)
    rows = 512  # a tile of 512 x 512 floats is 1 MB: it stays in a second-level cache, and allocated once
    norms = (x * x).sum(1)
    tile, y = numpy.empty((rows, rows), "f4"), numpy.empty((n, 1), "f4")

    def product():
        y[:] = 0
        for i in range(0, n, rows):
            for j in range(0, n, rows):
                part = tile[:min(rows, n - i), :min(rows, n - j)]
                numpy.matmul(x[i:i + rows], x[j:j + rows].T, out=part)
                part *= 2
                part -= norms[i:i + rows, None]
                part -= norms[None, j:j + rows]
                part *= beta
                numpy.exp(part, out=part)
                y[i:i + rows] += part @ columns[j:j + rows]
        return y

    return product, x, columns, beta


def check(product, x, columns, beta):
    """Some rows against sums in double precision."""
    import numpy
    y, wide = product(), x.astype("f8")
    for i in range(0, len(x), max(1, len(x) // 7)):
        exact = numpy.exp(-float(beta) * ((wide[i] - wide) ** 2).sum(1)) @ columns.astype("f8")
        if not abs(y[i, 0] - exact[0]) <= 1e-4 * abs(exact[0]):
            sys.exit(f"row {i} is {y[i, 0]}, not {exact[0]}")


def measure_here(name, n, d, seconds):
    """What a process of its own does: median seconds of a product on standard output."""
    product, *problem = {"keops": keops_product, "numpy": numpy_product}[name](n, d)
    check(product, *problem)
    times = []
    while not times or sum(times) < seconds or (len(times) < 3 and sum(times) < 5 * seconds):
        begin = time.perf_counter()
        product()
        times.append(time.perf_counter() - begin)
    print(json.dumps(statistics.median(times)))


def last_line(command, threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    result = subprocess.run(command, capture_output=True, text=True,
                            env={**os.environ, **dict.fromkeys(names, str(threads))})
    if result.returncode != 0:
        sys.exit(f"bench_compare: {' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def seconds_of(name, n, d, threads, options):
    if name == "flashring":
        bench = os.path.join(options.programs, "flashring-bench") if options.programs else "flashring-bench"
        return last_line([bench, "pass", "-n", str(n), "-d", str(d), "-precision", "fp32", "-threads", str(threads),
                          "-seconds", str(options.seconds)], threads)["seconds"]
    return last_line([sys.executable, __file__, "-measure", name, "-n", str(n), "-d", str(d), "-seconds",
                      str(options.seconds)], threads)


def compare(programs, d, threads, options):
    times = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name in programs:
            times[name].append(seconds_of(name, options.n, d, threads, options))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return {"n": options.n, "d": d, "threads": threads, "seconds": medians,
            "pairs_per_second": {name: options.n ** 2 / seconds for name, seconds in medians.items()},
            "ratio": {name: seconds / medians["flashring"] for name, seconds in medians.items() if name != "flashring"}}


def version_of(module):
    from importlib import metadata
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-programs", default="", help="folder of flashring-bench; default: on the PATH")
    parser.add_argument("-n", type=int, default=16384)
    parser.add_argument("-d", default="3,16,64")
    parser.add_argument("-threads", default="1,2")
    parser.add_argument("-rounds", type=int, default=3)
    parser.add_argument("-seconds", type=float, default=1)
    parser.add_argument("-measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_here(options.measure, options.n, int(options.d), options.seconds)
        return
    modules = {name: module for name, module in (("keops", "pykeops"), ("numpy", "numpy"))
               if importlib.util.find_spec(module) and importlib.util.find_spec("numpy")}
    if not modules:
        sys.exit("bench_compare: neither pykeops nor numpy can be imported: nothing to compare with")
    if not shutil.which("flashring-bench", path=options.programs or None):
        sys.exit("bench_compare: no flashring-bench; say where with -programs")
    runs = []
    for d in map(int, options.d.split(",")):
        for threads in map(int, options.threads.split(",")):
            run = compare(["flashring", *modules], d, threads, options)
            runs.append(run)
            words = "   ".join(f"{name} {speed * 1e-9:8.3f} Gpairs/s" for name, speed in run["pairs_per_second"].items())
            ratios = ", ".join(f"{ratio:.1f} x {name}" for name, ratio in run["ratio"].items())
            print(f"d = {d:3}  {threads} thread(s)   {words}   flashring = {ratios}", file=sys.stderr)
    print(json.dumps({"program": "bench_compare", "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
                      "precision": "fp32", "versions": {name: version_of(module) for name, module in modules.items()},
                      "runs": runs}))


main()
