#!/usr/bin/env python3
"""PRIMME's solvers beside those of flashring-bench-eigen, on the same points: who needs how many passes.

usage: cluster/bench_eigen.py [-programs DIR] [-n 4000] [-cases swiss:1,swiss:3,swiss:8,torus:0.2,torus:0.6,torus:1.5]
                              [-nev 10] [-tol 1e-8] [-blocks 1,8,16,32] [-methods gd,jdqmr,lobpcg] [-repeats 3]

A case is a random swiss roll or torus with the width sigma of its Gaussian: beta = 1/(2 sigma^2), alpha 1. PRIMME (pip
install primme numpy) multiplies the stored matrix, so its own seconds say little. Told are its passes, each a product
with at most 64 columns, its seconds beside products, and seconds expected with flashring's: what `flashring-bench pass`
measures for 1, 8, 16 and 32 columns, between them by straight lines. PRIMME's tolerance is absolute, so it is given
that of the smallest eigenvalue. A table goes to standard error, one JSON object to standard output. Nothing else needs
this script.
"""
import argparse
import datetime
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

METHODS = {"gd": "PRIMME_GD_Olsen_plusK", "jdqmr": "PRIMME_JDQMR", "lobpcg": "PRIMME_LOBPCG_OrthoBasis"}
MEASURED_COLUMNS = (1, 8, 16, 32)
MOST_COLUMNS = 64


def make_points(name, n):
    import numpy
    random = numpy.random.default_rng(1)
    first, second = random.random((2, n))
    if name == "swiss":
        t = math.pi * (1.5 + 3 * first)
        return numpy.stack((t * numpy.cos(t), 21 * second, t * numpy.sin(t)), axis=1)
    u, target = 2 * math.pi * first, 2 * math.pi * second
    v = target.copy()  # uniform by area: v + sin(v)/2 = 2 pi share
    for _ in range(20):
        v -= (v + numpy.sin(v) / 2 - target) / (1 + numpy.cos(v) / 2)
    return numpy.stack(((2 + numpy.cos(v)) * numpy.cos(u), (2 + numpy.cos(v)) * numpy.sin(u), numpy.sin(v)), axis=1)


def symmetric_form(x, beta):
    """M of docs/mathematics.md with alpha 1."""
    import numpy
    norms = (x * x).sum(1)
    matrix = numpy.exp(-beta * numpy.maximum(0, norms[:, None] + norms[None, :] - 2 * x @ x.T))
    weight = 1 / matrix.sum(1)
    root = weight / numpy.sqrt(weight * (matrix @ weight))
    return root[:, None] * matrix * root[None, :]


class Counted:
    """Products with a stored matrix: how many, with how many columns, in how many seconds."""

    def __init__(self, matrix):
        self.matrix, self.calls, self.seconds = matrix, {}, 0.0

    def __call__(self, x):
        columns = 1 if x.ndim == 1 else x.shape[1]
        self.calls[columns] = self.calls.get(columns, 0) + 1
        begin = time.perf_counter()
        y = self.matrix @ x
        self.seconds += time.perf_counter() - begin
        return y


def run_primme(matrix, method, block, options, exact):
    import numpy
    import primme
    from scipy.sparse.linalg import LinearOperator
    product = Counted(matrix)
    operator = LinearOperator(matrix.shape, matvec=product, matmat=product, dtype=matrix.dtype)
    begin = time.perf_counter()
    values, vectors = primme.eigsh(operator, options.nev, which="LA", tol=options.tol * exact[-1], method=METHODS[method],
                                   maxBlockSize=block)
    seconds = time.perf_counter() - begin
    values, vectors = values[numpy.argsort(-values)], vectors[:, numpy.argsort(-values)]
    residual = numpy.linalg.norm(matrix @ vectors - vectors * values, axis=0).max()
    return {"solver": f"primme {method} {block}", "passes": sum(n * -(-c // MOST_COLUMNS) for c, n in product.calls.items()),
            "column_passes": sum(c * n for c, n in product.calls.items()), "other_seconds": seconds - product.seconds,
            "calls": product.calls, "residual": float(residual),
            "missed": int((numpy.abs(values - exact) > 10 * options.tol).sum())}


def json_of(command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    if result.returncode != 0:
        sys.exit(f"bench_eigen: {' '.join(map(str, command))} failed:\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def seconds_of_products(options):
    """Seconds of a product with c columns, as measured, between the measured c by straight lines."""
    import numpy
    seconds = [json_of([os.path.join(options.programs, "flashring-bench"), "pass", "-n", options.n, "-d", 3, "-columns", c,
                        "-precision", "fp64", "-threads", 1])[0]["seconds"] for c in MEASURED_COLUMNS]
    return lambda columns: float(numpy.interp(min(columns, MEASURED_COLUMNS[-1]), MEASURED_COLUMNS, seconds))


def run_case(case, options, cost):
    import numpy
    name, sigma = case.split(":")
    beta, points = 1 / (2 * float(sigma) ** 2), make_points(name, options.n)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "points.npy")
        numpy.save(file, points)
        runs = json_of([os.path.join(options.programs, "flashring-bench-eigen"), "-points", file, "-alpha", 1, "-beta", beta,
                        "-nev", options.nev, "-eps_tol", options.tol, "-repeats", options.repeats, "-threads", 1])
    exact = numpy.array(next(run["eigenvalues"] for run in runs if run["right"]))
    matrix = symmetric_form(points, beta)
    for method in options.methods.split(","):
        # PRIMME's LOBPCG has a block of as many vectors as pairs.
        for block in [options.nev] if method == "lobpcg" else map(int, options.blocks.split(",")):
            runs.append(run_primme(matrix, method, block, options, exact))
            runs[-1]["seconds"] = runs[-1]["other_seconds"] + sum(n * cost(c) for c, n in runs[-1]["calls"].items())
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-programs", default="", help="folder of flashring-bench-eigen; default: on the PATH")
    parser.add_argument("-n", type=int, default=4000)
    parser.add_argument("-cases", default="swiss:1,swiss:3,swiss:8,torus:0.2,torus:0.6,torus:1.5")
    parser.add_argument("-nev", type=int, default=10)
    parser.add_argument("-tol", type=float, default=1e-8)
    parser.add_argument("-blocks", default="1,8,16,32")
    parser.add_argument("-methods", default="gd,jdqmr,lobpcg")
    parser.add_argument("-repeats", type=int, default=3)
    options = parser.parse_args()
    missing = [module for module in ("primme", "numpy", "scipy") if not importlib.util.find_spec(module)]
    if missing:
        sys.exit(f"bench_eigen: no {', '.join(missing)} in this Python: nothing to compare with")
    if not shutil.which("flashring-bench-eigen", path=options.programs or None):
        sys.exit("bench_eigen: no flashring-bench-eigen; say where with -programs")
    cost, cases = seconds_of_products(options), {}
    for case in options.cases.split(","):
        cases[case] = run_case(case, options, cost)
        print(f"{case}\n{'solver':56} passes columns  seconds besides  missed", file=sys.stderr)
        for run in cases[case]:
            print(f"{run['solver']:56} {run['passes']:6} {run['column_passes']:7} {run['seconds']:8.3f} "
                  f"{run['other_seconds']:7.3f} {run['missed']:7}", file=sys.stderr)
    print(json.dumps({"program": "bench_eigen", "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
                      "n": options.n, "nev": options.nev, "tolerance": options.tol, "cases": cases}))


main()
