"""Write the graph into a folder: Parquet, or CSV as DGL reads it; in bounded memory, all or nothing."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from psycopg.rows import tuple_row

from seedcore import __version__
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.db.sql import Queries
from seedcore.embed import encoders
from seedcore.embed.model import GRAPH_DIM, StoredEncoder
from seedcore.errors import CheckFailed, Conflict, NotFound, Unavailable, UsageError
from seedcore.graph.model import EdgeType
from seedcore.graph.store import Conn

queries = Queries("seedcore.graph.exchange")

MANIFEST = "manifest.json"
FORMATS = ("parquet", "csv")

_BATCH = 20_000
"""Rows in memory at once; a row group of a Parquet file."""

_FOREVER = "infinity"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to write.

    Attributes:
        folder: Where to; it must not exist, or be empty.
        format: `parquet` or `csv`.
        features: Also the vectors of the encoder that serves.
        label: Label of those vectors.
        types: Only edges of these types; None = all.
        as_of: Only what had been there at this moment; None = everything.
    """

    folder: Path
    format: str = "parquet"
    features: bool = False
    label: str = "default"
    types: Sequence[EdgeType] | None = None
    as_of: datetime | None = None


class _Writer(Protocol):
    """Writes one file."""

    def write(self, rows: list[tuple[Any, ...]]) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """End the file."""
        ...


