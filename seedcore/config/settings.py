"""Every setting: its name, its default, what it means, and where a value may come from.

A setting is one field of `Settings`. Its environment names are derived: a field that exists in the
source documents keeps its plain name (`TASK_LEASE_S`), and every plain name may also be written with
the prefix `SEEDCORE_`, which wins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def setting(
    default: Any,
    meaning: str,
    *names: str,
    unit: str | None = None,
    secret: bool = False,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    unset: str | None = None,
    project: bool = True,
) -> Any:
    """Declare one setting.

    Args:
        default: Value when nobody sets it.
        meaning: One phrase for `config show` and the reference page.
        names: Environment names, best first. Default: the field's name in capitals.
        unit: `s`, `ms`, `bytes`, `MB`, or None; a setting in seconds also accepts `90s`, `5m`, `2h`.
        secret: Whether the value is masked wherever it is shown.
        choices: The only values allowed; compared without case.
        least: Smallest number allowed.
        most: Largest number allowed.
        unset: The word for no value, of a setting whose default is none.
        project: Whether `./seedcore.toml` may set it. Not what runs code, opens the network or reads
            files: a folder that somebody else prepared must not decide that.
    """
    return field(
        default=default,
        metadata={
            "meaning": meaning,
            "names": names,
            "unit": unit,
            "secret": secret,
            "choices": choices,
            "least": least,
            "most": most,
            "unset": unset,
            "project": project,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values in force, typed, with where each came from in `origins`."""

    # Database
    database_url: str | None = setting(
        None,
        "PostgreSQL to use; empty = the embedded server",
        "SEEDCORE_DATABASE_URL",
        "SEEDCORE_PG_DSN",
        "PG_DSN",
        secret=True,
    )
    password_file: str | None = setting(
        None, "file that holds the database password", "SEEDCORE_PASSWORD_FILE", project=False
    )
    home: str | None = setting(
        None, "folder of the embedded server, sockets and keys", "SEEDCORE_HOME", project=False
    )
    profile: str | None = setting(
        None, "named profile in the configuration file", "SEEDCORE_PROFILE"
    )
    actor: str | None = setting(
        None, "who is recorded for what an operator changes; empty = user@host", "SEEDCORE_ACTOR"
    )

    # Tasks
    max_task_attempts: int = setting(3, "attempts before a task counts as failed", least=1)
    max_task_lapses: int = setting(10, "lapsed leases before a task counts as failed", least=1)
    task_priority_age_s: float = setting(
        0.0,
        "wait that raises a due task's priority by one, to 9 at most; 0 = never",
        unit="s",
        least=0,
    )
    task_reap_batch: int = setting(200, "rows that one reap looks at", least=1)
    task_lint_mode: str = setting(
        "warn",
        "payload linter at submit: warn refuses errors, strict warnings too",
        choices=("warn", "strict", "off"),
    )
    params_max_bytes: int = setting(
        1048576, "largest params document", "SEEDCORE_PARAMS_MAX_BYTES", unit="bytes", least=2
    )
    result_max_bytes: int = setting(
        4194304, "largest result document", "SEEDCORE_RESULT_MAX_BYTES", unit="bytes", least=2
    )
    checkpoint_max_bytes: int = setting(
        262144, "largest checkpoint of a tool", unit="bytes", least=2
    )

    # Retention; a setting of the database (config set --database) wins over these
    task_retention_completed: float = setting(
        0.0, "how long completed tasks are kept; 0 = for ever", unit="s", least=0
    )
    task_retention_failed: float = setting(
        0.0, "how long failed tasks are kept; 0 = for ever", unit="s", least=0
    )
    task_retention_cancelled: float = setting(
        0.0, "how long cancelled tasks are kept; 0 = for ever", unit="s", least=0
    )
    task_event_retention: float = setting(
        0.0,
        "how long recorded transitions are kept, in whole days; 0 = for ever",
        unit="s",
        least=0,
    )
    task_retention_share: float = setting(
        0.1, "share of the time that removing old tasks may take", least=0.001, most=1
    )

    # Queue worker
    dispatcher_count: int = setting(1, "worker processes that one command starts", least=1)
    claim_batch_size: int = setting(8, "least number of tasks in one claim", least=1)
    dispatcher_concurrency: int = setting(
        16, "tasks that run at the same time in one worker", least=1
    )
    dispatcher_prefetch: int | None = setting(
        None,
        "tasks held beside the running ones; auto = many while they are short",
        least=0,
        unset="auto",
    )
    empty_sleep_seconds: float = setting(
        0.05, "least pause after an empty claim", unit="s", least=0.001
    )
    dispatcher_poll_interval_s: float = setting(
        5.0, "longest pause after an empty claim", unit="s", least=0.01
    )
    lease_seconds: float = setting(
        90.0, "silence after which an owner counts as dead", unit="s", least=1
    )
    task_lease_s: float = setting(
        600.0, "lease that a claim or a renewal grants", unit="s", least=1
    )
    dispatcher_renew_s: float = setting(30.0, "pause between renewals", unit="s", least=0.1)
    use_listen_notify: bool = setting(True, "wake up by notification; 0 = poll only")
    tasks_notify_channel: str = setting("tasks_new", "notification channel")
    watchdog_interval: float = setting(30.0, "pause between watchdog ticks", unit="s", least=0.1)
    dispatcher_flush_n: int = setting(500, "outcomes written together at most", least=1)
    dispatcher_flush_ms: float = setting(
        10.0, "longest wait of an outcome for others", unit="ms", least=0
    )
    dispatcher_drain_s: float = setting(
        30.0, "time to finish running tasks on SIGTERM", unit="s", least=0
    )
    dispatcher_memory_soft_limit_mb: int = setting(
        0, "resident memory above which nothing is claimed; 0 = off", unit="MB", least=0
    )
    dispatcher_force_gc_every_n: int = setting(
        2000, "tasks between garbage collections; 0 = off", least=0
    )
    dispatcher_recycle_after_tasks: int = setting(
        0, "tasks after which a worker drains and starts anew; 0 = off", least=0
    )
    dispatcher_result_max_bytes: int = setting(
        0, "result size above which its payload is cut; 0 = the global limit", unit="bytes", least=0
    )
    dispatcher_cancel_duplicates: bool = setting(
        False, "cancel equal tasks of one claimed batch but the oldest"
    )
    serve_call_timeout_s: float = setting(
        120.0, "time-out of a task that names none", unit="s", least=0.001
    )
    dispatcher_max_timeout_s: float = setting(
        3600.0, "largest time-out that a task may ask for", unit="s", least=0.001
    )

    dispatcher_executor: str = setting(
        "local",
        "where tools run: local = in the worker, ray = on the cluster, agents = in agents there",
        choices=("local", "ray", "agents"),
        project=False,
    )

    # Tools
    plugins: str = setting(
        "", "modules with tools, comma-separated", "SEEDCORE_PLUGINS", project=False
    )
    plugins_strict: bool = setting(
        True, "0 skips a plugin that can't be loaded", "SEEDCORE_PLUGINS_STRICT", project=False
    )
    tool_threads: int = setting(16, "threads for synchronous tools", least=1)
    default_allowed_tools: str = setting(
        "*",
        "tools that tasks may call, comma-separated; fact.* grants a whole group",
        project=False,
    )
    agent_roles: str = setting(
        "",
        "file of role profiles in TOML: the tools that each specialization may call; empty = none",
        project=False,
    )
    tool_http_allow: str = setting(
        "",
        "hosts that http.request may call, comma-separated; empty = no such tool",
        project=False,
    )

    # Ray
    ray_address: str | None = setting(
        None,
        "Ray cluster for agents and encoders: HOST:PORT, ray://HOST:PORT or auto; empty = none",
        project=False,
    )
    ray_tool_hosts: int = setting(
        0, "actors on Ray that run a worker's tools; 0 = one on each machine", least=0
    )
    ray_tool_cpus: float = setting(0.0, "processors that each of them reserves", least=0)
    ray_namespace: str = setting(
        "seedcore-dev", "namespace of the actors on Ray", "SEEDCORE_NS", "RAY_NAMESPACE"
    )

    # Graph
    graph_encoder: str = setting(
        "default",
        "encoder of graph nodes: graph-mean, or a fitted one; default = the one that serves",
    )
    graph_embedding_default_label: str = setting("default", "label of vectors of graph nodes")
    task_embed_label: str = setting("task.primary", "label of vectors of tasks' texts")
    task_embed_backfill_interval_s: float = setting(
        120.0,
        "pause between looks of a graph worker for tasks without a vector of their text; 0 = never",
        unit="s",
        least=0,
    )
    task_embed_backfill_batch: int = setting(
        250, "vectors that one such look makes due", least=1, most=100_000
    )
    graph_embed_timeout_s: float = setting(
        600.0, "time-out of one call of an encoder by the graph worker", unit="s", least=0.1
    )
    graph_upsert_timeout_s: float = setting(
        600.0, "time-out of one statement of the graph worker", unit="s", least=0.1
    )
    graph_embed_batch_chunk: int = setting(
        0, "nodes that the graph worker embeds together; 0 = as many as it likes", least=0
    )
    graph_upsert_chunk_size: int = setting(200, "vectors written by one statement", least=1)
    graph_strict_json_result: bool = setting(
        True, "a result that is no JSON fails the task; 0 stores it as text"
    )
    graph_heartbeat_ping_s: float = setting(
        5.0, "pause between heartbeats of a graph task", unit="s", least=0.05
    )
    graph_lease_extension_s: float = setting(
        600.0, "lease that a heartbeat of a graph task grants", unit="s", least=1
    )
    graph_db_pool_size: int = setting(5, "connections that a graph worker keeps", least=1)
    graph_db_max_overflow: int = setting(5, "connections beyond those, for a while", least=0)
    graph_db_pool_recycle_s: float = setting(
        600.0, "age at which a kept connection is replaced", unit="s", least=1
    )
    graph_task_poll_interval_s: float = setting(
        1.0, "longest pause of the graph worker after an empty claim", unit="s", least=0.01
    )
    ltm_decay_half_life_s: float = setting(
        86400.0, "age at which a node of the graph is half as recent", unit="s", least=1
    )

    # Registry
    enable_runtime_registry: bool = setting(True, "report to the runtime registry")
    registry_beat_sec: float = setting(
        5.0, "pause between signs of life", unit="s", least=0.05, most=3600
    )
    cluster_epoch: str | None = setting(
        None, "epoch that instances belong to; empty = the current one"
    )
    auto_epoch: bool = setting(
        True, "make the first epoch where there is none", "SEEDCORE_AUTO_EPOCH"
    )
    ray_node_id: str | None = setting(None, "name of this machine; empty = its host name")
    pod_ip: str | None = setting(None, "address of this machine; empty = as its routes say")
    reconcile_grace_s: float = setting(
        15.0, "silence after which the reaper declares an instance dead", unit="s", least=0.1
    )
    maintenance_interval_s: float = setting(
        15.0, "pause between passes of the registry's reaper", unit="s", least=0.05
    )

    # Agents
    agent_max_idle_s: float = setting(
        3600.0, "idleness after which an agent counts as archived", unit="s", least=0.1
    )
    tier0_discovery: str = setting(
        "registry",
        "where agents are looked for: ray = the cluster, hybrid = registry and cluster",
        choices=("ray", "hybrid", "registry"),
    )
    tier0_attach_actors: str = setting(
        "", "Ray actors to attach beside those that are found, comma-separated"
    )

    # Embeddings
    text_encoder: str = setting(
        "auto",
        "text encoder; auto = an endpoint if there is one, else offline: lsa or hash",
        choices=("auto", "http", "offline", "lsa", "hash"),
    )
    nim_retrieval_base_url: str | None = setting(
        None,
        "OpenAI-compatible endpoint for embeddings, without /v1; empty = none",
        project=False,
    )
    nim_retrieval_model: str = setting(
        "nvidia/nv-embedqa-e5-v5", "model that the endpoint is asked for"
    )
    nim_retrieval_dim: int = setting(
        1024, "dimensions that the endpoint's model gives", least=1, most=1024
    )
    nim_retrieval_api_key: str | None = setting(
        None, "key that the endpoint asks for", secret=True, project=False
    )
    nim_retrieval_api_key_file: str | None = setting(
        None, "file that holds the endpoint's key", project=False
    )
    nim_retrieval_batch: int = setting(32, "texts in one call of the endpoint", least=1, most=2048)
    nim_retrieval_timeout_s: float = setting(
        30.0, "longest wait for one answer of the endpoint", unit="s", least=0.01
    )

    # Language model
    llm_base_url: str | None = setting(
        None,
        "OpenAI-compatible endpoint for chat completions, without /v1; empty = none",
        project=False,
    )
    llm_model_fast: str | None = setting(None, "model that answers from sources", project=False)
    llm_api_key: str | None = setting(
        None, "key that this endpoint asks for", secret=True, project=False
    )
    llm_api_key_file: str | None = setting(
        None, "file that holds the key of the language model", project=False
    )
    llm_timeout_s: float = setting(
        60.0, "longest wait for an answer of the language model", unit="s", least=0.01
    )

    # Policy
    pkg_env: str = setting(
        "prod",
        "environment whose policy holds here",
        choices=("prod", "staging", "dev"),
    )
    pkg_region: str = setting("global", "region of the lanes that this worker's tasks go by")
    pkg_mode: str = setting(
        "advisory",
        "control: no task runs unless policy allows it",
        choices=("advisory", "control"),
    )
    pkg_timeout_s: float = setting(
        2.0, "longest evaluation by Rego or WASM", unit="s", least=0.01, most=60
    )
    pkg_poll_s: float = setting(
        1.0, "pause between looks whether a policy is active", unit="s", least=0.05, most=60
    )
    pkg_verify_key: str = setting(
        "",
        "file with the key that a snapshot must be signed with before it acts; empty = any may",
        project=False,
    )
    pkg_sample: float = setting(
        0.1, "share of evaluations whose input is kept for a replay", least=0, most=1
    )
    pkg_keep_s: float = setting(
        2_592_000.0, "age up to which evaluations are kept; 0 = for ever", unit="s", least=0
    )
    pkg_canary_steps: str = setting(
        "5,20,50,100", "percents of a canary's steps, where its start names none"
    )
    pkg_canary_min_samples: int = setting(
        50, "evaluations that a canary's gate takes to be measured", least=1
    )
    max_plan_steps: int = setting(16, "tasks that one task may call for", least=1, most=1000)
    max_plan_depth: int = setting(3, "generations of tasks that call for tasks", least=1, most=20)

    # Health and logs
    health_addr: str | None = setting(
        None,
        "where health and metrics listen: host:port or unix:PATH; empty = a socket in home",
        "SEEDCORE_HEALTH_ADDR",
    )
    api_token: str | None = setting(
        None,
        "bearer token that whoever calls from another machine must send",
        "SEEDCORE_API_TOKEN",
        secret=True,
    )
    log_level: str = setting(
        "INFO",
        "least level that a daemon logs",
        "SEEDCORE_LOG_LEVEL",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    log_format: str = setting(
        "auto",
        "how a daemon logs; auto = text on a terminal, else json",
        "SEEDCORE_LOG_FORMAT",
        choices=("auto", "text", "json"),
    )

    # Command line
    output: str = setting(
        "auto",
        "output format of commands; auto = table on a terminal, else tsv",
        "SEEDCORE_OUTPUT",
        choices=("auto", "table", "wide", "tsv", "json", "jsonl", "yaml", "name"),
    )
    color: str = setting(
        "auto",
        "colours of commands; auto = on a terminal, unless NO_COLOR",
        "SEEDCORE_COLOR",
        choices=("auto", "always", "never"),
    )
    no_input: bool = setting(
        False, "never ask for confirmation; refuse instead", "SEEDCORE_NO_INPUT"
    )
    debug: bool = setting(False, "tracebacks of unexpected errors", "SEEDCORE_DEBUG")

    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)

    def __repr__(self) -> str:
        """Never show a value: settings hold credentials."""
        return f"<Settings {len(self.origins)} set>"


def fields() -> list[dataclasses.Field[Any]]:
    """Return the fields that are settings, in the order of the reference page."""
    return [f for f in dataclasses.fields(Settings) if f.name != "origins"]
