"""What mkdocs asks while it builds the site: pages that lie outside of docs/ or are generated, and where links lead.

A link in a document leads to a file of the repository. On the site it leads to the page of that file, or to the file.
"""

import logging
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.hooks import reference, settings

log = logging.getLogger("mkdocs.hooks.site")

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = {  # documents outside of docs/ => their pages
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "training/README.md": "training/README.md",
}
GENERATED = {
    "reference/settings.md": settings.page,
    "reference/experiments.md": reference.experiments,
    "reference/commands.md": reference.commands,
    "reference/python.md": reference.python,
    "examples/search.md": reference.notebook,
    "gallery.md": reference.gallery,
}
REPORT = "report"  # which `make docs` draws from results/ before
LINK = re.compile(r'(?P<before>\]\(|src=")(?P<target>[^)#"\s:]+)(?=[)#"])')
FOLDER = re.compile(r"\[(?P<text>[^]]*)\]\((?P<target>[^)#\s:]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/: documents, generated pages, the report, and files that documents link to."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(REPOSITORY / path)))
    for uri, write in GENERATED.items():
        files.append(File.generated(config, uri, content=write()))
    for document in [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]:
        for path in linked(document):
            if _uri_of(path) not in files.src_uris:
                files.append(File.generated(config, _uri_of(path), abs_src_path=str(REPOSITORY / path)))
    for path in sorted(p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / REPORT).rglob("*") if p.is_file()):
        if path not in files.src_uris:
            files.append(File.generated(config, path, abs_src_path=str(REPOSITORY / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a document lead to pages and files of the site."""
    source = page.file.abs_src_path
    if source is None or page.file.src_uri in GENERATED:
        return markdown
    here = Path(source).relative_to(REPOSITORY).parent.as_posix()

    def led(found: re.Match[str]) -> str:
        path = _resolved(here, found["target"])
        return found[0] if path is None else found["before"] + _relative(_uri_of(path), page.file.src_uri)

    def told(found: re.Match[str]) -> str:
        folder = (REPOSITORY / here / found["target"]).is_dir()
        return found["text"] if folder and _resolved(here, found["target"]) is None else found[0]

    return LINK.sub(led, FOLDER.sub(told, markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Warn where lists or tables come out as others than on GitHub: the two do not indent alike."""
    if page.file.src_uri in GENERATED:
        return
    expected = MarkdownIt("commonmark").enable("table").render(page.markdown or "")
    for tag in ("<li>", "<tr>", "<pre>"):
        if html.count(tag) != expected.count(tag):
            log.warning("%s: expected %d %s, got %d", page.file.src_uri, expected.count(tag), tag, html.count(tag))


def linked(document: str) -> Iterator[str]:
    """The files of the repository that a document links to; nothing of one that is not there."""
    path = REPOSITORY / document
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = (_resolved(posixpath.dirname(document), link["target"]) for link in LINK.finditer(text))
    return (one for one in found if one is not None)


@cache
def _resolved(here: str, target: str) -> str | None:
    """The file that a link means, of a folder its README.md; None where there is none."""
    path = posixpath.normpath(posixpath.join(here, target))
    if (REPOSITORY / path).is_dir():
        path = f"{path}/README.md"
    return path if not path.startswith("..") and (REPOSITORY / path).is_file() else None


def _uri_of(path: str) -> str:
    """Where the site has a file of the repository."""
    return PAGES.get(path, path.removeprefix("docs/"))


def _relative(uri: str, page: str) -> str:
    return posixpath.relpath(uri, posixpath.dirname(page) or ".")
