"""Frames, keys and what they do to tasks, until somebody quits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.text import Text

from seedcore.errors import SeedcoreError, Unavailable
from seedcore_cli.encode import cell
from seedcore_cli.top import view
from seedcore_cli.top.terminal import keyboard

if TYPE_CHECKING:
    from seedcore.task.frame import Frame

Connect = Callable[[], AbstractContextManager[Any]]


class Top:
    """The live view.

    Args:
        connect: Opens a connection.
        actor: Who is recorded for what the keys change.
        target: Which database, to be shown.
        interval: Seconds between frames.
        color: Whether to write colours.
        type_prefix: Only tasks whose type begins so.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        actor: str,
        target: str,
        interval: float,
        color: bool,
        type_prefix: str = "",
    ) -> None:
        self._open = connect
        self._actor = actor
        self._interval = interval
        self._color = color
        self._conn: Any = None
        self._act: Callable[[Any], str] | None = None
        self.frame: Frame | None = None
        self.look = view.Look(target=target, interval=interval, filter=type_prefix)

    def run(self) -> None:
        """Show frames until q; Ctrl-C and signals leave through here as well and clean up.

        Raises:
            SeedcoreError: The database could not be reached even once, or never will be.
        """
        self._conn = self._open().__enter__()
        console = Console(
            file=sys.stdout,
            no_color=not self._color,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )
        live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        try:
            with keyboard(sys.stdin.fileno()) as keys, live:
                due = 0.0
                while True:
                    if time.monotonic() >= due:
                        self._take()
                        due = time.monotonic() + self._interval
                    self._draw(live, console)
                    for name, text in keys.wait(due - time.monotonic()):
                        if not self._press(name, text):
                            return
                        if self._act is None and self.look.message:
                            due = min(due, time.monotonic() + 0.1)  # show what became of it
        except EOFError:
            return  # the terminal went away: nobody looks any more
        finally:
            self._close()

    def _draw(self, live: Live, console: Console) -> None:
        width, height = console.size
        shown = view.lines(self.frame, self.look, width, height)
        live.update(Text("\n").join(shown), refresh=True)

    def _take(self) -> None:
        """Take a frame; a database that is lost is looked for at each turn."""
        from seedcore.task import frame

        try:
            if self._conn is None:
                self._conn = self._open().__enter__()
            self.frame = frame.take(self._conn, self.frame.counters if self.frame else None)
            self.look.lost = None
        except SeedcoreError as error:
            self._lose(error)
        if self.look.selected is None and self.frame is not None:
            found = view.items(self.frame, self.look)
            self.look.selected = found[0].key if found else None

    def _lose(self, error: SeedcoreError) -> None:
        self.look.lost = error.message
        if self._conn is not None and (isinstance(error, Unavailable) or self._conn.closed):
            self._close()

    def _close(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _press(self, name: str, text: str) -> bool:
        """Do what a key says; False = leave."""
        look = self.look
        look.message = ""
        if look.mode == "filter":
            self._type(name, text)
        elif look.mode == "confirm":
            look.mode = "list"
            act, self._act = self._act, None
            if text in ("y", "Y") and act is not None:
                self._run(act)
            else:
                look.message = "nothing was changed"
        elif name == "q":
            return False
        elif look.mode == "inspect":
            self._scroll(name)
        else:
            self._choose(name)
        return True

    def _choose(self, name: str) -> None:
        if name in ("up", "down", "page up", "page down"):
            self._move({"up": -1, "down": 1, "page up": -10, "page down": 10}[name])
        elif name == "enter":
            self._inspect()
        elif name == "/":
            self.look.mode = "filter"
        elif name in ("c", "r", "p"):
            self._ask(name)

    def _type(self, name: str, text: str) -> None:
        look = self.look
        if name == "enter":
            look.mode = "list"
        elif name == "escape":
            look.mode, look.filter = "list", ""
        elif name == "backspace":
            look.filter = look.filter[:-1]
        else:
            look.filter += text

    def _scroll(self, name: str) -> None:
        look = self.look
        if name in ("escape", "enter"):
            look.mode, look.offset = "list", 0
        elif name in ("c", "r"):
            look.mode = "list"
            self._ask(name)
        else:
            by = {"up": -1, "down": 1, "page up": -10, "page down": 10}.get(name, 0)
            look.offset = max(0, min(look.offset + by, len(look.detail) - 1))

    def _move(self, by: int) -> None:
        if self.frame is None:
            return
        found = view.items(self.frame, self.look)
        at = next((i for i, item in enumerate(found) if item.key == self.look.selected), 0)
        if found:
            self.look.selected = found[max(0, min(at + by, len(found) - 1))].key

    def _item(self) -> view.Item | None:
        found = view.items(self.frame, self.look) if self.frame is not None else []
        return next((item for item in found if item.key == self.look.selected), None)

    def _inspect(self) -> None:
        item = self._item()
        if item is None or item.kind == "lane":
            self.look.message = "select a task first"
            return
        self._run(lambda conn: self._show(conn, item.key))

    def _show(self, conn: Any, task: str) -> str:
        from seedcore.task.service import inspect

        found = inspect(conn, UUID(task))
        self.look.detail = [f"{key:16} {cell(value)}" for key, value in found.items()]
        self.look.mode, self.look.offset = "inspect", 0
        return ""

    def _ask(self, key: str) -> None:
        """Ask before anything is changed; what can't be done is said at once."""
        item = self._item()
        if item is None:
            self.look.message = "select something first"
            return
        if key == "p":
            lane = item.key if item.kind == "lane" else str(item.row["lane"])
            paused = next(
                (row["paused"] for row in self.frame.lanes if row["lane"] == lane)
                if self.frame
                else iter(()),
                False,
            )
            verb = "resume" if paused else "pause"
            self._confirm(f"{verb} lane {lane}?", lambda conn: self._pause(conn, lane, not paused))
        elif item.kind == "lane" or (key == "r") != (item.kind == "failed"):
            wanted = "failed" if key == "r" else "running"
            self.look.message = f"select a {wanted} task first"
        else:
            verb = "retry" if key == "r" else "cancel"
            self._confirm(
                f"{verb} task {item.key} ({cell(item.row['type'])})?",
                lambda conn: self._change(conn, verb, item.key),
            )

    def _confirm(self, question: str, act: Callable[[Any], str]) -> None:
        self.look.mode, self.look.question, self._act = "confirm", question, act

    def _pause(self, conn: Any, lane: str, hold: bool) -> str:
        from seedcore.task.service import pause_lane, resume_lane

        if hold:
            pause_lane(conn, lane, actor=self._actor, reason="seedcore top")
            return f"lane {lane} is paused"
        resume_lane(conn, lane, actor=self._actor)
        return f"lane {lane} is open"

    def _change(self, conn: Any, verb: str, task: str) -> str:
        from seedcore.task.service import cancel, retry

        act = retry if verb == "retry" else cancel
        (row,) = act(conn, [UUID(task)], actor=self._actor, reason="seedcore top")
        return str(row["error"] or f"task {task}: {row['before']} -> {row['after']}")

    def _run(self, act: Callable[[Any], str]) -> None:
        if self._conn is None:
            self.look.message = "there is no database"
            return
        try:
            self.look.message = act(self._conn)
        except SeedcoreError as error:
            self.look.message = error.message
            if isinstance(error, Unavailable):
                self._lose(error)