def export(conn: Conn, wanted: Wanted) -> list[Row]:
    """Write the graph, and return what was written: file, rows, sha256.

    Everything comes from one snapshot of the database. The folder appears when it is complete.

    Raises:
        UsageError: The format is unknown, or the folder can't be written.
        Conflict: The folder is there already, and not empty.
        Unavailable: A library is missing.
        NotFound: Vectors are asked for, and no encoder has made any.
        CheckFailed: What was written is not what was counted.
    """
    if wanted.format not in FORMATS:
        raise UsageError(f'there is no format "{wanted.format}"; known are {", ".join(FORMATS)}')
    if wanted.format == "parquet":
        arrow()
    encoder = _encoder(conn) if wanted.features else None
    given = {
        "as_of": wanted.as_of or _FOREVER,
        "types": None if wanted.types is None else [one.name for one in wanted.types],
        "kind": None,
        "label": wanted.label,
        "encoder_id": None if encoder is None else encoder.encoder_id,
    }
    with _all_or_nothing(wanted.folder) as folder, translated(), conn.transaction():
        conn.execute(queries.begin)
        moment = fetch(conn, queries.moment)[0]
        kinds = {row["kind"]: row["rows"] for row in fetch(conn, queries.node_kinds, given)}
        types = {row["name"]: row["rows"] for row in fetch(conn, queries.edge_types, given)}
        write = _parquet if wanted.format == "parquet" else _csv
        files = write(conn, folder, given, kinds, types, has_vectors=encoder is not None)
        _compare(files, sum(kinds.values()), sum(types.values()))
        for one in files:
            one["sha256"] = digest(folder / one["file"])
        manifest = {
            "seedcore": __version__,
            "format": wanted.format,
            "exported_at": moment["at"].isoformat(),
            "snapshot": moment["snapshot"],
            "as_of": None if wanted.as_of is None else wanted.as_of.isoformat(),
            "nodes": kinds,
            "edges": types,
            "features": None if encoder is None else {
                "encoder": encoder.identity.model, "digest": encoder.identity.digest,
                "label": wanted.label, "dim": GRAPH_DIM,
            },
            "files": files,
        }  # fmt: skip
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        files.append({"file": MANIFEST, "rows": None, "sha256": digest(folder / MANIFEST)})
    return files


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    found = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def verify(folder: Path) -> list[str]:
    """Return what is wrong with an export: files that are missing, or not as they were written.

    Raises:
        UsageError: There is no manifest, or it can't be read.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [(str(one["file"]), str(one["sha256"])) for one in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{folder} holds no export: {MANIFEST} can't be read") from None
    wrong: list[str] = []
    for name, expected in files:
        path = folder / name
        if Path(name).name != name or not path.is_file():
            wrong.append(f"{name} is missing")
        elif digest(path) != expected:
            wrong.append(f"{name} is not as it was written")
    return wrong


def _encoder(conn: Conn) -> StoredEncoder:
    found = encoders.serving(conn, "graph", GRAPH_DIM)
    if found is None:
        raise NotFound(
            "no node has a vector yet", code="graph.no_vectors", hint="seedcore embed graph"
        )
    return found


def _compare(files: list[Row], nodes: int, edges: int) -> None:
    for what, counted in (("nodes", nodes), ("edges", edges)):
        written = sum(one["rows"] for one in files if one["file"].startswith(what))
        if written != counted:
            raise CheckFailed(
                f"{counted} {what} were counted and {written} written", code="graph.count_mismatch"
            )


@contextmanager
def _all_or_nothing(folder: Path) -> Generator[Path]:
    """Give a folder beside the wanted one, which takes its name when everything is written."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(
                f"{folder} is there already, and not empty",
                code="graph.folder_not_empty",
                hint="name a new folder",
            )
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    except OSError as error:
        raise UsageError(f"can't write {folder}: {error.strerror}") from error
    try:
        yield made
        made.chmod(0o755)
        made.replace(folder)
    except OSError as error:
        raise UsageError(f"can't write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _rows(conn: Conn, statement: Any, given: Mapping[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    with conn.cursor(name="graph_export", row_factory=tuple_row) as cursor:
        cursor.itersize = _BATCH
        cursor.execute(statement, given)
        while rows := cursor.fetchmany(_BATCH):
            yield rows


# -- Parquet ----------------------------------------------------------------------------------


def arrow() -> Any:
    """Return pyarrow, with its Parquet files.

    Raises:
        Unavailable: It is not installed.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise Unavailable(
            "Parquet files need pyarrow, which is not installed",
            code="extra.missing",
            hint="pip install 'seedcore[export]', or --format csv",
        ) from None


class _ParquetFile:
    def __init__(self, path: Path, columns: Sequence[tuple[str, Any]]) -> None:
        self._pa = arrow()
        self._schema = self._pa.schema(list(columns))
        self._writer = self._pa.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: list[tuple[Any, ...]]) -> None:
        columns = zip(*rows, strict=True)
        arrays = [
            self._pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _parquet(
    conn: Conn,
    folder: Path,
    given: Mapping[str, Any],
    kinds: Mapping[str, int],
    types: Mapping[str, int],
    *,
    has_vectors: bool,
) -> list[Row]:
    pa = arrow()
    moment = pa.timestamp("us", tz="UTC")
    nodes: list[tuple[str, Any]] = [
        ("node_id", pa.int64()), ("kind", pa.string()), ("ext_id", pa.string()),
        ("snapshot_id", pa.int32()), ("created_at", moment), ("entity", pa.string()),
    ]  # fmt: skip
    if has_vectors:
        nodes.append(("features", pa.list_(pa.float32())))
    edges: list[tuple[str, Any]] = [
        ("src", pa.int64()), ("dst", pa.int64()), ("edge_type", pa.string()),
        ("weight", pa.float32()), ("created_at", moment),
    ]  # fmt: skip
    width = len(nodes)
    return [
        _file(
            folder / "nodes.parquet",
            lambda path: _ParquetFile(path, nodes),
            ([row[:width] for row in rows] for rows in _rows(conn, queries.nodes, given)),
        ),
        _file(
            folder / "edges.parquet",
            lambda path: _ParquetFile(path, edges),
            _rows(conn, queries.edges, given),
        ),
    ]


def _file(
    path: Path, opened: Callable[[Path], _Writer], parts: Iterator[list[tuple[Any, ...]]]
) -> Row:
    writer, count = opened(path), 0
    try:
        for rows in parts:
            writer.write(rows)
            count += len(rows)
    finally:
        writer.close()
    return {"file": path.name, "rows": count}


# -- CSV as dgl.data.CSVDataset reads it --------------------------------------------------------


class _CsvFile:
    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._csv.writerow(header)

    def write(self, rows: list[tuple[Any, ...]]) -> None:
        self._csv.writerows(rows)

    def close(self) -> None:
        self._stream.close()


def _csv(
    conn: Conn,
    folder: Path,
    given: Mapping[str, Any],
    kinds: Mapping[str, int],
    types: Mapping[str, int],
    *,
    has_vectors: bool,
) -> list[Row]:
    def node(row: tuple[Any, ...]) -> tuple[Any, ...]:
        node_id, _, ext_id, _, created_at, _, vector = row
        feat = ",".join(map(repr, vector)) if vector else ",".join(["0"] * GRAPH_DIM)
        return (node_id, ext_id, created_at.timestamp(), *([feat] if has_vectors else []))

    def edge(row: tuple[Any, ...]) -> tuple[Any, ...]:
        src, dst, _, weight, created_at = row
        return (src, dst, weight, created_at.timestamp())

    node_header = ["node_id", "ext_id", "created_at", *(["feat"] if has_vectors else [])]
    files: list[Row] = []
    node_data: list[Row] = []
    edge_data: list[Row] = []
    for kind in kinds:
        path = folder / f"nodes_{kind}.csv"
        parts = (
            [node(r) for r in rows] for rows in _rows(conn, queries.nodes, {**given, "kind": kind})
        )
        files.append(_file(path, lambda p: _CsvFile(p, node_header), parts))
        node_data.append({"file_name": path.name, "ntype": kind})
    for name in types:
        path = folder / f"edges_{name}.csv"
        parts = (
            [edge(r) for r in rows]
            for rows in _rows(conn, queries.edges, {**given, "types": [name]})
        )
        header = ["src_id", "dst_id", "weight", "created_at"]
        files.append(_file(path, lambda p, h=header: _CsvFile(p, h), parts))
        edge_data.append({"file_name": path.name, "etype": name.split("__")})
    # JSON is YAML.
    meta = {"dataset_name": "seedcore", "node_data": node_data, "edge_data": edge_data}
    path = folder / "meta.yaml"
    path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    files.append({"file": path.name, "rows": len(node_data) + len(edge_data)})
    return files
