"""Running an agent, and setting up and examining a hub: what the command line is made of."""

from limpet._require_extra import need

need("pydantic", "limpet.remote.admin", extra="nats")

from limpet.remote._agent import Agent
from limpet.remote._agent_config import AgentConfig, agent_schema, load_agent
from limpet.remote._agent_follow import FollowSpec
from limpet.remote._agent_options import AgentOptions, OutputSpec
from limpet.remote._agent_presence import AgentError
from limpet.remote._agent_status import AgentShown
from limpet.remote._agent_watch import WatchSpec
from limpet.remote._cluster_config import ClusterConfig, ClusterServer, RouteCertificates
from limpet.remote._hub_accounts import BotGrant
from limpet.remote._hub_check import Finding, examine
from limpet.remote._server_config import (
    FleetConfig,
    cluster_files,
    fleet_schema,
    load_fleet,
    server_file,
    write_server_files,
)
from limpet.remote._stream_setup import HubLayout, init_nats

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentError",
    "AgentOptions",
    "AgentShown",
    "BotGrant",
    "ClusterConfig",
    "ClusterServer",
    "Finding",
    "FleetConfig",
    "FollowSpec",
    "HubLayout",
    "OutputSpec",
    "RouteCertificates",
    "WatchSpec",
    "agent_schema",
    "cluster_files",
    "examine",
    "fleet_schema",
    "init_nats",
    "load_agent",
    "load_fleet",
    "server_file",
    "write_server_files",
]
