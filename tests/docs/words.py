"""Finds retired words: ``python -m tests.docs.words [PATH ...]`` prints each with file, line and the word used now.

The table in ``docs/glossary.md`` lists both. Names are what a file defines (modules, classes, functions, arguments,
attributes, variables), taken apart at underscores and capitals. Prose is comments, docstrings and pages; a test's name
is a sentence, so it counts as prose. Code spans and string literals are neither: they may name a topic, a setting or a
column, and those keep their names for whoever uses them already.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
LOOKED_AT = (
    *("streams", "schemas", "dashboards", "benchmarks", "deploy", "tests", "native/src", "docs"),
    *("README.md", "CONTRIBUTING.md"),
)
NOT_LOOKED_AT = (
    "streams/core/detect",  # the signals replace detection as a whole, and its words with it
    "tests/core/detect",
    "tests/docs/words.py",  # these name retired words in order to find them
    "tests/docs/test_words.py",
    "docs/glossary.md",
)
ROOM_COUNT = "room: int"
"""The one row of the table that is about an annotation: a room is a stage of the core, never a number."""

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SPAN = re.compile(r"``.*?``|`(?:[^`\n]|\n(?!\n))*`", re.DOTALL)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_RUST_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RUST_NAME = re.compile(
    r"\b(?:fn|struct|enum|mod|const|static|type|trait)\s+(\w+)|\blet\s+(?:mut\s+)?(\w+)|\b([a-z]\w*)\s*:(?!:)"
)


@dataclass(frozen=True, slots=True)
class Retired:
    """The table of retired words: for names, classes and prose each a word and what is used now."""

    names: dict[str, str]
    classes: dict[str, str]
    prose: dict[str, str]
    stays: frozenset[str]
    """Names and phrases that contain a retired word and stay."""


@cache
def _retired_prose() -> re.Pattern[str]:
    return _any_of(retired().prose)


@cache
def _staying_phrases() -> re.Pattern[str]:
    return _any_of(retired().stays)


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """Return what finds one of the phrases, the longest first, over the ends of lines too."""
    every = (re.escape(phrase).replace(r"\ ", r"\s+") for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(rf"\b(?:{'|'.join(every)})\b", re.IGNORECASE)


@cache
def retired() -> Retired:
    """Read the table of the glossary."""
    table = GLOSSARY.read_text(encoding="utf-8").partition("## Retired words")[2]
    words: dict[str, dict[str, str]] = {"names": {}, "classes": {}, "prose": {}}
    stays: set[str] = set()
    rows = [line[1:-1].split("|") for line in table.splitlines() if line.startswith("|")]
    for old, kinds, new, kept in [[cell.strip() for cell in row] for row in rows[2:]]:
        for kind in kinds.split(", "):
            words[kind].update(dict.fromkeys(old.split(", "), new))
        stays.update(kept.split(", "))
    return Retired(words["names"], words["classes"], words["prose"], frozenset(stays - {""}))


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One retired word at one line of one file."""

    path: str
    line: int
    word: str
    use: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word} -> {self.use}"


def in_name(name: str) -> Iterator[tuple[str, str]]:
    """Give the name with each word that replaces a retired part of it."""
    words = retired()
    if name.startswith("test_"):
        yield from ((word, use) for _, word, use in in_prose(name.replace("_", " ")))
        return
    if name in words.stays:
        return
    if use := words.classes.get(name.lstrip("_")):
        yield name, use
    for part in _staying_phrases().sub("", " ".join(_PART.findall(name)).lower()).split():
        if use := words.names.get(part):
            yield name, use


def in_prose(text: str) -> Iterator[tuple[int, str, str]]:
    """Give each retired word with its line within the text, counted from 0, and what is used now."""
    words = retired()
    plain = text
    for apart in (_FENCE, _SPAN, _staying_phrases()):
        plain = apart.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), plain)
    for match in _retired_prose().finditer(plain):
        word = " ".join(match.group().split())
        yield plain.count("\n", 0, match.start()), word, words.prose[word.lower()]


def findings(path: Path, root: Path = ROOT) -> list[Finding]:
    """Return the retired words of one file, in the order of its lines."""
    at = path.relative_to(root).as_posix()
    found = {Finding(at, 1, word, use) for word, use in in_name(path.stem.replace("-", "_"))}
    reader = {".py": _python, ".rs": _rust}.get(path.suffix, _page)
    found.update(Finding(at, *found_there) for found_there in reader(path.read_text(encoding="utf-8")))
    return sorted(found)


def _page(text: str) -> Iterator[tuple[int, str, str]]:
    for line, word, use in in_prose(text):
        yield line + 1, word, use


def _python(text: str) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(ast.parse(text)):
        line = int(getattr(node, "lineno", 1))
        for name in _defined(node):
            for word, use in in_name(name):
                yield line, word, use
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for below, word, use in in_prose(node.value.value):
                yield line + below, word, use
        if isinstance(node, ast.arg | ast.AnnAssign) and _counts_room(node):
            yield line, ROOM_COUNT, retired().names[ROOM_COUNT]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            for _, word, use in in_prose(token.string):
                yield token.start[0], word, use


def _counts_room(node: ast.arg | ast.AnnAssign) -> bool:
    name = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", getattr(node.target, "attr", ""))
    return name == "room" and isinstance(node.annotation, ast.Name) and node.annotation.id == "int"


def _defined(node: ast.AST) -> Iterator[str]:
    """Give the names that this node defines: whoever reads a name is corrected with it."""
    match node:
        case ast.ClassDef(name=str(name)) | ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)):
            yield name
        case ast.arg(arg=str(name)) | ast.Name(id=str(name), ctx=ast.Store()):
            yield name
        case ast.Attribute(attr=str(name), ctx=ast.Store()) | ast.alias(asname=str(name)):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name


def _rust(text: str) -> Iterator[tuple[int, str, str]]:
    for number, raw in enumerate(text.splitlines(), start=1):
        code, _, comment = _RUST_STRING.sub('""', raw).partition("//")
        for match in _RUST_NAME.finditer(code):
            for word, use in in_name(next(name for name in match.groups() if name)):
                yield number, word, use
        for _, word, use in in_prose(comment):
            yield number, word, use


def files(under: Path) -> list[Path]:
    """Return the files below a path that are looked at."""
    every = [under] if under.is_file() else sorted(under.rglob("*"))
    return [
        path
        for path in every
        if path.suffix in {".py", ".rs", ".md"}
        and not path.relative_to(ROOT).as_posix().startswith(NOT_LOOKED_AT)
        and not {".venv", "node_modules"} & set(path.parts)
    ]


def main(arguments: list[str]) -> int:
    """Print the findings below the given paths (default: everything); exit code 1 if there are any."""
    under = [Path(argument).resolve() for argument in arguments] or [ROOT / at for at in LOOKED_AT]
    found = [finding for start in under for path in files(start) for finding in findings(path)]
    for finding in found:
        print(finding)
    print(f"{len(found)} retired words" if found else "no retired words", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
