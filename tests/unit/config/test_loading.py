from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from seedcore.config import contradictions, describe, home, load, read, where
from seedcore.config.loading import Loaded
from seedcore.errors import ConfigError, NotFound


class Place:
    """A user's and a project's file, and a reading of them."""

    def __init__(self, folder: Path) -> None:
        self.user = folder / "config" / "seedcore" / "config.toml"
        self.project = folder / "project" / "seedcore.toml"
        for path in (self.user, self.project):
            path.parent.mkdir(parents=True)
        self.environ: dict[str, str] = {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
        }

    def read(
        self,
        flags: Mapping[str, str] | None = None,
        *,
        strict: bool = True,
        **environ: str,
    ) -> Loaded:
        return read(flags, {**self.environ, **environ}, self.project.parent, strict=strict)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_source_wins_over_the_next(place: Place) -> None:
    place.user.write_text("dispatcher_concurrency = 2\n")
    assert place.read().settings.dispatcher_concurrency == 2
    place.project.write_text("dispatcher_concurrency = 3\n")
    assert place.read().settings.dispatcher_concurrency == 3
    found = place.read(DISPATCHER_CONCURRENCY="4")
    assert found.settings.dispatcher_concurrency == 4
    found = place.read(DISPATCHER_CONCURRENCY="4", SEEDCORE_DISPATCHER_CONCURRENCY="5")
    assert found.settings.dispatcher_concurrency == 5
    found = place.read({"dispatcher_concurrency": "6"}, DISPATCHER_CONCURRENCY="4")
    assert found.settings.dispatcher_concurrency == 6


def test_origins_name_file_and_line(place: Place) -> None:
    place.user.write_text('# mine\n[profiles.lab]\n\ntask_lease_s = "10m"\n')
    found = place.read(SEEDCORE_PROFILE="lab", PG_DSN="postgresql://h/d", MAX_TASK_ATTEMPTS="7")
    assert found.settings.origins == {
        "task_lease_s": f"file:{place.user}:4",
        "profile": "env:SEEDCORE_PROFILE",
        "database_url": "env:PG_DSN",
        "max_task_attempts": "env:MAX_TASK_ATTEMPTS",
    }
    assert found.settings.task_lease_s == 600.0


def test_a_profile_wins_over_the_top_of_its_file(place: Place) -> None:
    place.user.write_text(
        'profile = "lab"\ntask_reap_batch = 1\n[profiles.lab]\ntask_reap_batch = 2\n'
        "[profiles.prod]\ntask_reap_batch = 3\nprotected = true\n"
    )
    assert place.read().settings.task_reap_batch == 2
    assert not place.read().protected
    chosen = place.read({"profile": "prod"}, SEEDCORE_PROFILE="lab")
    assert chosen.settings.task_reap_batch == 3
    assert chosen.protected


def test_an_unknown_profile_is_an_error_with_the_nearest_name(place: Place) -> None:
    place.user.write_text("[profiles.production]\n")
    with pytest.raises(ConfigError, match="no profile 'prodution'; known: production") as caught:
        place.read({"profile": "prodution"})
    assert caught.value.hint == "did you mean production?"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("task_lease_s = true", "True is not a number"),
        ("dispatcher_concurrency = 1.5", "1.5 is not a whole number"),
        ("dispatcher_concurrency = 0", "0 is less than 1"),
        ('task_lint_mode = "harsh"', "'harsh' is not one of warn, strict, off"),
        ('task_lease_s = "10 parsecs"', "not a duration"),
        ("use_listen_notify = 1", "1 is not true or false"),
        ("task_lease_s = nan", "not a number"),
    ],
)
def test_a_bad_value_names_file_line_and_what_would_be_right(
    place: Place, line: str, message: str
) -> None:
    place.user.write_text(f"\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        place.read()
    assert message in caught.value.message
    assert f"{place.user}:2" in caught.value.message


def test_a_bad_variable_is_named(place: Place) -> None:
    with pytest.raises(ConfigError, match=r"^env:LEASE_SECONDS: lease_seconds: 'soon' is not"):
        place.read(LEASE_SECONDS="soon")


def test_an_empty_variable_counts_as_not_set(place: Place) -> None:
    place.user.write_text("task_reap_batch = 9\n")
    assert place.read(TASK_REAP_BATCH=" ").settings.task_reap_batch == 9


def test_broken_toml_names_the_line(place: Place) -> None:
    place.user.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match=rf"{place.user}:2 is not TOML"):
        place.read()


def test_an_unknown_key_is_a_warning_with_the_nearest_name(place: Place) -> None:
    place.user.write_text("[profiles.lab]\ntask_lint_mod = 'off'\n")
    (problem,) = place.read().problems
    assert problem.place == f"{place.user}:2"
    assert (problem.fatal, problem.hint) == (False, "did you mean task_lint_mode?")


