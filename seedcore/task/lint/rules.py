"""The catalogue of rules: code, severities, and what each asks for in one line."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One rule.

    Attributes:
        code: Stable name, such as `TI204`.
        severities: `E`, `W` or `E, W`: what it can report.
        asks: What a correct document looks like.
    """

    code: str
    severities: str
    asks: str


RULES: Final[dict[str, Rule]] = {
    rule.code: rule
    for rule in (
        # A task type's default_params: the checklist for new task types.
        Rule("ST101", "E", "executor.specialization names the specialization, as text"),
        Rule("ST102", "E, W", "executor.behaviors lists behaviours by name"),
        Rule("ST103", "E", "executor.behavior_config is an object keyed by listed behaviours"),
        Rule("ST104", "E, W", "routing.skills gives skills with levels from 0 to 1"),
        Rule("ST105", "E, W", "executor.tools or routing.tools lists tools by name"),
        Rule("ST106", "E, W", "routing.routing_tags lists tags as text"),
        Rule("ST107", "E", "zone_affinity is a list, environment_constraints an object"),
        Rule("ST108", "E, W", "agent_behavior is legacy; executor.behaviors replaces it"),
        Rule("ST109", "W", "tools are known to this process"),
        Rule("ST110", "E", "executor.specialization and required_specialization agree"),
        # A task: the checklist for new task instances.
        Rule("TI200", "E", "type, drift_score and ids are well-formed, all values plain JSON"),
        Rule("TI201", "E, W", "interaction.mode is coordinator_routed or agent_tunnel"),
        Rule("TI202", "E", "agent_tunnel names assigned_agent_id or conversation_id"),
        Rule("TI203", "W", "a tunnelled task carries no routing, which would be ignored"),
        Rule("TI204", "E", "tool_calls lists objects with name (text) and args (object)"),
        Rule("TI205", "W", "tools are known to this process"),
        Rule("TI206", "E", "routing.tools and routing.routing_tags list text"),
        Rule("TI207", "E", "routing.skills gives levels from 0 to 1"),
        Rule("TI208", "E", "routing.hints holds values that can be scheduled by"),
        Rule("TI209", "E, W", "cognitive flags agree with each other, with risk and urgency"),
        Rule(
            "TI210", "E, W", "multimodal holds a known source, text about it, and no media itself"
        ),
        Rule("TI211", "E", "_router is written by the system only"),
        Rule("TI212", "W", "params.tools is legacy; routing.tools or tool_calls replace it"),
        Rule("TI213", "E", "type graph and a known graph op come together"),
        Rule("TI214", "E", "params is not larger than SEEDCORE_PARAMS_MAX_BYTES"),
        Rule("TI215", "W", "routing.required_specialization is registered"),
    )
}
