#!/usr/bin/env python3
"""Reads the machine code of built kernels: instructions that must be there, and registers that must not go to memory.

usage: check_sass.py OBJECT_FOLDER EXPECTATIONS TOOL_FOLDER

OBJECT_FOLDER holds the .cu.o files of a build. A line of EXPECTATIONS is
    FILE ARCHITECTURE KERNEL: WORD ... [!WORD ...]
FILE without .cu.o, which several targets may have; KERNEL a regular expression that the kernels' mangled names hold; all of them must
hold every WORD and none of the !WORDs.
cuobjdump and nvdisasm come from the PATH, or from PyPI into TOOL_FOLDER, as the CUDA packages of Debian and others may
lack them. Exit code 77: they could not be had, nothing was checked.
"""
import io
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile

VERSION = "13.2.78"
PACKAGES = {"cuobjdump": "nvidia-cuda-cuobjdump", "nvdisasm": "nvidia-cuda-nvdisasm"}
SKIPPED = 77


def wheel_address(package):
    with urllib.request.urlopen(f"https://pypi.org/pypi/{package}/json", timeout=60) as answer:
        files = json.load(answer)["releases"].get(VERSION, [])
        page = answer.geturl()  # mirrors give addresses relative to it
    machine = os.uname().machine
    return next(urllib.parse.urljoin(page, f["url"]) for f in files if "manylinux" in f["filename"] and f["filename"].endswith(f"{machine}.whl"))


def fetch_tool(name, folder):
    """The program `name` out of its wheel."""
    with urllib.request.urlopen(wheel_address(PACKAGES[name]), timeout=120) as answer:
        wheel = zipfile.ZipFile(io.BytesIO(answer.read()))
    member = next(m for m in wheel.namelist() if m.endswith(f"bin/{name}"))
    path = folder / name
    path.write_bytes(wheel.read(member))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def find_tools(folder):
    """cuobjdump, with nvdisasm on the PATH; None where they cannot be had."""
    if all(shutil.which(name) for name in PACKAGES):
        return shutil.which("cuobjdump")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name in PACKAGES:
            if not (folder / name).exists():
                fetch_tool(name, folder)
    except (OSError, StopIteration, zipfile.BadZipFile) as error:
        print(f"not run: cuobjdump and nvdisasm are not here and PyPI does not give them ({error})")
        return None
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    return folder / "cuobjdump"


def kernels_of(tool, path, architecture):
    """Kernel name -> its instructions, the words before operands."""
    text = subprocess.run([tool, "-sass", "-arch", architecture, path], check=True, capture_output=True, text=True).stdout
    kernels = {}
    for part in re.split(r"^\s*Function : ", text, flags=re.M)[1:]:
        name, _, body = part.partition("\n")
        kernels[name.strip()] = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", body, flags=re.M)
    return kernels


def holds(instructions, word):
    return any(i == word or i.startswith(word + ".") for i in instructions)


def check_line(tool, folder, line):
    """Findings of one expectation."""
    place, _, words = line.partition(":")
    file, architecture, kernel = place.split()
    kernels = {n: i for path in folder.rglob(f"{file}.cu.o") for n, i in kernels_of(tool, path, architecture).items()
               if re.search(kernel, n)}
    findings = [] if kernels else [f"{line}: no such kernel"]
    for name, instructions in kernels.items():
        for word in words.split():
            wanted = not word.startswith("!")
            if holds(instructions, word.lstrip("!")) != wanted:
                findings.append(f"{file} {architecture} {name}: {'lacks' if wanted else 'has'} {word.lstrip('!')}")
    print(f"{file} {architecture} {kernel}: {len(kernels)} kernels,{words}")
    return findings


def main():
    folder, expectations, tools = map(pathlib.Path, sys.argv[1:4])
    tool = find_tools(tools.resolve())
    if tool is None:
        return SKIPPED
    lines = [line.strip() for line in expectations.read_text().splitlines()]
    findings = [f for line in lines if line and not line.startswith("#") for f in check_line(tool, folder, line)]
    print("\n".join(findings) or "all as expected")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
