"""Lines of one batch that speak of each other: repeats of an id or key, and tasks to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet

from seedcore.task.intake import ENDED
from seedcore.task.line import Entry, LineError, Rules


def duplicate(entry: Entry, where: str) -> LineError:
    """Return the error of a line whose id or key is taken.

    Args:
        entry: The line.
        where: By whom, as a sentence.
    """
    key = entry.key
    what = f'idempotency key "{key}"' if key else f"id {entry.own_id}"
    pointer = "/idempotency_key" if key else "/id"
    return LineError("task.duplicate_key", f"the {what} is taken: {where}", pointer)


def missing(what: str, pointer: str) -> LineError:
    """Return the error of a line that waits for a task that is not there."""
    return LineError("task.dependency_not_found", f"there is no {what} to wait for", pointer)


def repeats_removed(entries: Sequence[Entry], rules: Rules) -> list[Entry]:
    """Return the lines to store; a repeat of an earlier one points to it, or has an error."""
    new: list[Entry] = []
    seen: dict[str, Entry] = {}
    for entry in entries:
        entry.reset()
        names = names_of(entry)
        earlier = next((seen[name] for name in names if name in seen), None) if names else None
        if earlier is None:
            for name in names:
                seen[name] = entry
            new.append(entry)
        elif rules.on_conflict == "fail":
            entry.error = duplicate(entry, f"line {earlier.line} has it")
        else:
            entry.same_as = earlier
    return new


class References:
    """What the lines of a batch wait for. False when none waits for anything.

    Args:
        entries: Lines with different ids and keys, in their order.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._waiting = [entry for entry in entries if entry.depends_on]
        self._targets: list[tuple[Entry, Entry | str, bool]] = []
        self._here = (
            {name: entry for entry in entries for name in names_of(entry)} if self._waiting else {}
        )
        outside = {
            name
            for entry in self._waiting
            for name in map(target_of, entry.depends_on)
            if not self._is_earlier(name, entry)
        }
        self.ids = [name for name in outside if not name.startswith("key:")]
        self.keys = [name[4:] for name in outside if name.startswith("key:")]

    def __bool__(self) -> bool:
        """Whether any line waits for something."""
        return bool(self._waiting)

    def __iter__(self) -> Iterator[tuple[Entry, Entry | str, bool]]:
        """Yield (line, the line or the id of the task that it waits for, whether that must complete).

        Once resolved.
        """
        return iter(self._targets)

    def resolve(self, known: AbstractSet[str], by_key: Mapping[str, str]) -> None:
        """Find every target; a line with one that is not there gets an error.

        A line can only wait for earlier ones, so that the lines of a file never wait in a circle.

        Args:
            known: Ids of stored tasks, of those asked for in `ids`.
            by_key: For each key of `keys` that a stored task has, the task's id.
        """
        for entry in self._waiting:
            for index, word in enumerate(entry.depends_on):
                name = target_of(word)
                if self._is_earlier(name, entry):
                    target: Entry | str | None = self._here[name]
                elif name.startswith("key:"):
                    target = by_key.get(name[4:])
                else:
                    target = name if name in known else None
                if target is None:
                    entry.error = self._unknown(name, entry, f"/depends_on/{index}")
                    break
                if isinstance(target, Entry) and target.error:
                    entry.error = LineError(
                        "task.dependency_not_found",
                        f"it waits for line {target.line}, which can't be stored",
                        f"/depends_on/{index}",
                    )
                    break
                self._targets.append((entry, target, name == word))

    def _is_earlier(self, name: str, entry: Entry) -> bool:
        target = self._here.get(name)
        return target is not None and target.line < entry.line

    def _reaches(self, start: Entry, goal: Entry) -> bool:
        """Tell whether a line waits, directly or through others of the batch, for another one."""
        seen: set[int] = set()
        left = [start]
        while left:
            entry = left.pop()
            if entry is goal:
                return True
            if entry.line not in seen:
                seen.add(entry.line)
                names = map(target_of, entry.depends_on)
                left += [self._here[name] for name in names if name in self._here]
        return False

    def _unknown(self, name: str, entry: Entry, pointer: str) -> LineError:
        target = self._here.get(name)
        if target is entry:
            return LineError("task.cycle", "it can't wait for itself", pointer)
        if target is not None and self._reaches(target, entry):
            return LineError(
                "task.cycle",
                f"it waits for line {target.line}, which in the end waits for this one; "
                "take one of these depends_on away",
                pointer,
            )
        if target is not None:
            return LineError(
                "task.cycle",
                f"it waits for line {target.line}, which comes later; put that line first",
                pointer,
            )
        if name.startswith("key:"):
            return missing(f'task with the idempotency key "{name[4:]}"', pointer)
        return missing(f"task {name}", pointer)


def target_of(word: str) -> str:
    """Return the name of a task to wait for, without what says how it has to end."""
    return word.removeprefix(ENDED)


def names_of(entry: Entry) -> Sequence[str]:
    """Return what other lines may call this one: its id if it was given, `key:` and its key."""
    fields = entry.fields
    key = fields.get("idempotency_key")
    if key is None:
        return (entry.own_id,) if "id" in fields else ()
    return (entry.own_id, f"key:{key}") if "id" in fields else (f"key:{key}",)
