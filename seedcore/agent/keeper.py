"""Keeps an agent's state in the database, from a thread of its own: restored at the start, saved as it
changes. A lost database stops nothing; it is told once, and what has changed is saved when it is back.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from seedcore.config.settings import Settings
from seedcore.db.whereabouts import Whereabouts
from seedcore.errors import SeedcoreError

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

_FAREWELL_S = 2.0
_PATIENCE_S = 5.0


class StateKeeper:
    """Keeps one agent's state.

    Args:
        settings: Which database, and how often.
        agent_id: The agent.
        organ_id: Its organ.
        restore: Called once, in the keeper's thread, with what is stored: document and vector.
        snapshot: Returns what is to be stored; called in the keeper's thread.
    """

    def __init__(
        self,
        settings: Settings,
        agent_id: str,
        organ_id: str | None,
        *,
        restore: Callable[[Any, list[float] | None], None],
        snapshot: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._settings = settings
        self._where = Whereabouts(settings, f"seedcore agent {agent_id}")
        self._agent_id, self._organ_id = agent_id, organ_id
        self._restore, self._snapshot = restore, snapshot
        self._saved: Mapping[str, Any] | None = None
        self._is_failing = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Restore the state, then save what changes, every beat. Returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="agent-state", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Save what is left, and end; waits for that two seconds at most."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(_FAREWELL_S)
            self._thread = None

    def _run(self) -> None:
        while True:
            is_last = self._ending.is_set()
            try:
                self._turn()
            except SeedcoreError as error:
                self._lost(error)
            except Exception:  # a fault of ours must not cost the agent its work
                log.exception("Keeping the state broke", extra={"event": "agent.state_lost"})
            if is_last:
                break
            self._ending.wait(self._settings.registry_beat_sec)

    def _turn(self) -> None:
        from seedcore.agent import store

        if self._saved is None:
            with self._connected() as conn:
                stored, vector = store.load_state(conn, self._agent_id)
                self._restore(stored, vector)
                props = self._snapshot()
                store.save_agent(conn, self._agent_id, self._organ_id, props)
        else:
            props = self._snapshot()
            if props == self._saved:
                return
            with self._connected() as conn:
                store.save_state(conn, self._agent_id, props)
        self._saved = props
        self._is_failing = False

    @contextlib.contextmanager
    def _connected(self) -> Generator[psycopg.Connection[Any]]:
        """Connect for one turn: a process may hold many agents, and few change at every beat."""
        from seedcore.db.connection import connect
        from seedcore.db.deadline import answers_within

        with (
            connect(self._settings, statement_timeout_s=_PATIENCE_S, text=self._where()) as conn,
            answers_within(conn, 2 * _PATIENCE_S),
        ):
            yield conn

    def _lost(self, error: SeedcoreError) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.warning(
                "The agent's state can't be kept for now",
                extra={
                    "event": "agent.state_lost",
                    "agent": self._agent_id,
                    "error": error.message,
                    "code": error.code,
                },
            )
