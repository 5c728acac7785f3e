"""What the three checkers share: which files there are, and C text without comments and strings."""
import os
import re
import sys


def files(root, folders, endings):
    for folder in folders:
        for place, dirs, names in os.walk(os.path.join(root, folder)):
            dirs.sort()
            for name in sorted(names):
                if name.endswith(endings):
                    path = os.path.join(place, name)
                    yield os.path.relpath(path, root).replace(os.sep, "/"), path


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """The text with comments blanked, and strings emptied, at the same lines and columns."""
    def blank(m):
        t = m.group(0)
        if t[0] in "\"'":
            return t[0] + " " * (len(t) - 2) + t[-1]
        return re.sub(r"[^\n]", " ", t)
    return TOKEN.sub(blank, text)


def without_preprocessor(text):
    """The bare text with # lines and their continuations blanked."""
    out, in_directive = [], False
    for line in text.split("\n"):
        directive = in_directive or line.lstrip().startswith("#")
        in_directive = directive and line.endswith("\\")
        out.append("" if directive else line)
    return "\n".join(out)


def functions(lines):
    """(first line, last line, head text) of each function, by the house's brace style: the opening
    and the closing brace stand in column 0. Line numbers count from 0; first is the head's."""
    i = 0
    while i < len(lines):
        if lines[i] == "{":
            start = i
            while start > 0 and lines[start - 1].strip() and lines[start - 1][0] not in "}#;":
                start -= 1
                if lines[start][0] not in " \t" and not re.match(r"\w+\)?$", lines[start]):
                    break
            end = i
            while end + 1 < len(lines) and not lines[end].startswith("}"):
                end += 1
            yield start, end, " ".join(lines[start:i])
            i = end
        i += 1


class Report:
    def __init__(self):
        self.count = 0

    def error(self, path, line, text):
        self.count += 1
        print(f"{path}:{line}: {text}")

    def finish(self):
        sys.exit(1 if self.count else 0)
