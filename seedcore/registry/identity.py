"""What a process says of itself: its machine, its address, its number."""

from __future__ import annotations

import os
import socket
from uuid import UUID, uuid4

from seedcore.config.settings import Settings
from seedcore.registry.store import Identity


def of_this_process(
    settings: Settings,
    logical_id: str,
    *,
    instance_id: UUID | None = None,
    actor_name: str | None = None,
    serve_route: str | None = None,
) -> Identity:
    """Return the identity of an instance in this process.

    Args:
        settings: `RAY_NODE_ID` and `POD_IP`, when set, name the machine and its address.
        logical_id: The name that callers look for.
        instance_id: Default: a new one.
        actor_name: Name of the Ray actor, where it is one.
        serve_route: Where it answers.
    """
    return Identity(
        instance_id=instance_id or uuid4(),
        logical_id=logical_id,
        actor_name=actor_name,
        serve_route=serve_route,
        node_id=settings.ray_node_id or socket.gethostname(),
        ip_address=settings.pod_ip or local_address(),
        pid=os.getpid(),
    )


def local_address() -> str | None:
    """Return the address that this machine shows to the network; None when it has none.

    Connecting a datagram socket sends nothing; it only asks the kernel which way it would go.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # TEST-NET-1: never anybody's (RFC 5737)
            return str(asking.getsockname()[0])
        except OSError:
            return None
