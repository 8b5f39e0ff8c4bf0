#!/usr/bin/env python3
"""flashring-attention beside PyTorch and the package entmax, in turn on this machine.

usage: cluster/bench_attention.py [-programs DIR] [-n 4096] [-heads 4] [-d 64] [-threads 1] [-rounds 5] [-op LIST]

Standard normal queries, keys and values, fp32, forward and backward. Softmax: PyTorch's scaled_dot_product_attention.
entmax (a = 1.5) and sparsemax: the package's functions on scores that PyTorch stores, times V; without the package they
are left out (pip install torch entmax). rows: entmax (a = 1.5) of given scores (heads, n, n) beside torch.softmax. Every
program is a process of its own with that many threads; all run in turn, -rounds times, and medians are told: a table on
standard error, one JSON line for each operator on standard output. The tests of flashring compare results with both
packages (attention_torch).
"""
import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def weights_of(op):
    """From scores to weights of a row, in PyTorch."""
    import entmax
    return {"entmax": entmax.entmax15, "sparsemax": entmax.sparsemax}[op]


def measure_here(options):
    """What a process of its own does: seconds forward and backward on standard output, after a call that warms up."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    rows = options.measure == "rows"
    shape = (1, options.heads, options.n, options.n if rows else options.d)
    arrays = [torch.randn(shape, requires_grad=True) for _ in range(1 if rows else 3)]
    gradient = torch.randn(shape)

    def forward():
        if rows:
            return torch.softmax(arrays[0], -1)
        q, k, v = arrays
        if options.measure == "softmax":
            return scaled_dot_product_attention(q, k, v)
        return weights_of(options.measure)(q @ k.transpose(-1, -2) / options.d ** 0.5) @ v

    for _ in range(2):
        begin = time.perf_counter()
        o = forward()
        middle = time.perf_counter()
        o.backward(gradient)
        seconds = {"forward": middle - begin, "backward": time.perf_counter() - middle}
    print(json.dumps(seconds))


def output_of(command, threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            env={**os.environ, **dict.fromkeys(names, str(threads))})
    if result.returncode != 0:
        sys.exit(f"bench_attention: {' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def scores_in(folder, options):
    import numpy as np
    file = pathlib.Path(folder, "scores.npy")
    if not file.exists():
        np.save(file, np.random.default_rng(1).standard_normal((options.heads, options.n, options.n), dtype="f4"))
    return file


def seconds_of(name, op, options, folder):
    sizes = [f"{key}={value}" for key, value in (("h", options.heads), ("n", options.n), ("d", options.d))]
    if name == "flashring":
        program = os.path.join(options.programs, "flashring-attention") if options.programs else "flashring-attention"
        if op == "rows":
            data = ["-scores", scores_in(folder, options), "-do", scores_in(folder, options), "-op", "entmax"]
        else:
            data = ["-generate", "normal:" + ",".join(sizes), "-op", op]
        out = pathlib.Path(folder, "out")
        output_of([program, *data, "-backward", "-repeats", 3, "-threads", options.threads, "-overwrite", "-output", out],
                  options.threads)
        report = json.loads((out / "report.json").read_text())
        return {call: report[call]["seconds"] for call in ("forward", "backward")}
    return json.loads(output_of([sys.executable, __file__, "-measure", op, "-n", options.n, "-heads", options.heads, "-d",
                                 options.d, "-threads", options.threads], options.threads).strip().splitlines()[-1])


def compare(op, options, folder):
    other = "entmax" if op in ("entmax", "sparsemax") else "torch"
    times = {name: [] for name in ("flashring", other)}
    for _ in range(options.rounds):
        for name, all_seconds in times.items():
            all_seconds.append(seconds_of(name, op, options, folder))
    medians = {name: {call: statistics.median(seconds[call] for seconds in all_seconds) for call in all_seconds[0]}
               for name, all_seconds in times.items()}
    return {"program": "bench_attention", "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
            "op": op, "n": options.n, "heads": options.heads, "d": options.d, "threads": options.threads,
            "precision": "fp32", "rounds": options.rounds, "versions": versions(other), "seconds": medians,
            "ratio": {call: medians[other][call] / medians["flashring"][call] for call in ("forward", "backward")}}


def versions(other):
    from importlib import metadata
    return {module: metadata.version(module) for module in {"torch", other}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-programs", default="", help="folder of flashring-attention; default: on the PATH")
    parser.add_argument("-n", type=int, default=4096)
    parser.add_argument("-heads", type=int, default=4)
    parser.add_argument("-d", type=int, default=64)
    parser.add_argument("-threads", type=int, default=1)
    parser.add_argument("-rounds", type=int, default=5)
    parser.add_argument("-op", default="softmax,entmax,sparsemax,rows")
    parser.add_argument("-measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_here(options)
        return
    if not importlib.util.find_spec("torch"):
        sys.exit("bench_attention: torch cannot be imported: nothing to compare with")
    if not shutil.which("flashring-attention", path=options.programs or None):
        sys.exit("bench_attention: no flashring-attention; say where with -programs")
    with tempfile.TemporaryDirectory(prefix="flashring-attention-") as folder:
        for op in options.op.split(","):
            if op in ("entmax", "sparsemax") and not importlib.util.find_spec("entmax"):
                continue
            run = compare(op, options, folder)
            for name, seconds in run["seconds"].items():
                print(f"{op:10} {name:10} forward {seconds['forward']:8.4f} s   backward {seconds['backward']:8.4f} s",
                      file=sys.stderr)
            print(json.dumps(run), flush=True)


main()
