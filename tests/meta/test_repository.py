"""What must not, and what must, stand in the files of this repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HOSTS = [
    r"\.".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
]
PRIVATE = ("work", "root")
FORBIDDEN = re.compile(
    "|".join([*HOSTS, rf"(?<![\w.~*$}}])/(?:{'|'.join(PRIVATE)})(?=/|\b(?!-))"]).encode()
)


def files() -> list[Path]:
    """Return the files of the repository: tracked, or about to be."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listing.decode("utf-8", "surrogateescape").split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    """Whoever clones this has other folders, and may have another package index."""
    found = []
    for path in files():
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line[:120]!r}")
    assert not found


def test_constraints_pin_every_tool_to_one_version() -> None:
    """Each line is ``name==version``, and each dependency of the project has one."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    form = re.compile(r'([A-Za-z0-9._-]+)==[A-Za-z0-9.]+(?: ; sys_platform == "\w+")?')
    matches = [form.fullmatch(line) for line in pins]
    assert all(matches), pins
    pinned = {normal(match[1]) for match in matches if match}
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [
        *tables["project"]["dependencies"],
        *(line for extra in tables["project"]["optional-dependencies"].values() for line in extra),
        *(line for group in tables["dependency-groups"].values() for line in group),
    ]
    wanted = {normal(re.split(r"[\[<>=!; ]", line)[0]) for line in named if isinstance(line, str)}
    assert wanted - {"limpet"} <= pinned


def normal(name: str) -> str:
    """Return a package's name in the form in which two spellings are the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_rule_left_out_has_its_reason_beside_it() -> None:
    """pyproject.toml says why for each lint rule that is not applied."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bare = [line for line in text.splitlines() if re.fullmatch(r'\s+"[A-Z]+[0-9]*",\s*', line)]
    assert not bare


def test_fragments_of_the_change_log_have_a_kind() -> None:
    """The next release finds each of them."""
    form = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md")
    names = {path.name for path in (ROOT / "changelog.d").glob("*.md")} - {"README.md"}
    assert not [name for name in names if not form.fullmatch(name)]


FRAGMENTS = sorted({*(ROOT / "changelog.d").glob("*.md")} - {ROOT / "changelog.d" / "README.md"})


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_fragments_of_the_change_log_have_one_form(path: Path) -> None:
    """Entries, each after ``- ``, its further lines indented: ``gather.py`` puts them together."""
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"(?:- \S.*\n(?:  \S.*\n)*)+", text)


def test_the_change_log_is_made_of_the_fragments(tmp_path: Path) -> None:
    """Nothing is added to an entry, and each comes under its kind."""
    shutil.copy(ROOT / "changelog.d" / "gather.py", tmp_path / "gather.py")
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (tmp_path / "gather.py").rename(folder / "gather.py")
    (folder / "b.fixed.md").write_text("- One.\n- Two\n  lines.\n", encoding="utf-8")
    (folder / "a.added.md").write_text("- New.\n", encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 0.1.0 (2026-01-01)\n", encoding="utf-8")
    command = [sys.executable, str(folder / "gather.py"), "0.2.0", "2027-01-31"]
    subprocess.run(command, check=True)
    text = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line] == [
        "# Changes", "## 0.2.0 (2027-01-31)", "### Added", "- New.", "### Fixed", "- One.", "- Two",
        "  lines.", "## 0.1.0 (2026-01-01)",
    ]  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["gather.py"]


BUILD = [
    "Makefile", ".ci/run", ".pre-commit-config.yaml", "CONTRIBUTING.md", "RELEASING.md",
    "SECURITY.md", "mkdocs.yml", "pyproject.toml",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "benchmarks").rglob("*.py"))),
]  # fmt: skip


@pytest.mark.parametrize("name", BUILD)
def test_paths_in_build_files_exist(name: str) -> None:
    """A command that names a path that was moved fails only when somebody runs it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:src|tests|docs|benchmarks|examples)/[\w./-]*\w", text))
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]
