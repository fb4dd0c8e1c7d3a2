"""Nobody but its owner gets at the embedded server, and nobody's folders are opened for it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from seedcore.db.embedded import EmbeddedServer
from seedcore.db.embedded.binaries import installation
from seedcore.db.embedded.identity import server_identity
from seedcore.db.embedded.layout import Layout, prepare_root
from seedcore.errors import ConfigError, SeedcoreError, Unavailable

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes users, so it needs root")


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedServer]:
    """A running server that no test of this module stops."""
    home = Path(tempfile.mkdtemp(prefix="seedcore-"))
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    yield server
    server.destroy()
    shutil.rmtree(home)


@pytest.fixture
def folder(home: Path) -> Path:
    """A folder that other users can pass; the server's own user has to reach homes below it."""
    home.chmod(0o711)
    return home


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _nobody() -> dict[str, object]:
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def test_files_are_closed_to_others(shared: EmbeddedServer) -> None:
    layout = shared.layout
    assert _mode(layout.socket) == 0o700
    assert _mode(layout.data) == 0o700
    assert _mode(layout.log) == 0o700
    assert _mode(layout.socket / ".s.PGSQL.5432") == 0o700
    for path in (layout.password, layout.superuser_password, layout.start_log, layout.alive_lock):
        assert _mode(path) == 0o600, path
        assert path.stat().st_uid == os.geteuid()
    owner = server_identity(layout.data).uid
    assert owner != 0
    assert {p.stat().st_uid for p in (layout.data, layout.socket, layout.log)} == {owner}
    assert all(_mode(path) == 0o600 for path in layout.log.iterdir())


def test_every_connection_needs_the_password(shared: EmbeddedServer) -> None:
    rules = (shared.layout.data / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in rules if line.strip() and line[0] != "#"}
    assert methods == {"scram-sha-256"}
    password = shared.layout.password.read_text()
    for url in (shared.conninfo(), shared.conninfo("postgres")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(f":{password}@", "@"))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password, "guess"))


def test_password_is_in_no_command_line_and_no_log(shared: EmbeddedServer) -> None:
    secrets = {shared.layout.password.read_text(), shared.layout.superuser_password.read_text()}
    said = "".join(path.read_text() for path in shared.layout.log_files())
    pid = shared.status().pid
    said += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
    assert said
    assert not [secret for secret in secrets if secret in said]


@as_root
def test_another_user_cannot_connect_even_with_the_password(shared: EmbeddedServer) -> None:
    psql = installation() / "bin" / "psql"
    command = [str(psql), "-X", "-w", "-c", "SELECT 1", shared.conninfo()]
    options = {"capture_output": True, "text": True, "cwd": "/", "check": False}
    assert subprocess.run(command, **options).returncode == 0
    refused = subprocess.run(command, **options, **_nobody())
    assert refused.returncode == 2
    assert "Permission denied" in refused.stderr


def test_nothing_listens_on_the_network(shared: EmbeddedServer) -> None:
    with psycopg.connect(shared.conninfo(superuser=True)) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.mark.parametrize(
    "name", ["with space", "quo'te", 'dou"ble', "com,ma", "ünï", "back\\slash", "per%20cent#x?"]
)
def test_odd_names_of_the_home_folder_work(folder: Path, name: str) -> None:
    server = EmbeddedServer(folder / name, unsafe=True)
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    server.destroy()


def test_path_too_long_for_a_socket_moves_it_to_a_short_private_folder(folder: Path) -> None:
    server = EmbeddedServer(folder / ("long" * 20) / ("path" * 20), unsafe=True)
    server.ensure_running()
    try:
        socket = server.status().socket_dir
        assert socket is not None
        assert socket.parent == Path(tempfile.gettempdir())
        assert _mode(socket) == 0o700
        with psycopg.connect(server.conninfo()) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.destroy()
    assert not socket.exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_short_folder_that_someone_prepared_is_refused(folder: Path, kind: str) -> None:
    server = EmbeddedServer(folder / ("long" * 20) / ("path" * 20), unsafe=True)
    trap = server.layout.socket
    if kind == "link":
        trap.symlink_to(folder)
    else:
        trap.write_text("")
    try:
        with pytest.raises(ConfigError, match="is not a folder of user"):
            server.ensure_running()
    finally:
        trap.unlink()


def test_home_of_another_user_is_refused(home: Path) -> None:
    if os.geteuid() != 0:
        server = EmbeddedServer(Path("/"), unsafe=True)
        with pytest.raises(ConfigError, match="can't make the home folder /postgres"):
            server.ensure_running()
        return
    root = Layout(home).root
    root.mkdir()
    os.chown(root, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user") as caught:
        EmbeddedServer(home, unsafe=True).ensure_running()
    assert caught.value.code == "db.home_of_another_user"
    os.chown(root, 0, 0)


@as_root
def test_closed_folder_above_the_home_is_named_and_left_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "inner" / "home", unsafe=True)
    with pytest.raises(ConfigError) as caught:
        server.ensure_running()
    assert caught.value.code == "db.home_unreachable"
    assert str(closed) in caught.value.message
    assert caught.value.hint is not None
    assert f"chmod o+x {closed}" in caught.value.hint
    assert _mode(closed) == 0o700
    closed.chmod(0o711)
    server.ensure_running()
    assert _mode(closed) == 0o711
    server.destroy()