def test_an_unknown_variable_is_reported_but_stops_nothing(place: Place) -> None:
    found = place.read(SEEDCORE_TASK_LEAS_S="5")
    (problem,) = found.problems
    assert (problem.place, problem.hint) == (
        "env:SEEDCORE_TASK_LEAS_S",
        "did you mean SEEDCORE_TASK_LEASE_S?",
    )
    assert found.warnings == []


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_project_file_that_others_can_write_does_not_count(place: Place, mode: int) -> None:
    place.project.write_text("task_reap_batch = 9\n")
    place.project.chmod(mode)
    found = place.read()
    assert found.settings.task_reap_batch == 200
    assert "others can write it" in found.warnings[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_project_file_of_another_user_does_not_count(place: Place) -> None:
    place.project.write_text("task_reap_batch = 9\n")
    os.chown(place.project, 12345, 12345)
    found = place.read()
    assert found.settings.task_reap_batch == 200
    assert "another user owns it" in found.warnings[0]


@pytest.mark.parametrize(
    "line",
    [
        'plugins = "evil"',
        "plugins_strict = false",
        'tool_http_allow = "*"',
        'password_file = "/etc/shadow"',
        'home = "/tmp/x"',
    ],
)
def test_a_project_file_never_sets_what_runs_code_or_reads_files(place: Place, line: str) -> None:
    place.project.write_text(line + "\n")
    found = place.read()
    assert found.settings.origins == {}
    assert "a project file may not set it" in found.warnings[0]


def test_a_list_of_words_may_be_an_array(place: Place) -> None:
    place.user.write_text('plugins = ["a.b", "c"]\n')
    assert place.read().settings.plugins == "a.b,c"


def test_systemd_hands_over_the_password_file(place: Place, tmp_path: Path) -> None:
    (tmp_path / "db_password").write_text("secret")
    found = place.read(CREDENTIALS_DIRECTORY=str(tmp_path)).settings
    assert found.password_file == str(tmp_path / "db_password")
    assert found.origins["password_file"] == "systemd:db_password"
    own = place.read(CREDENTIALS_DIRECTORY=str(tmp_path), SEEDCORE_PASSWORD_FILE="/x").settings
    assert own.password_file == "/x"


def test_strict_off_collects_every_problem(place: Place) -> None:
    place.user.write_text("task_lease_s = true\ndispatcher_count = 0\nnonsense = 1\n")
    problems = place.read(strict=False).problems
    assert [p.fatal for p in problems] == [True, True, False]


def test_load_reads_the_current_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.project.write_text("task_reap_batch = 5\n")
    monkeypatch.chdir(place.project.parent)
    assert load(environ=place.environ).task_reap_batch == 5
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load(environ=place.environ).task_reap_batch == 200


def test_home_is_the_setting_else_the_users_or_roots(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home(place.read(SEEDCORE_HOME="/srv/x").settings) == Path("/srv/x")
    plain = place.read().settings
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert home(plain, {"XDG_DATA_HOME": "/data"}) == Path("/var/lib/seedcore")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert home(plain, {"XDG_DATA_HOME": "/data"}) == Path("/data/seedcore")
    assert home(plain, {"HOME": "/home/ada", "XDG_DATA_HOME": "relative"}) == Path(
        "/home/ada/.local/share/seedcore"
    )


def test_where_names_host_and_database_but_no_password(place: Place) -> None:
    url = "postgresql://ada:hunter2@db1:6543/lab"
    text = where(place.read(SEEDCORE_DATABASE_URL=url).settings, {})
    assert text == "database lab on db1:6543"
    text = where(place.read(SEEDCORE_DATABASE_URL="host=db2 password=hunter2").settings, {})
    assert "hunter2" not in text
    assert "db2" in text
    plain = place.read().settings
    assert where(plain, {"PGHOST": "db3"}) == "database (default) on db3 (PGHOST)"
    assert "embedded" in where(plain, {"HOME": "/home/ada"})


def test_contradictions_are_found(place: Place) -> None:
    found = contradictions(place.read(DISPATCHER_RENEW_S="80", LEASE_SECONDS="90"))
    assert [p.place for p in found] == ["env:DISPATCHER_RENEW_S"]
    assert "a second time" in found[0].message
    assert contradictions(place.read()) == []


def test_a_password_in_an_open_file_is_a_warning(place: Place) -> None:
    place.user.write_text('[profiles.lab]\ndatabase_url = "postgresql://a:b@h/d"\n')
    place.user.chmod(0o644)
    (problem,) = contradictions(place.read())
    assert problem.place == f"file:{place.user}:2"
    place.user.chmod(0o600)
    assert contradictions(place.read()) == []


def test_describe_masks_passwords_and_finds_keys_by_either_name(place: Place) -> None:
    settings = place.read(SEEDCORE_DATABASE_URL="postgresql://a:hunter2@h/d").settings
    (row,) = describe(settings)
    assert row["value"] == "postgresql://a:***@h/d"
    (row,) = describe(settings, ["TASK_LEASE_S"])
    assert (row["key"], row["origin"]) == ("task_lease_s", "default")
    with pytest.raises(NotFound) as caught:
        describe(settings, ["task_lease"])
    assert caught.value.hint == "did you mean task_lease_s?"
