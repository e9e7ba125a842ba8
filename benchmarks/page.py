"""The page that benchmarks write their tables into."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(section: str, text: str) -> None:
    """Put ``text`` between the markers of ``section`` in docs/benchmarks.md."""
    path = ROOT / "docs" / "benchmarks.md"
    start, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    before, rest = path.read_text(encoding="utf-8").split(start)
    after = rest.split(end)[1]
    path.write_text(f"{before}{start}\n{text}{end}{after}", encoding="utf-8")


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; numbers stand right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
