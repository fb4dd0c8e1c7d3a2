from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from seedcore.config.edit import literal, set_key
from seedcore.errors import ConfigError

FILE = """\
# top comment
profile = "lab"   # which one

[profiles.lab]  # the lab
database_url = 'postgresql://h/#d' # a # in the value
task_lease_s = 5

[profiles."pr od"]
protected = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "config.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_changing_a_value_keeps_everything_else(path: Path) -> None:
    assert set_key(path, ("profiles", "lab"), "database_url", "postgresql://x/y") == (
        "postgresql://h/#d"
    )
    assert path.read_text() == FILE.replace("'postgresql://h/#d'", '"postgresql://x/y"')


def test_a_new_key_goes_to_its_table(path: Path) -> None:
    set_key(path, (), "task_reap_batch", 7)
    set_key(path, ("profiles", "lab"), "use_listen_notify", False)
    set_key(path, ("profiles", "pr od"), "lease_seconds", 1.5)
    set_key(path, ("profiles", "new"), "home", 'a "b" \\ \t\u00e9')
    text = path.read_text()
    assert tomllib.loads(text) == {
        "profile": "lab",
        "task_reap_batch": 7,
        "profiles": {
            "lab": {
                "database_url": "postgresql://h/#d",
                "task_lease_s": 5,
                "use_listen_notify": False,
            },
            "pr od": {"protected": True, "lease_seconds": 1.5},
            "new": {"home": 'a "b" \\ \t\u00e9'},
        },
    }
    assert text.startswith('# top comment\nprofile = "lab"   # which one\ntask_reap_batch = 7\n\n[')


def test_removing_a_key(path: Path) -> None:
    assert set_key(path, (), "profile", None) == "lab"
    assert "profile" not in tomllib.loads(path.read_text())
    before = path.read_text()
    assert set_key(path, ("profiles", "other"), "home", None) is None
    assert path.read_text() == before


def test_a_dry_run_writes_nothing(path: Path) -> None:
    set_key(path, (), "profile", "other", dry_run=True)
    assert path.read_text() == FILE


def test_a_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.toml"
    set_key(path, (), "profile", "x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == 'profile = "x"\n'


def test_the_mode_of_a_file_and_a_link_to_it_stay(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    set_key(link, (), "profile", "other")
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert tomllib.loads(path.read_text())["profile"] == "other"


@pytest.mark.parametrize(
    "text",
    [
        'text = """\nprofile = "inside"\n"""\n',
        'profiles = {lab = {home = "/x"}}\n',
    ],
)
def test_what_can_not_be_changed_safely_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    table = () if "inside" in text else ("profiles", "lab")
    key = "profile" if "inside" in text else "home"
    with pytest.raises(ConfigError, match="can't be changed safely"):
        set_key(path, table, key, "new")
    assert path.read_text() == text


def test_broken_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("= 1")
    with pytest.raises(ConfigError, match="not TOML"):
        set_key(path, (), "profile", "x")


def test_a_folder_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"can't (read|write)"):
        set_key(tmp_path / "file" / "config.toml", (), "profile", "x")


values = st.one_of(
    st.text(st.characters(codec="utf-8")), st.integers(-(2**63), 2**63 - 1), st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@given(values)
@settings(max_examples=200)
def test_every_value_is_written_as_toml_reads_it(value: str | int | float | bool) -> None:
    assert tomllib.loads(f"key = {literal(value)}")["key"] == value
