"""A day of work in a hotel that a cluster of agents runs, as tools and the tasks for them.

The Aurora has twelve floors and a garage. Its agents sort the incidents that guests and sensors
report, answer questions at the desk, move doors, lifts and blinds, keep rooms warm, read the logs of
the house's services, plan the delivery robots' rounds and write the hand-over at the end of a shift.

    SEEDCORE_PLUGINS=seedcore.examples.day seedcore tool list
    SEEDCORE_PLUGINS=seedcore.examples.day seedcore task submit -f day.ndjson
    SEEDCORE_PLUGINS=seedcore.examples.day seedcore worker queue --until-empty

It is meant to be read: one module per kind of work, each an ordinary function with type hints that
`@tool` makes callable by tasks. Look here for

- a function that takes arguments and returns JSON                 `questions.py`
- a failure for good, that no retry would mend                     `devices.py`, `firmware.py`
- a coroutine that waits without holding a thread                  `devices.py`
- a tool that submits another task, once, whatever happens         `incidents.py`
- a tool that looks at its own deadline                            `robots.py`
- data that ships with a plugin                                    `house.py`

Every tool is deterministic and works offline. `day.ndjson` is the day itself, one task per line; most
end well, some are meant to fail, some are reported twice. `scripts/make-day` writes the file.
"""

from __future__ import annotations

from seedcore.examples.day import (
    climate,
    devices,
    energy,
    firmware,
    handover,
    incidents,
    logs,
    questions,
    robots,
    staff,
    summaries,
)

__all__ = [
    "climate",
    "devices",
    "energy",
    "firmware",
    "handover",
    "incidents",
    "logs",
    "questions",
    "robots",
    "staff",
    "summaries",
]