@as_root
def test_home_itself_is_opened_for_the_server_alone(home: Path) -> None:
    home.chmod(0o700)  # as `mktemp -d` makes it
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    identity = server_identity(server.layout.data)
    assert _mode(home) == 0o710
    assert home.stat().st_gid == identity.gid


@as_root
def test_home_directory_of_an_account_is_not_opened(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ConfigError, match="is not ours to open"):
        EmbeddedServer(home, unsafe=True).ensure_running()
    assert _mode(home) == 0o700


def test_home_made_by_several_at_once_is_made_once(folder: Path) -> None:
    start = threading.Barrier(8)

    def make(home: Path) -> None:
        start.wait()
        prepare_root(Layout(home))

    with ThreadPoolExecutor(8) as threads:
        for number in range(40):
            list(threads.map(make, [folder / str(number) / "home"] * 8))
    assert (folder / "39" / "home" / "postgres").is_dir()


def test_a_file_in_place_of_the_home_is_named(folder: Path) -> None:
    home = folder / "taken"
    home.touch()
    server = EmbeddedServer(home)
    for use in (server.status, server.ensure_running, server.stop):
        with pytest.raises(ConfigError, match=r"taken.*Not a directory") as caught:
            use()
        assert caught.value.hint is not None
        assert "SEEDCORE_HOME" in caught.value.hint


@as_root
@pytest.mark.parametrize(
    ("option", "kind", "code"),
    [("ro", ConfigError, "db.home_unusable"), ("rw,size=16k", Unavailable, "db.disk_full")],
)
def test_disk_that_takes_nothing_is_named(
    folder: Path, option: str, kind: type[SeedcoreError], code: str
) -> None:
    root = folder / "full" / "postgres"
    root.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        # A container may forbid it even to root.
        pytest.skip("may not mount here")
    try:
        if option != "ro":
            with suppress(OSError):
                (root / "ballast").write_bytes(bytes(1 << 16))
        with pytest.raises(kind) as caught:
            EmbeddedServer(folder / "full").ensure_running()
        assert caught.value.code == code
    finally:
        subprocess.run(["umount", str(root)], check=True)


@as_root
def test_programs_that_the_server_user_cannot_reach_are_copied_once(folder: Path) -> None:
    closed = folder / "venv"
    closed.mkdir(mode=0o700)
    package = installation().parent
    for original in (package, package.with_name(f"{package.name}.libs")):
        if original.exists():
            shutil.copytree(original, closed / original.name, symlinks=True)
    script = (
        "import sys; from pathlib import Path; from seedcore.db.embedded import EmbeddedServer;"
        "server = EmbeddedServer(Path(sys.argv[1]), unsafe=True);"
        "print(server.ensure_running().state); server.stop()"
    )
    (folder / "home").mkdir()
    command = [sys.executable, "-c", script, str(folder / "home")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(closed), *sys.path])}
    copies: list[float] = []
    for _ in range(2):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=50, check=False
        )
        assert done.stdout == "ready\n", done.stderr
        (copy,) = (folder / "home" / "postgres").glob("*-pg18")
        copies.append(copy.stat().st_mtime)
    assert copies[0] == copies[1]
    assert (copy / package.name / "pginstall18" / "bin" / "postgres").exists()
    assert _mode(closed) == 0o700
    EmbeddedServer(folder / "home").destroy()


@as_root
def test_ordinary_user_runs_it_as_themselves(folder: Path) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    nobody = _nobody()
    os.chown(theirs, nobody["user"], nobody["group"])
    script = (
        "import os, sys; from pathlib import Path; import psycopg;"
        "from seedcore.db.embedded import EmbeddedServer;"
        "server = EmbeddedServer(Path(sys.argv[1]), unsafe=True); server.ensure_running();"
        "print(psycopg.connect(server.conninfo()).execute('SELECT 41 + 1').fetchone()[0],"
        " server.layout.data.stat().st_uid == os.getuid())"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        options = {"capture_output": True, "text": True, "cwd": "/", "env": environment, **nobody}
        try:
            probe = subprocess.run(
                [python, "-c", "import psycopg, seedcore.db.embedded"], **options, check=False
            )
        except OSError:
            continue
        if probe.returncode == 0:
            break
    else:
        # An interpreter in root's home is out of reach for anybody else.
        pytest.skip("no Python that the user nobody can run with this checkout")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script, str(theirs)], **options, timeout=50, check=False
    )
    assert done.stdout == "42 True\n", done.stderr
    assert _mode(theirs / "postgres") == 0o700
    # Root may look at it and stop it, but runs nothing of its own there.
    server = EmbeddedServer(theirs)
    assert server.status().is_running
    assert server.stop()
    with pytest.raises(ConfigError, match="belongs to another user"):
        server.ensure_running()
    shutil.rmtree(theirs / "postgres")
