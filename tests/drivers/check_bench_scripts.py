#!/usr/bin/env python3
"""The scripts around flashring-bench: what they refuse, and (numpy) the comparison with NumPy at a small size.

usage: check_bench_scripts.py SOURCE_FOLDER FOLDER_OF_FLASHRING_BENCH refusals|numpy
Exit code 77: not run, since there is no NumPy here.
"""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

NOT_RUN = 77
source, programs, what = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def expect(condition, result):
    if not condition:
        sys.exit(f"{result.args}: exit code {result.returncode}\n{result.stdout}{result.stderr}")


def expect_refused(result, code, *words):
    expect(result.returncode == code and all(word in result.stderr for word in words), result)


def check_compare():
    # -I -S: a Python without packages.
    for script in ("bench_compare.py", "bench_attention.py", "bench_eigen.py"):
        expect_refused(run(sys.executable, "-I", "-S", source / "cluster" / script), 1, "nothing to compare with")


def check_sweep(folder):
    (folder / "empty.txt").write_text("# no command line\n\n")
    expect_refused(run(source / "cluster/bench", "-sweep", folder / "empty.txt", "-programs", programs, "-output",
                       folder / "lines.jsonl"), 2, "empty.txt", "no command line")


def check_plot(folder):
    bench = run(os.path.join(programs, "flashring-bench"), "tile", "-n", "300", "-repeats", "1", "-seconds", "0")
    expect(bench.returncode == 0, bench)
    line = json.loads(bench.stdout)
    line["fraction"] = line["fraction_best"] = 0.5  # a machine without vectors knows no limit
    others = {"cpu": "another", "target": "another", "backend": "another", "git": "another", "pair": "laplacian:ell=1"}
    picture, file = folder / "picture.png", folder / "lines.jsonl"
    plot = [sys.executable, source / "cluster/bench_plot"]
    for field, value in others.items():
        file.write_text(json.dumps(line) + "\n" + json.dumps({**line, field: value}) + "\n")
        short = value.split(":")[0]
        expect_refused(run(*plot, file, picture), 1, f"mixes lines of {field}", f"'{short}' (1 line)", "-only")
        picture.unlink(missing_ok=True)
        result = run(*plot, "-only", f"{field}={short}", file, picture)
        expect(result.returncode == 0 and picture.stat().st_size > 0, result)
    expect_refused(run(*plot, "-only", "git=none", file, picture), 1, "no line with git 'none'")
    expect_refused(run(*plot, "-only", "date=none", file, picture), 1, "cpu, backend, target, pair, git")
    # The parameter of one pair function changes with the features.
    file.write_text(json.dumps(line) + "\n" + json.dumps({**line, "pair": "gaussian:beta=7"}) + "\n")
    expect(run(*plot, file, picture).returncode == 0, run(*plot, file, picture))


def check_numpy():
    if not importlib.util.find_spec("numpy"):
        print("not run: this Python has no NumPy")
        sys.exit(NOT_RUN)
    compare = source / "cluster/bench_compare.py"
    alone = run(sys.executable, compare, "-measure", "numpy", "-n", 300, "-d", 3, "-seconds", 0)
    expect(alone.returncode == 0 and json.loads(alone.stdout) > 0, alone)
    if importlib.util.find_spec("pykeops"):
        return  # it would compile for a minute
    result = run(sys.executable, compare, "-programs", programs, "-n", 300, "-d", 3, "-threads", 1, "-rounds", 1,
                 "-seconds", 0)
    expect(result.returncode == 0, result)
    (one,) = json.loads(result.stdout)["runs"]
    expect(abs(one["ratio"]["numpy"] * one["seconds"]["flashring"] / one["seconds"]["numpy"] - 1) < 1e-12, result)


if what == "numpy":
    check_numpy()
else:
    with tempfile.TemporaryDirectory() as name:
        check_compare()
        check_sweep(pathlib.Path(name))
        check_plot(pathlib.Path(name))
