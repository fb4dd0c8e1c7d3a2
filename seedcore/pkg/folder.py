"""A policy as a folder of files: read it, find everything that is wrong, and make a `Policy` of it.

policy.yaml         version, environment, entrypoint, schema_version, notes
subtasks/*.yaml     one subtask type each, or a list of them
rules/*.yaml        one native rule each, or a list; or
rules/*.rego        Rego modules
fixtures/*.yaml     one input each with what must be decided on it, or a list
policy.wasm         instead of rules: a module made by `opa build -t wasm`
policy.rbb          instead of rules: a compiled Rego bundle
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seedcore.pkg.archive import pack, read_files, unpack
from seedcore.pkg.canonical import native_source
from seedcore.pkg.checks import check
from seedcore.pkg.documents import Item, Unreadable, read_document
from seedcore.pkg.entries import Reader
from seedcore.pkg.fault import Fault, InvalidPolicy
from seedcore.pkg.model import (
    DEFAULT_ENTRYPOINT,
    SCHEMA_VERSION,
    Artifact,
    ArtifactType,
    Engine,
    Env,
    Fixture,
    Policy,
    Rule,
    SubtaskType,
    Where,
)

__all__ = ["load_folder", "load_tar", "read_policy"]

_ARTIFACTS = {"policy.wasm": ArtifactType.WASM_PACK, "policy.rbb": ArtifactType.REGO_BUNDLE}
_MANIFEST = "policy.yaml"


def load_folder(path: Path) -> Policy:
    """Read and check a folder.

    Raises:
        NotFound: There is no such folder.
        InvalidPolicy: What is wrong, all of it, each with file and line.
    """
    return read_policy(read_files(path))


def load_tar(content: bytes) -> Policy:
    """Read and check a folder that was packed as a tar.

    Raises:
        CheckFailed: It is no tar.
        InvalidPolicy: As `load_folder`.
    """
    return read_policy(unpack(content))


def read_policy(files: Mapping[str, bytes]) -> Policy:
    """Make a policy of its files.

    Args:
        files: Content by path, as `seedcore.pkg.archive` reads them.

    Returns:
        The policy with its artifacts, among them the files themselves.

    Raises:
        InvalidPolicy: What is wrong, all of it.
    """
    faults: list[Fault] = []
    reader = Reader(faults)
    documents: dict[str, Item] = {}
    for name in sorted(files):
        if name.endswith(".yaml"):
            try:
                documents[name] = read_document(name, files[name])
            except Unreadable as error:
                faults.append(error.fault)
    if _MANIFEST not in files:
        faults.append(Fault(Where(_MANIFEST), "no_manifest", "the file is missing"))
    manifest = reader.manifest(documents.get(_MANIFEST))
    subtasks: list[SubtaskType] = []
    rules: list[Rule] = []
    fixtures: list[Fixture] = []
    for name, document in documents.items():
        stem = Path(name).stem
        if name.startswith("subtasks/"):
            subtasks += reader.subtasks(document, stem)
        elif name.startswith("rules/"):
            rules += reader.rules(document, stem)
        elif name.startswith("fixtures/"):
            fixtures += reader.fixtures(document, stem)
    rules += _modules(files, faults)
    rules = [_with_source(rule) for rule in rules]
    policy = Policy(
        subtasks=tuple(sorted(subtasks, key=lambda s: s.name)),
        rules=tuple(sorted(rules, key=lambda r: (-r.priority, r.name))),
        fixtures=tuple(sorted(fixtures, key=lambda f: f.name)),
        artifacts=_artifacts(files),
        entrypoint=manifest.get("entrypoint") or DEFAULT_ENTRYPOINT,
        schema_version=manifest.get("schema_version") or SCHEMA_VERSION,
        version=manifest.get("version"),
        env=Env(manifest["environment"]) if "environment" in manifest else None,
    )
    faults += check(policy)
    if faults:
        raise InvalidPolicy(faults)
    return policy


def _modules(files: Mapping[str, bytes], faults: list[Fault]) -> list[Rule]:
    """Return a rule for each Rego module, named like its file."""
    rules: list[Rule] = []
    for name in sorted(files):
        if not name.endswith(".rego"):
            continue
        try:
            text = files[name].decode("utf-8")
        except UnicodeDecodeError as error:
            line = files[name].count(b"\n", 0, error.start) + 1
            faults.append(Fault(Where(name, line), "bad_encoding", "this is no UTF-8"))
            continue
        if "\x00" in text:
            faults.append(Fault(Where(name), "bad_text", "text can't hold the character U+0000"))
            continue
        if not text.strip():
            faults.append(Fault(Where(name), "empty_file", "the file is empty"))
            continue
        rules.append(
            Rule(name=Path(name).stem, engine=Engine.REGO, source=text, where=Where(name, 1))
        )
    return rules


def _with_source(rule: Rule) -> Rule:
    if rule.engine is not Engine.NATIVE:
        return rule
    return replace(rule, source=native_source(rule.conditions, rule.emissions))


def _artifacts(files: Mapping[str, bytes]) -> tuple[Artifact, ...]:
    contents = {type_: files[name] for name, type_ in _ARTIFACTS.items() if name in files}
    contents[ArtifactType.SOURCE_TAR] = pack(files)
    return tuple(
        Artifact(type_, contents[type_], hashlib.sha256(contents[type_]).hexdigest())
        for type_ in sorted(contents)
    )
