#!/usr/bin/env python3
"""Messages that the pages of docs/ show must be messages of the program.

Looked at are lines of code (indented by four blanks) in docs/*.md that begin with "error: ", "note: ", "libflashring ",
"interrupted ", "not converged: " or, for our own errors inside PETSc, "[0]PETSC ERROR: ". "..." stands for what changes. What is between must be put together
from the string literals of one source file and of the headers: the end of one literal, whole ones, the beginning of
another. Where that fails, numbers stand for what changes too, and a message may be a chain of several, linked by ": "
or "; ".
Links from page to page must lead somewhere, too.

usage: check_texts.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

FOLDERS = ("src", "include", "drivers")
SUFFIXES = {".cpp", ".hpp", ".h"}
MARKER = re.compile(r" {4}(?:\[0\]PETSC ERROR: (?:flashring: )?|error: (?:rank \S+: )?|note: |"
                    r"(?=libflashring |interrupted |not converged: ))(.*)")
# Messages of PETSc itself, for which only PETSc could answer.
OF_PETSC = ("Unknown Mat type given:", "Unable to locate dynamic library:")
SHORTEST_PART = 3  # characters of a literal's end or beginning, so that no text is put together from letters

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?P<raw>.*?)\)"|"(?P<text>(?:\\.|[^"\\\n])*)"|\'(?:\\.|[^\'\\\n])+\'',
                               re.S)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\", "0": "\0"}


def literals(code):
    """String literals of a source; those with only blanks, comments or the name of a literal between are one."""
    found, end = [], None
    code = re.sub(r"(?<=\d)'(?=\d)", "_", code)  # digit separators
    code = re.sub(r"^\s*#\s*include[^\n]*", lambda m: " " * len(m.group(0)), code, flags=re.M)
    code = code.replace("MATFLASHRING \"", "\"flashring\" \"").replace("\" MATFLASHRING", "\" \"flashring\"")
    for match in COMMENT_OR_STRING.finditer(code):
        text = match.group("raw") if match.group("raw") is not None else match.group("text")
        if text is None:
            continue
        text = re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(0)), text)
        between = "" if end is None else re.sub(r"//[^\n]*|/\*.*?\*/", "", code[end:match.start()], flags=re.S)
        if end is not None and not between.strip():
            found[-1] += text
        else:
            found.append(text)
        end = match.end()
    return [text for text in found if text]


def covered(fragment, texts):
    """True when `fragment` is inside a literal, or is the end of one, whole ones, and the beginning of one."""
    if any(fragment in text for text in texts):
        return True
    size = len(fragment)
    reached = set()  # positions of the fragment up to which literals lead
    for text in texts:
        for length in range(min(size, len(text)), 0, -1):
            if (length == len(text) or length >= SHORTEST_PART) and text.endswith(fragment[:length]):
                reached.add(length)
    open_positions = sorted(reached)
    while open_positions:
        at = open_positions.pop(0)
        for text in texts:
            rest = fragment[at:]
            if text.startswith(rest) and (len(rest) >= SHORTEST_PART or rest == text):
                return True
            if rest.startswith(text) and at + len(text) not in reached:
                reached.add(at + len(text))
                open_positions.append(at + len(text))
    return size in reached


def parts(text, separator):
    return [part for part in (piece.strip() for piece in re.split(separator, text)) if part]


def is_said(fragment, sources):
    return any(covered(fragment, texts) for texts in sources)


def read_sources(root):
    """For every source file its literals and those of all headers, which several files may use."""
    files = {path: literals(path.read_text(encoding="utf-8")) for folder in FOLDERS
             for path in sorted((root / folder).rglob("*")) if path.suffix in SUFFIXES}
    headers = [text for path, texts in files.items() if path.suffix != ".cpp" for text in texts]
    return [texts + headers for path, texts in files.items() if path.suffix == ".cpp"]


def check_messages(root):
    sources = read_sources(root)
    if not is_said("is not a number", sources) or is_said("is not a nomber", sources) or is_said("check the pith", sources):
        sys.exit("check_texts: the check itself does not work")
    count, findings = 0, []
    for page in sorted((root / "docs").glob("*.md")):
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            match = MARKER.fullmatch(line)
            if match is None or match.group(1).startswith(OF_PETSC):
                continue
            count += 1
            for fragment in parts(match.group(1), r"\.\.\."):
                if is_said(fragment, sources):
                    continue
                for part in parts(fragment, r"[:;] |\b\d[\d.]*(?:e[+-]?\d+)?"):
                    if not is_said(part, sources):
                        findings.append(f"{page.relative_to(root)}:{number}: no source says '{part}'")
    return count, findings


def check_links(root):
    findings = []
    for page in sorted((root / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if not (page.parent / target).exists():
                findings.append(f"{page.relative_to(root)}: the link to {target} leads nowhere")
    return findings


def main():
    root = pathlib.Path(sys.argv[1])
    count, findings = check_messages(root)
    findings += check_links(root)
    for finding in findings:
        print(finding)
    print(f"check_texts: {count} messages, {len(findings)} findings")
    sys.exit(1 if findings or count == 0 else 0)


main()
