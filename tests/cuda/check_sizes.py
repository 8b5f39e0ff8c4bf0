#!/usr/bin/env python3
"""Device code of each built file of kernels against its limit in the table of kernels/README.md.

usage: check_sizes.py OBJECT_FOLDER README

A row of the table is | `FILE.cu` | ... | limit |, sizes in MB of 10^6 bytes: section .nv_fatbin of FILE.cu.o, which several architectures share. A
file without a row has the limit of the row "any other".
"""
import pathlib
import re
import subprocess
import sys


def limits_of(readme):
    rows = re.findall(r"^\| (?:`(\S+\.cu)`|(any other)) \|.*\| ([\d.]+) \|$", readme.read_text(), flags=re.M)
    return {file or other: float(limit) for file, other, limit in rows}


def megabytes(path):
    sections = subprocess.run(["size", "-A", path], check=True, capture_output=True, text=True).stdout
    return sum(int(size) for size in re.findall(r"^\.nv_fatbin\s+(\d+)", sections, flags=re.M)) / 1e6


def main():
    folder, readme = map(pathlib.Path, sys.argv[1:3])
    limits = limits_of(readme)
    findings = [f"{file}: not built" for file in limits if file != "any other" and not list(folder.rglob(f"{file}.o"))]
    for path in sorted(folder.rglob("*.cu.o")):
        file = f"{path.parent.name}/{path.name[:-2]}"
        size, limit = megabytes(path), limits.get(file, limits["any other"])
        print(f"{file}: {size:.2f} of {limit} MB")
        if size > limit:
            findings.append(f"{file}: {size:.2f} MB of device code are more than {limit}: fewer instances, or another row in {readme}")
    print("\n".join(findings) or "all within their limits")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
