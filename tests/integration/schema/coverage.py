"""Which tests show that a function of the schema does what it says: by function, for four aspects.

A test is named `file::test`, or `file::test[case]` where only one of its cases is about the function; the
file is anywhere below tests/integration. `test_coverage.py` holds the list against the live schema and the
files, and `proof.py` makes a listed test fail that does not call the function.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nothing:
    """Why there is nothing to test."""

    reason: str


@dataclass(frozen=True)
class Cover:
    """The tests of one function.

    rule: it does what its comment says. edge: at the limits of that. refusal: what it turns down, by an
    error or by doing nothing for whom it isn't meant. two: two sessions at once.
    """

    rule: str
    edge: str | Nothing
    refusal: str | Nothing
    two: str | Nothing

    def tests(self) -> set[str]:
        """All tests that it names."""
        return {
            found
            for found in (self.rule, self.edge, self.refusal, self.two)
            if isinstance(found, str)
        }


READS = Nothing("reads only")
TOTAL = Nothing("has a value for every argument")
ANY_ROW = Nothing("takes every row")


def _entity(kind: str, refusal: str) -> Cover:
    made = (
        "test_an_entity_has_one_node"
        if refusal == "id"
        else "test_what_has_a_name_is_made_with_its_node"
    )
    refused = {
        "id": f"test_node_map::test_what_does_not_exist_gets_no_node[{kind}]",
        "name": f"test_nodes::test_a_name_that_says_nothing_gets_no_node[{kind}]",
    }
    return Cover(
        rule=f"test_node_map::{made}[{kind}]",
        edge=f"test_nodes::test_a_node_that_is_there_is_found_without_writing[{kind}]",
        refusal=refused[refusal],
        two=f"test_nodes::test_two_that_ensure_one_node_at_once_get_one_row[{kind}]",
    )


def _graph_task(name: str, kind: str) -> Cover:
    made = {
        "embed": "test_an_embed_task_is_queued_with_its_node",
        "rag": "test_a_rag_task_is_tied_to_its_agent_and_organ",
    }
    return Cover(
        rule=f"test_graph_tasks::{made[kind]}[{name}]",
        edge=f"test_nodes::test_a_graph_task_goes_as_far_as_its_limits[{name}]",
        refusal=f"test_nodes::test_a_graph_task_goes_as_far_as_its_limits[{name}]",
        two=f"test_nodes::test_two_graph_tasks_for_a_new_agent_at_once_share_the_agent[{name}]",
    )


COVERED: dict[str, Cover] = {
    # 001-007: what all use
    "seedcore_setting": Cover(
        rule="test_queue_functions::test_a_setting_is_the_sessions_else_the_databases_else_the_fallback",
        edge="test_queue_functions::test_a_setting_that_nobody_made_is_null_without_a_fallback",
        refusal=TOTAL,
        two=READS,
    ),
    "set_updated_at": Cover(
        rule="test_edges::test_a_change_is_stamped",
        edge="test_facts_and_ledgers::test_a_row_that_says_when_it_changed_is_believed",
        refusal=ANY_ROW,
        two=Nothing("changes the row that its statement holds"),
    ),
    "task_retry_delay": Cover(
        rule="test_finish::test_the_retry_delay_doubles_up_to_five_minutes",
        edge="test_queue_functions::test_a_retry_is_jittered_by_up_to_five_seconds",
        refusal=TOTAL,
        two=READS,
    ),
    "encoder_ensure": Cover(
        rule="test_embeddings::test_an_encoder_is_stored_once_and_named_in_one_word",
        edge="test_embeddings::test_an_encoder_is_stored_once_and_named_in_one_word",
        refusal="test_embeddings::test_an_encoder_is_stored_once_and_named_in_one_word",
        two="test_embeddings::test_two_that_ensure_the_same_encoder_at_once_get_the_same",
    ),
    # 008-012, 121: the graph
    **{
        f"ensure_{kind}_node": _entity(kind, "id")
        for kind in ("task", "artifact", "capability", "memory_cell", "fact", "instance")
    },
    **{
        f"ensure_{kind}_node": _entity(kind, "name")
        for kind in ("agent", "organ", "model", "policy", "service", "skill")
    },
    "ensure_entity_node": Cover(
        rule="test_node_map::test_what_has_a_name_is_made_with_its_node[agent]",
        edge="test_nodes::test_a_node_that_is_there_is_found_without_writing",
        refusal="test_nodes::test_an_entity_of_no_known_type_gets_no_node",
        two="test_nodes::test_two_that_ensure_one_node_at_once_get_one_row[agent]",
    ),
    "ensure_node": Cover(
        rule="test_node_map::test_two_that_ensure_the_same_node_at_once_get_the_same",
        edge="test_node_map::test_asking_for_a_node_that_is_there_writes_nothing",
        refusal="test_node_map::test_ensure_node_needs_exactly_one_id",
        two="test_node_map::test_one_that_waited_for_a_node_that_was_taken_back_makes_it",
    ),
    "ensure_nodes": Cover(
        rule="test_node_map::test_many_nodes_come_in_the_order_of_their_ids",
        edge="test_node_map::test_asking_for_a_node_that_is_there_writes_nothing",
        refusal="test_node_map::test_nonsense_is_refused[SELECT * FROM ensure_nodes('ghost', '{a}')-SC422]",
        two="test_node_map::test_two_that_map_the_same_tasks_at_once_map_each_once",
    ),
    "graph_nodes_add": Cover(
        rule="test_nodes::test_adding_nodes_counts_those_that_were_missing",
        edge="test_nodes::test_adding_nodes_counts_those_that_were_missing",
        refusal="test_nodes::test_an_entity_of_no_known_type_gets_no_node",
        two="test_nodes::test_two_that_add_nodes_at_once_add_each_once",
    ),
    "graph_node_kinds": Cover(
        rule="test_nodes::test_kinds_of_nodes_are_the_keys_of_their_tables",
        edge=Nothing("a list"),
        refusal=TOTAL,
        two=READS,
    ),
    "backfill_nodes": Cover(
        rule="test_node_map::test_backfill_maps_what_is_unmapped_and_says_how_much",
        edge="test_node_map::test_backfill_stops_at_its_limit_and_goes_on",
        refusal="test_node_map::test_nonsense_is_refused[SELECT * FROM backfill_nodes('task', 0)-SC422]",
        two="test_nodes::test_two_that_map_all_at_once_map_each_once[sum(inserted) FROM backfill_nodes()]",
    ),
    "backfill_task_nodes": Cover(
        rule="test_node_map::test_backfill_maps_what_is_unmapped_and_says_how_much",
        edge="test_node_map::test_backfill_maps_what_is_unmapped_and_says_how_much",
        refusal=Nothing("has no arguments"),
        two="test_nodes::test_two_that_map_all_at_once_map_each_once[backfill_task_nodes()]",
    ),
    "graph_edges_map": Cover(
        rule="test_edges::test_edges_without_nodes_are_listed_and_can_be_mapped",
        edge="test_edges::test_mapping_edges_keeps_to_its_limit",
        refusal="test_node_map::test_nonsense_is_refused[SELECT graph_edges_map(0)-SC422]",
        two="test_nodes::test_two_that_map_all_at_once_map_each_once[graph_edges_map()]",
    ),
    "node_map_insert": Cover(
        rule="test_node_map::test_a_new_entity_gets_its_node_and_a_deleted_one_loses_it",
        edge="test_node_map::test_backfill_maps_what_is_unmapped_and_says_how_much",
        refusal=ANY_ROW,
        two="test_nodes::test_an_entity_that_is_made_and_asked_for_at_once_has_one_node",
    ),
    "node_map_delete": Cover(
        rule="test_node_map::test_deleted_tasks_take_their_nodes_and_vectors_along",
        edge="test_nodes::test_deleting_what_has_no_node_deletes_no_node",
        refusal=ANY_ROW,
        two="test_node_map::test_a_task_that_is_being_mapped_can_not_be_deleted_under_its_node",
    ),
    "node_map_rename": Cover(
        rule=(
            "test_node_map::test_a_named_entity_keeps_its_node_under_another_name_and_loses_it_when_deleted"
        ),
        edge="test_nodes::test_a_name_that_stays_and_a_name_that_is_taken_leave_the_node",
        refusal=ANY_ROW,
        two="test_nodes::test_a_new_name_that_is_asked_for_at_once_is_the_renamed_node",
    ),
    "node_map_edge": Cover(
        rule="test_edges::test_an_edge_is_seen_with_its_ends[task__owned_by__agent-task_owned_by_agent-task_id-agent_id-cascade]",
        edge="test_nodes::test_edges_of_a_bulk_load_make_no_nodes",
        refusal=ANY_ROW,
        two="test_nodes::test_edges_of_one_task_that_are_made_at_once_share_its_node",
    ),
    "create_graph_embed_task": _graph_task("create_graph_embed_task", "embed"),
    "create_graph_embed_task_v2": _graph_task("create_graph_embed_task_v2", "embed"),
    "create_graph_rag_task": _graph_task("create_graph_rag_task", "rag"),
    "create_graph_rag_task_v2": _graph_task("create_graph_rag_task_v2", "rag"),
    "graph_task_create": Cover(
        rule="test_graph_tasks::test_an_embed_task_is_queued_with_its_node",
        edge="test_nodes::test_a_graph_task_goes_as_far_as_its_limits",
        refusal="test_graph_tasks::test_a_graph_task_that_could_not_run_is_refused",
        two="test_nodes::test_two_graph_tasks_for_a_new_agent_at_once_share_the_agent",
    ),
    # 012: the registry
    "set_current_epoch": Cover(
        rule="test_epoch::test_a_rotation_returns_the_previous_epoch_and_is_written_down",
        edge="test_epoch::test_rotating_to_the_current_epoch_changes_nothing",
        refusal="test_epoch::test_a_rotation_refuses_when_the_epoch_is_not_the_expected_one",
        two="test_epoch::test_two_rotations_at_once_follow_each_other",
    ),
    "ensure_current_epoch": Cover(
        rule="test_epoch::test_the_first_epoch_is_the_first_candidate",
        edge="test_epoch::test_the_first_epoch_is_the_first_candidate",
        refusal="test_epoch::test_a_rotation_to_nothing_is_refused",
        two="test_epoch::test_of_two_first_candidates_one_wins",
    ),
    "register_instance": Cover(
        rule="test_instance::test_registering_returns_the_epoch_and_stores_what_was_said",
        edge="test_instance::test_registering_again_revives_the_row",
        refusal="test_instance::test_registering_needs_an_epoch_an_id_and_a_name",
        two="test_instance::test_nobody_registers_for_an_epoch_that_is_being_left",
    ),
    "set_instance_status": Cover(
        rule="test_instance::test_a_life_has_no_way_back[alive-starting]",
        edge="test_instance::test_a_life_has_no_way_back[alive-dead]",
        refusal="test_instance::test_a_life_has_no_way_back[starting-alive]",
        two="test_registry_and_outbox::test_two_moves_of_an_instance_at_once_follow_each_other",
    ),
    "beat": Cover(
        rule="test_instance::test_a_beat_tells_the_status_and_whether_the_epoch_is_current",
        edge="test_instance::test_a_dead_instance_stays_dead_however_it_beats",
        refusal="test_instance::test_an_unknown_instance_has_no_status_and_no_beat",
        two="test_registry_and_outbox::test_an_instance_that_dies_meanwhile_is_told_by_its_beat",
    ),
    "expire_stale_instances": Cover(
        rule="test_instance::test_the_silent_are_expired_and_nobody_else",
        edge="test_instance::test_the_window_is_a_setting",
        refusal="test_instance::test_a_timeout_that_is_none_is_refused",
        two="test_instance::test_who_beats_right_now_is_passed_by",
    ),
    "expire_old_epoch_instances": Cover(
        rule="test_instance::test_instances_of_old_epochs_are_expired",
        edge="test_instance::test_without_an_epoch_none_is_old",
        refusal="test_registry_and_outbox::test_an_instance_that_enters_the_new_epoch_meanwhile_stays",
        two="test_registry_and_outbox::test_a_beat_does_not_save_an_instance_of_an_old_epoch",
    ),
    "purge_dead_instances": Cover(
        rule="test_instance::test_the_long_dead_are_purged",
        edge="test_instance::test_the_long_dead_are_purged",
        refusal="test_instance::test_the_long_dead_are_purged",
        two="test_registry_and_outbox::test_a_dead_instance_that_registers_again_meanwhile_is_not_purged",
    ),
    # 013-015, 125: policies
    "pkg_snapshot_digest": Cover(
        rule="test_definitions::test_every_edit_voids_the_runs_before_it",
        edge="test_definitions::test_a_digest_is_of_the_content_alone",
        refusal="test_facts_and_ledgers::test_what_is_of_no_snapshot_has_no_faults_and_no_digest",
        two=READS,
    ),
    "pkg_active_snapshot_id": Cover(
        rule="test_definitions::test_one_snapshot_of_each_environment_is_active",
        edge="test_definitions::test_one_snapshot_of_each_environment_is_active",
        refusal=Nothing(
            "an environment that is none has no value of its type; the others may have none"
        ),
        two="test_promotion::test_promotions_that_expect_nothing_follow_each_other",
    ),
    "pkg_bucket": Cover(
        rule="test_lanes::test_a_bucket_is_what_every_language_computes",
        edge="test_lanes::test_buckets_are_even_and_differ_by_lane_and_salt",
        refusal=TOTAL,
        two=READS,
    ),
    "pkg_check_integrity": Cover(
        rule="test_definitions::test_each_fault_is_named",
        edge="test_definitions::test_a_sound_database_has_no_faults",
        refusal="test_facts_and_ledgers::test_what_is_of_no_snapshot_has_no_faults_and_no_digest",
        two=READS,
    ),
    "pkg_validation_status": Cover(
        rule="test_definitions::test_the_newest_finished_run_counts",
        edge="test_definitions::test_every_edit_voids_the_runs_before_it",
        refusal="test_definitions::test_there_is_no_status_of_a_snapshot_that_is_none",
        two=READS,
    ),
    "pkg_promote_snapshot": Cover(
        rule="test_promotion::test_a_promotion_swaps_the_active_snapshot_and_is_written_down",
        edge="test_promotion::test_what_is_active_is_not_promoted_again",
        refusal="test_promotion::test_what_may_not_be_promoted_changes_nothing",
        two="test_promotion::test_of_two_promotions_that_expect_the_same_one_wins",
    ),
    "pkg_rollback": Cover(
        rule="test_promotion::test_repeated_rollbacks_go_further_back",
        edge="test_promotion::test_snapshots_promoted_in_turns_are_not_rolled_back_in_circles",
        refusal="test_promotion::test_a_rollback_can_name_its_goal",
        two="test_promotion::test_of_two_rollbacks_that_expect_the_same_one_wins",
    ),
    "pkg_effective_snapshot": Cover(
        rule="test_lanes::test_a_region_falls_back_to_global_and_then_to_the_active_snapshot",
        edge="test_lanes::test_membership_is_sticky_and_grows_with_the_percent",
        refusal="test_lanes::test_a_lane_serves_its_snapshots_environment_alone",
        two=READS,
    ),
    "pkg_set_lane": Cover(
        rule="test_lanes::test_setting_a_lane_makes_it_or_changes_it",
        edge="test_lanes::test_setting_a_lane_makes_it_or_changes_it",
        refusal="test_rollout::test_nobody_else_moves_a_lane_during_a_rollout",
        two="test_facts_and_ledgers::test_two_who_set_a_lane_at_once_follow_each_other",
    ),
    "pkg_rollout_start": Cover(
        rule="test_rollout::test_a_rollout_rises_step_by_step_to_the_end",
        edge="test_rollout::test_steps_marked_as_skipped_are_passed_over",
        refusal="test_rollout::test_what_may_not_be_rolled_out_changes_nothing",
        two="test_rollout::test_of_two_starts_at_once_one_wins",
    ),
    "pkg_rollout_advance": Cover(
        rule="test_rollout::test_a_rollout_rises_step_by_step_to_the_end",
        edge="test_rollout::test_a_step_lasts_as_long_as_it_should",
        refusal="test_rollout::test_gates_hold_a_rollout_back",
        two="test_rollout::test_an_expected_percent_keeps_two_from_going_two_steps",
    ),
    "pkg_rollout_abort": Cover(
        rule="test_rollout::test_abort_restores_the_lane",
        edge="test_rollout::test_abort_turns_a_lane_off_that_served_nothing",
        refusal="test_rollout::test_a_rollout_rises_step_by_step_to_the_end",
        two="test_facts_and_ledgers::test_a_rollout_that_is_being_aborted_goes_nowhere_else",
    ),
    "pkg_deployment_event": Cover(
        rule="test_lanes::test_every_change_of_a_lane_is_an_event",
        edge="test_facts_and_ledgers::test_a_change_of_a_lane_that_changes_nothing_is_no_event",
        refusal=ANY_ROW,
        two="test_facts_and_ledgers::test_two_who_set_a_lane_at_once_follow_each_other",
    ),
    "forbid_change": Cover(
        rule="test_ledger::test_an_entry_is_never_changed",
        edge="test_ledger::test_an_entry_is_never_changed[UPDATE energy_tx SET delta_e = 0 WHERE false]",
        refusal="test_promotion::test_the_audit_refuses_change",
        two=Nothing("refuses before a row is touched"),
    ),
    # 016, 017: facts, and what belongs to a snapshot
    "get_facts_by_subject": Cover(
        rule="test_facts::test_facts_of_a_subject_come_newest_first_and_expired_ones_when_asked",
        edge="test_facts::test_facts_of_a_subject_come_newest_first_and_expired_ones_when_asked",
        refusal=TOTAL,
        two=READS,
    ),
    "get_facts_at_time": Cover(
        rule="test_facts::test_validity_is_half_open",
        edge="test_facts::test_a_moment_of_validity_may_be_empty",
        refusal=TOTAL,
        two=READS,
    ),
    "cleanup_expired_facts": Cover(
        rule="test_facts::test_cleaning_up_counts_first_and_deletes_then",
        edge="test_facts::test_cleaning_up_counts_first_and_deletes_then",
        refusal=TOTAL,
        two="test_facts_and_ledgers::test_two_clean_ups_at_once_delete_each_fact_once",
    ),
    "get_fact_statistics": Cover(
        rule="test_facts::test_statistics_count_each_kind",
        edge="test_facts::test_statistics_count_each_kind",
        refusal=TOTAL,
        two=READS,
    ),
    "fact_text_to_triple": Cover(
        rule="test_facts::test_a_triple_is_read_out_of_one_plain_sentence",
        edge="test_facts::test_a_triple_is_read_out_of_one_plain_sentence",
        refusal="test_facts::test_a_triple_is_read_out_of_one_plain_sentence[It rains-found5]",
        two=READS,
    ),
    "facts_preview_triples": Cover(
        rule="test_facts::test_a_preview_writes_nothing_and_applying_keeps_text_tags_and_actor",
        edge="test_facts_and_ledgers::test_a_preview_shows_the_oldest_texts_of_its_namespace",
        refusal=TOTAL,
        two=READS,
    ),
    "facts_apply_triples": Cover(
        rule="test_facts::test_a_preview_writes_nothing_and_applying_keeps_text_tags_and_actor",
        edge="test_facts::test_a_preview_writes_nothing_and_applying_keeps_text_tags_and_actor",
        refusal="test_facts::test_applying_needs_an_actor",
        two="test_facts_and_ledgers::test_a_text_that_two_make_a_triple_of_at_once_is_made_one_once",
    ),
    "pkg_default_snapshot_id": Cover(
        rule="test_scoping::test_new_rows_get_the_active_snapshot_of_the_environment",
        edge="test_scoping::test_a_fresh_database_takes_rows_without_a_snapshot",
        refusal=TOTAL,
        two=READS,
    ),
    "fill_snapshot_id": Cover(
        rule="test_scoping::test_new_rows_get_the_active_snapshot_of_the_environment",
        edge="test_facts_and_ledgers::test_a_row_with_a_snapshot_keeps_it_and_one_without_gets_the_active_one",
        refusal=ANY_ROW,
        two=Nothing("changes the row that its statement inserts"),
    ),
    "pkg_enforce_snapshot_scoping": Cover(
        rule="test_scoping::test_enforcing_fills_old_tasks_refuses_new_ones_without_and_can_be_lifted",
        edge="test_scoping::test_enforcing_fills_old_tasks_refuses_new_ones_without_and_can_be_lifted",
        refusal="test_scoping::test_scoping_is_not_enforced_without_an_active_snapshot",
        two="test_scoping::test_enforcing_waits_for_a_writer_and_fills_its_row",
    ),
    # 117: texts, vectors, memory
    "task_content_text": Cover(
        rule="test_embedding_status::test_the_text_of_a_task",
        edge="test_embedding_status::test_the_text_of_a_task",
        refusal=TOTAL,
        two=READS,
    ),
    "task_content_sha256": Cover(
        rule="test_embedding_status::test_the_text_of_a_task",
        edge="test_embedding_status::test_a_vector_is_stale_when_the_text_changed_and_only_then",
        refusal=TOTAL,
        two=READS,
    ),
    "task_multimodal_text": Cover(
        rule="test_memory::test_the_words_of_an_envelope",
        edge="test_memory::test_the_words_of_an_envelope",
        refusal=TOTAL,
        two=READS,
    ),
    "embedding_content": Cover(
        rule="test_memory::test_the_words_of_an_envelope",
        edge="test_memory::test_the_words_of_an_envelope",
        refusal=TOTAL,
        two=READS,
    ),
    "embedding_content_sha256": Cover(
        rule="test_memory::test_the_hash_of_a_space_is_that_of_its_text",
        edge="test_memory::test_nothing_to_embed_has_a_hash_as_well",
        refusal=TOTAL,
        two=READS,
    ),
    "embedding_enqueue": Cover(
        rule="test_embedding_status::test_enqueuing_is_idempotent_until_the_text_changes",
        edge="test_memory::test_a_finished_vector_remembers_who_made_it_of_what",
        refusal="test_memory::test_there_are_three_spaces",
        two="test_memory::test_a_vector_that_two_ask_for_at_once_is_due_once",
    ),
    "embedding_enqueue_missing": Cover(
        rule="test_embedding_status::test_missing_rows_are_enqueued_up_to_the_limit",
        edge="test_embedding_status::test_multimodal_text_is_what_was_seen_or_said",
        refusal="test_memory::test_there_are_three_spaces",
        two="test_memory::test_missing_vectors_that_two_enqueue_at_once_are_due_once",
    ),
    "embedding_claim": Cover(
        rule="test_embedding_status::test_a_lapsed_lease_goes_to_the_next_owner",
        edge="test_embedding_status::test_a_vector_that_fails_five_times_is_given_up",
        refusal="test_embedding_status::test_what_makes_no_sense_is_refused[SELECT embedding_claim('1024', left(%s::text, 0), 1)-said3]",
        two="test_embedding_status::test_two_owners_never_get_the_same_vector_and_none_waits",
    ),
    "embedding_finish": Cover(
        rule="test_memory::test_a_finished_vector_remembers_who_made_it_of_what",
        edge="test_embedding_status::test_a_vector_that_fails_five_times_is_given_up[False]",
        refusal="test_embedding_status::test_only_the_owner_finishes_and_only_once",
        two="test_memory::test_an_owner_whose_vector_is_being_taken_waits_and_is_told",
    ),
    "unified_cortex_semantic_search": Cover(
        rule="test_search::test_hits_come_best_first_down_to_the_threshold",
        edge="test_search::test_similarity_is_a_number_for_vectors_and_queries_of_any_length",
        refusal="test_search::test_what_makes_no_sense_is_refused",
        two=READS,
    ),
    # 118: the outbox
    "outbox_enqueue": Cover(
        rule="test_outbox::test_an_event_with_a_known_key_is_the_event_that_is_there",
        edge="test_outbox::test_an_event_is_gone_with_the_change_it_speaks_of",
        refusal="test_outbox::test_an_event_needs_task_type_and_payload",
        two="test_outbox::test_of_two_with_one_key_at_once_the_second_gets_the_id_of_the_first",
    ),
    "outbox_claim": Cover(
        rule="test_outbox::test_events_are_claimed_in_the_order_in_which_they_are_due",
        edge="test_outbox::test_the_limit_holds",
        refusal="test_outbox::test_a_claim_needs_a_consumer_and_a_lease",
        two="test_outbox::test_two_consumers_at_once_share_nothing_and_do_not_wait",
    ),
    "outbox_delivered": Cover(
        rule="test_outbox::test_delivered_is_the_end",
        edge="test_registry_and_outbox::test_an_answer_for_nothing_is_none",
        refusal="test_outbox::test_a_late_answer_changes_nothing",
        two=(
            "test_registry_and_outbox::test_a_consumer_whose_event_is_being_claimed_waits_and_is_told"
            "[outbox_delivered]"
        ),
    ),
    "outbox_failed": Cover(
        rule="test_outbox::test_a_failure_waits_twice_as_long_each_time",
        edge="test_outbox::test_the_last_attempt_makes_a_dead_letter",
        refusal="test_outbox::test_a_late_answer_changes_nothing",
        two=(
            "test_registry_and_outbox::test_a_consumer_whose_event_is_being_claimed_waits_and_is_told"
            "[outbox_failed]"
        ),
    ),
    "outbox_requeue": Cover(
        rule="test_outbox::test_dead_letters_are_revived_with_more_attempts",
        edge="test_registry_and_outbox::test_reviving_what_is_not_there_wakes_nobody",
        refusal="test_outbox::test_dead_letters_are_revived_with_more_attempts",
        two="test_registry_and_outbox::test_dead_letters_that_two_revive_at_once_get_their_attempts_once",
    ),
    "outbox_purge": Cover(
        rule="test_outbox::test_only_what_was_delivered_long_ago_is_purged",
        edge="test_outbox::test_a_purge_takes_so_many_at_a_time",
        refusal="test_outbox::test_only_what_was_delivered_long_ago_is_purged",
        two="test_registry_and_outbox::test_two_purges_at_once_share_what_there_is",
    ),
    "task_outbox_notify": Cover(
        rule="test_outbox::test_a_relay_that_waits_is_woken_once_and_nobody_else_costs_anything",
        edge="test_outbox::test_a_relay_that_waits_is_woken_once_and_nobody_else_costs_anything",
        refusal=ANY_ROW,
        two=Nothing("locks nothing"),
    ),
    # 120: the queue; what its functions share
    "task_lane": Cover(
        rule="test_queue_functions::test_only_the_type_graph_has_a_lane_of_its_own",
        edge="test_queue_functions::test_only_the_type_graph_has_a_lane_of_its_own",
        refusal=TOTAL,
        two=READS,
    ),
    "task_actor": Cover(
        rule="test_queue_functions::test_audit_rows_name_the_actor_of_the_transaction_else_the_user",
        edge="test_queue_functions::test_audit_rows_name_the_actor_of_the_transaction_else_the_user",
        refusal=Nothing("has no arguments"),
        two=READS,
    ),
    "task_reason": Cover(
        rule="test_queue_functions::test_audit_rows_name_the_actor_of_the_transaction_else_the_user",
        edge="test_queue_functions::test_audit_rows_name_the_actor_of_the_transaction_else_the_user",
        refusal=Nothing("has no arguments"),
        two=READS,
    ),
    "queue_notify": Cover(
        rule="test_notify::test_whatever_queues_a_task_wakes_its_lane",
        edge="test_queue_functions::test_a_waiter_of_another_lane_is_not_woken",
        refusal=Nothing("a lane without a waiter is not woken, whatever its name"),
        two=Nothing("locks nothing"),
    ),
    "task_hint_priority": Cover(
        rule="test_submit::test_a_priority_hint_is_moved_into_its_range",
        edge="test_queue_functions::test_a_hint_is_read_or_is_null[priority]",
        refusal="test_queue_functions::test_params_of_another_shape_hold_no_hints",
        two=READS,
    ),
    "task_hint_deadline": Cover(
        rule="test_submit::test_hints_fill_columns",
        edge="test_queue_functions::test_a_hint_is_read_or_is_null[deadline]",
        refusal="test_queue_functions::test_params_of_another_shape_hold_no_hints",
        two=READS,
    ),
    "task_hint_ttl": Cover(
        rule="test_submit::test_hints_fill_columns",
        edge="test_queue_functions::test_a_hint_is_read_or_is_null[ttl]",
        refusal="test_queue_functions::test_params_of_another_shape_hold_no_hints",
        two=READS,
    ),
    "task_read_time": Cover(
        rule="test_queue_functions::test_a_time_is_read_with_its_offset_or_not_at_all",
        edge="test_queue_functions::test_a_time_is_read_with_its_offset_or_not_at_all",
        refusal="test_queue_functions::test_a_time_is_read_with_its_offset_or_not_at_all",
        two=READS,
    ),
    "task_find_key": Cover(
        rule="test_queue_functions::test_a_key_is_found_live_first_then_the_newest_that_failed",
        edge="test_queue_functions::test_a_key_is_found_live_first_then_the_newest_that_failed",
        refusal=TOTAL,
        two=READS,
    ),
    "task_events_ensure": Cover(
        rule="test_retention::test_the_coming_days_have_their_partitions",
        edge="test_retention::test_rows_that_came_before_their_partition_move_into_it",
        refusal=TOTAL,
        two="test_queue_two_sessions::test_two_who_make_partitions_at_once_make_each_once",
    ),
    "tasks_after_insert": Cover(
        rule="test_foreign_writers::test_foreign_rows_are_recorded_when_everything_is",
        edge="test_notify::test_one_statement_tells_a_lane_once",
        refusal=ANY_ROW,
        two=Nothing("only adds events"),
    ),
    "tasks_after_update": Cover(
        rule="test_foreign_writers::test_dependants_follow_a_foreign_end",
        edge="test_foreign_writers::test_a_large_foreign_update_is_not_quadratic",
        refusal=ANY_ROW,
        two="test_queue_two_sessions::test_two_foreign_ends_at_once_release_what_waits_for_both",
    ),
    "tasks_guard_transition": Cover(
        rule="test_foreign_writers::test_leaving_running_clears_the_lease",
        edge="test_foreign_writers::test_a_failed_task_may_be_queued_again",
        refusal="test_foreign_writers::test_an_end_stays_an_end",
        two="test_queue_two_sessions::test_a_foreign_change_of_a_task_that_is_ending_is_refused",
    ),
    # 120: submitting, and waiting for others
    "task_submit": Cover(
        rule="test_submit::test_a_plain_task_is_queued_with_defaults",
        edge="test_submit::test_a_dependency_that_has_failed_cancels_the_task_at_once",
        refusal="test_submit::test_a_missing_dependency_is_named",
        two="test_submit::test_two_sessions_with_one_key_make_one_task",
    ),
    "tasks_link": Cover(
        rule="test_queue_functions::test_links_are_stored_once_each_and_nothing_else_happens",
        edge="test_queue_functions::test_links_are_stored_once_each_and_nothing_else_happens",
        refusal="test_queue_functions::test_a_link_of_nothing_or_to_itself_is_refused",
        two="test_queue_two_sessions::test_one_link_from_two_sessions_is_one_row",
    ),
    "task_add_dependency": Cover(
        rule="test_dependencies::test_a_dependency_can_be_added_while_the_task_waits",
        edge="test_dependencies::test_a_failed_dependency_that_is_added_cancels_the_waiting_task",
        refusal="test_dependencies::test_a_cycle_is_refused",
        two="test_queue_two_sessions::test_a_dependency_that_is_ending_is_seen_ended",
    ),
    "tasks_hold_dependencies": Cover(
        rule="test_dependencies::test_lifting_a_hold_misses_no_end_of_a_dependency",
        edge="test_queue_functions::test_dependencies_inside_the_list_are_not_held",
        refusal=TOTAL,
        two="test_queue_two_sessions::test_a_held_dependency_does_not_end_before_its_holder",
    ),
    "tasks_settle_waiting": Cover(
        rule="test_queue_functions::test_what_waits_is_settled_as_its_dependencies_say",
        edge="test_queue_functions::test_a_held_task_is_not_queued_by_its_dependencies",
        refusal="test_queue_functions::test_a_held_task_is_not_queued_by_its_dependencies",
        two="test_dependencies::test_two_parents_that_finish_at_once_release_the_child",
    ),
    "tasks_release_dependants": Cover(
        rule="test_dependencies::test_a_failure_cancels_all_that_waits_down_the_line",
        edge="test_dependencies::test_only_the_dependants_of_the_batch_are_touched",
        refusal="test_queue_functions::test_an_end_that_nobody_waits_for_releases_nothing",
        two="test_queue_two_sessions::test_what_waits_is_settled_once_when_two_repair_it_at_once",
    ),
    "tasks_release_ready": Cover(
        rule="test_dependencies::test_the_repair_sweep_finds_what_was_missed",
        edge="test_queue_functions::test_a_sweep_takes_no_more_than_its_limit[tasks_release_ready-auto_release = true]",
        refusal=TOTAL,
        two="test_queue_two_sessions::test_a_sweep_passes_by_what_another_session_holds[tasks_release_ready]",
    ),
    # 120: claiming, keeping, ending
    "tasks_claim": Cover(
        rule="test_claim::test_the_urgent_come_first_then_the_longest_due",
        edge="test_claim::test_a_claim_takes_no_more_than_asked_from_many_priorities",
        refusal="test_claim::test_a_lane_that_is_not_there_is_named",
        two="test_claim::test_rivals_share_without_waiting",
    ),
    "tasks_renew": Cover(
        rule="test_lease::test_a_renewal_prolongs_the_lease",
        edge="test_lease::test_an_unknown_id_is_not_renewed",
        refusal="test_lease::test_the_same_owner_with_an_older_attempt_has_lost_it",
        two="test_queue_two_sessions::test_a_worker_whose_lease_is_being_taken_waits_and_is_told[tasks_renew]",
    ),
    "tasks_complete": Cover(
        rule="test_finish::test_a_completion_stores_the_result_and_clears_the_lease",
        edge="test_finish::test_a_batch_is_accepted_in_part",
        refusal="test_finish::test_only_the_holder_of_the_lease_completes",
        two=(
            "test_queue_two_sessions::test_a_worker_whose_lease_is_being_taken_waits_and_is_told[tasks_complete]"
        ),
    ),
    "tasks_retry_or_fail": Cover(
        rule="test_finish::test_errors_are_retried_later_and_later_then_fail",
        edge="test_finish::test_each_of_a_batch_is_decided_by_itself",
        refusal="test_finish::test_a_late_result_never_overwrites_the_new_owner",
        two=(
            "test_queue_two_sessions::test_a_worker_whose_lease_is_being_taken_waits_and_is_told"
            "[tasks_retry_or_fail]"
        ),
    ),
    "tasks_give_back": Cover(
        rule="test_finish::test_what_is_given_back_spends_no_attempt",
        edge="test_finish::test_the_limit_of_attempts_never_overflows",
        refusal="test_finish::test_a_late_result_never_overwrites_the_new_owner",
        two=(
            "test_queue_two_sessions::test_a_worker_whose_lease_is_being_taken_waits_and_is_told[tasks_give_back]"
        ),
    ),
    # 120: watching over leases and time
    "tasks_lapse": Cover(
        rule="test_queue_functions::test_a_lapse_is_due_at_once_and_costs_no_attempt",
        edge="test_queue_functions::test_too_many_lapses_end_a_task",
        refusal="test_queue_functions::test_only_what_runs_can_lapse",
        two="test_queue_two_sessions::test_a_lapse_waits_for_the_owner_and_leaves_what_it_ended",
    ),
    "tasks_reap_expired": Cover(
        rule="test_watchdog::test_a_lease_that_is_past_is_taken_back",
        edge="test_watchdog::test_one_reap_takes_no_more_than_its_limit",
        refusal="test_watchdog::test_a_renewed_lease_is_not_taken",
        two="test_watchdog::test_two_reapers_take_each_row_once",
    ),
    "cleanup_stale_running_tasks": Cover(
        rule="test_finish::test_the_clean_up_that_old_programs_call_decides_alike",
        edge="test_queue_functions::test_stale_is_without_a_lease_and_without_a_sign_of_life",
        refusal="test_queue_functions::test_stale_is_without_a_lease_and_without_a_sign_of_life",
        two=(
            "test_queue_two_sessions::test_a_sweep_passes_by_what_another_session_holds"
            "[cleanup_stale_running_tasks]"
        ),
    ),
    "tasks_expire_due": Cover(
        rule="test_watchdog::test_what_may_not_start_any_more_is_cancelled",
        edge="test_queue_functions::test_a_sweep_takes_no_more_than_its_limit"
        "[tasks_expire_due-expires_at = now() - interval '1 s', status = 'queued']",
        refusal="test_watchdog::test_what_has_started_runs_past_its_expiry",
        two="test_queue_two_sessions::test_a_sweep_passes_by_what_another_session_holds[tasks_expire_due]",
    ),
    "tasks_purge": Cover(
        rule="test_retention::test_prune_deletes_what_ended_long_ago",
        edge="test_retention::test_prune_keeps_what_an_unfinished_task_waits_for",
        refusal="test_retention::test_prune_takes_only_the_named_ends",
        two="test_queue_two_sessions::test_a_sweep_passes_by_what_another_session_holds[tasks_purge]",
    ),
    "task_events_purge": Cover(
        rule="test_retention::test_old_days_are_dropped_and_the_edge_is_deleted",
        edge="test_queue_functions::test_events_are_purged_so_many_at_a_time",
        refusal=TOTAL,
        two="test_queue_two_sessions::test_two_who_purge_events_at_once_purge_each_day_once",
    ),
    "task_schedule_fire": Cover(
        rule="test_retention::test_a_schedule_fires_once_for_each_time",
        edge="test_retention::test_a_schedule_may_skip_while_the_last_one_runs",
        refusal="test_retention::test_a_schedule_that_is_not_there_is_named",
        two="test_queue_two_sessions::test_two_who_fire_one_time_at_once_fire_one_task",
    ),
    # 129: schedules, batches, redrive
    "task_schedules_fire": Cover(
        rule="test_schedules::test_ten_workers_fire_each_time_once",
        edge="test_schedules::test_the_history_keeps_the_last_thousand",
        refusal="test_schedules::test_a_paused_one_fires_nothing_and_resumes_from_now",
        two="test_schedules::test_a_rival_that_read_the_same_fires_nothing",
    ),
    "task_schedule_fire_one": Cover(
        rule="test_schedules::test_overlap_skip_waits_for_the_task_before",
        edge="test_schedules_and_batches::test_what_became_of_a_time_is_told_again",
        refusal="test_schedules_and_batches::test_a_refused_time_is_counted_until_one_is_submitted",
        two="test_queue_two_sessions::test_two_who_fire_one_time_at_once_fire_one_task",
    ),
    "task_schedule_submit": Cover(
        rule="test_schedules_and_batches::test_the_task_is_the_schedules_and_the_same_for_the_same_key",
        edge="test_schedules::test_a_time_is_fired_once_although_next_was_turned_back",
        refusal="test_schedules_and_batches::test_a_schedule_whose_task_is_refused_submits_none",
        two="test_schedules_and_batches::test_two_who_submit_one_time_at_once_get_one_task",
    ),
    "task_schedule_key": Cover(
        rule="test_schedules::test_a_time_is_fired_once_although_next_was_turned_back",
        edge="test_schedules_and_batches::test_a_time_has_one_key_wherever_the_session_is",
        refusal=TOTAL,
        two=READS,
    ),
    "task_schedule_run": Cover(
        rule="test_schedules::test_names_are_given_once_and_runs_by_hand_are_recorded",
        edge="test_schedules::test_overlap_skip_waits_for_the_task_before",
        refusal="test_schedules_and_batches::test_a_name_of_no_schedule_can_not_be_run",
        two="test_schedules::test_two_who_run_one_at_once_do_not_overlap",
    ),
    "tasks_remember_waiting": Cover(
        rule="test_batches::test_it_runs_after_the_last_member",
        edge="test_schedules_and_batches::test_one_of_more_than_sixty_four_is_remembered",
        refusal="test_batches::test_one_that_fails_cancels_it_or_is_counted",
        two="test_batches::test_who_ends_what_is_being_remembered_waits_and_then_looks",
    ),
    "task_await": Cover(
        rule="test_batches::test_it_runs_after_the_last_member",
        edge="test_batches::test_members_that_have_ended_before_are_not_waited_for",
        refusal="test_batches::test_what_is_not_held_is_left_as_it_is",
        two="test_batches::test_a_member_that_ends_while_the_wait_begins_is_seen",
    ),
    "task_error_group": Cover(
        rule="test_redrive::test_errors_of_one_kind_are_equal",
        edge="test_schedules_and_batches::test_a_group_of_errors_is_no_longer_than_a_line",
        refusal=TOTAL,
        two=READS,
    ),
    "tasks_redrive": Cover(
        rule="test_schedules_and_batches::test_a_place_in_the_list_is_a_place_in_time",
        edge="test_schedules_and_batches::test_a_start_in_the_past_is_now",
        refusal="test_schedules_and_batches::test_who_does_not_move_takes_no_place_and_nobody_takes_two",
        two="test_redrive::test_two_redrives_at_once_move_each_task_once",
    ),
    # 128: progress and retention
    "task_progress_write": Cover(
        rule="test_reporting::test_a_checkpoint_is_there_when_it_says_so_and_takes_the_progress_along",
        edge="test_reporting::test_progress_may_still_arrive_when_the_attempt_has_completed",
        refusal="test_reporting::test_who_has_lost_the_lease_cannot_overwrite_its_successor",
        two="test_reporting::test_a_zombies_write_waits_for_the_one_that_takes_its_lease",
    ),
    "task_retention_of": Cover(
        rule="test_schedules_and_batches::test_a_time_to_keep_is_seconds_or_an_interval",
        edge="test_retain::test_nothing_goes_unless_somebody_asked",
        refusal="test_schedules_and_batches::test_nothing_is_kept_for_less_than_no_time",
        two=READS,
    ),
    "tasks_retain": Cover(
        rule="test_retain::test_each_end_has_its_own_time",
        edge="test_retain::test_a_sweep_goes_on_where_the_last_slice_ended_and_looks_at_no_row_twice",
        refusal="test_retain::test_what_an_unfinished_task_waits_for_stays",
        two="test_retain::test_one_at_a_time",
    ),
    "task_events_retain": Cover(
        rule="test_retain::test_days_of_events_go_one_at_a_time_and_only_whole",
        edge="test_retain::test_days_of_events_go_one_at_a_time_and_only_whole",
        refusal="test_retain::test_a_day_in_use_is_dropped_later_and_holds_nobody_up",
        two="test_retain::test_a_day_in_use_is_dropped_later_and_holds_nobody_up",
    ),
    # 120: operators
    "tasks_cancel": Cover(
        rule="test_operate::test_cancel_ends_every_unfinished_task",
        edge="test_operate::test_ids_of_no_task_are_told",
        refusal="test_operate::test_a_worker_cancels_only_what_it_holds",
        two="test_queue_two_sessions::test_a_cancel_waits_for_a_completion_and_finds_it_done",
    ),
    "tasks_release": Cover(
        rule="test_dependencies::test_a_hold_is_lifted_into_the_queue_or_into_waiting",
        edge="test_dependencies::test_an_optional_dependency_only_has_to_end",
        refusal="test_dependencies::test_a_hold_is_lifted_into_the_queue_or_into_waiting",
        two="test_dependencies::test_lifting_a_hold_misses_no_end_of_a_dependency",
    ),
    "tasks_requeue": Cover(
        rule="test_operate::test_retry_gives_more_attempts_and_keeps_the_token_rising",
        edge="test_operate::test_what_waits_for_one_that_stays_failed_stays_too",
        refusal="test_queue_functions::test_a_requeue_without_more_attempts_is_refused",
        two=(
            "test_queue_two_sessions::test_a_key_that_is_taken_meanwhile_leaves_the_failed_task_and_moves_the_others"
        ),
    ),
    "tasks_requeue_stale": Cover(
        rule="test_operate::test_requeue_stale_takes_the_leases_that_are_past",
        edge="test_operate::test_requeue_stale_by_silence_type_and_number",
        refusal="test_operate::test_a_named_lease_is_taken_whatever_its_owner_does",
        two="test_queue_two_sessions::test_a_sweep_passes_by_what_another_session_holds[tasks_requeue_stale]",
    ),
    "queue_pause": Cover(
        rule="test_claim::test_a_paused_lane_gives_nothing_and_then_goes_on",
        edge="test_queue_functions::test_pausing_again_tells_the_newer_reason_and_resuming_forgets_it",
        refusal="test_claim::test_only_known_lanes_can_be_paused[queue_pause('slow', 'ann')]",
        two=(
            "test_queue_two_sessions::test_of_two_operators_at_once_the_later_one_stands"
            "[queue_pause('queue', %s, 'x')]"
        ),
    ),
    "queue_resume": Cover(
        rule="test_claim::test_a_paused_lane_gives_nothing_and_then_goes_on",
        edge="test_queue_functions::test_pausing_again_tells_the_newer_reason_and_resuming_forgets_it",
        refusal="test_claim::test_only_known_lanes_can_be_paused[queue_resume('slow', 'ann')]",
        two=(
            "test_queue_two_sessions::test_of_two_operators_at_once_the_later_one_stands"
            "[queue_resume('queue', %s)]"
        ),
    ),
    # 126: controls, keys, ageing
    "queue_require_fresh_reads": Cover(
        rule="test_queue_controls::test_where_each_statement_sees_what_is_committed_limits_are_counted",
        edge="test_keys::test_a_key_is_counted_with_fresh_reads_only",
        refusal="test_queue_controls::test_where_a_transaction_sees_what_was_limits_are_not_counted",
        two=READS,
    ),
    "queue_tokens": Cover(
        rule="test_queue_controls::test_a_bucket_fills_with_time_up_to_its_burst",
        edge="test_queue_controls::test_without_a_rate_there_is_no_bucket",
        refusal=TOTAL,
        two=READS,
    ),
    "queue_grant": Cover(
        rule="test_queue_controls::test_whole_tokens_and_free_places_are_granted",
        edge="test_queue_controls::test_more_may_run_than_a_lowered_limit_says",
        refusal="test_queue_controls::test_what_nothing_holds_back_is_granted_in_full",
        two="test_queue_controls::test_a_domain_that_another_asks_for_is_left_to_it",
    ),
    "queue_spend": Cover(
        rule="test_queue_controls::test_tokens_are_taken_from_one_bucket_and_never_below_nothing",
        edge="test_controls::test_an_empty_claim_spends_nothing",
        refusal=TOTAL,
        two="test_queue_controls::test_who_asks_while_another_spends_waits_and_gets_what_is_left",
    ),
    "queue_next_token_s": Cover(
        rule="test_controls::test_the_next_token_is_announced",
        edge="test_queue_controls::test_the_soonest_token_counts_but_not_that_of_what_is_paused",
        refusal=TOTAL,
        two=READS,
    ),
    "queue_turn_taken": Cover(
        rule="test_queue_controls::test_each_lane_remembers_its_last_domain_and_its_last_key",
        edge="test_keys::test_no_key_starves_while_others_are_busy",
        refusal="test_queue_controls::test_a_turn_is_that_of_a_domain_or_of_a_key",
        two="test_queue_controls::test_nobody_waits_to_write_down_a_turn",
    ),
    "tasks_pick_by_key": Cover(
        rule="test_keys::test_a_key_lets_as_many_run_as_it_says",
        edge="test_keys::test_of_different_limits_the_smallest_that_runs_counts",
        refusal="test_keys::test_a_key_is_counted_with_fresh_reads_only",
        two="test_keys::test_who_decides_on_a_key_is_alone",
    ),
    "tasks_pick_keyed": Cover(
        rule="test_keys::test_tasks_of_a_key_run_one_after_the_other",
        edge="test_keys::test_keys_and_tasks_without_one_are_claimed_in_one_order",
        refusal="test_keys::test_the_first_of_a_key_is_not_passed_by",
        two="test_keys::test_who_decides_on_a_key_is_alone",
    ),
    "tasks_pick_in_turns": Cover(
        rule="test_controls::test_domains_take_turns_claim_by_claim",
        edge="test_controls::test_walks_of_several_priorities_leave_no_domain_out",
        refusal="test_controls::test_a_domain_that_has_none_of_the_worker_s_types_takes_no_turn",
        two="test_controls::test_a_domain_that_another_claims_from_is_passed_by",
    ),
    "tasks_pick_in_order": Cover(
        rule="test_queue_controls::test_the_urgent_are_picked_first_and_then_the_longest_due",
        edge="test_controls::test_lanes_are_limited_apart",
        refusal="test_queue_controls::test_what_is_not_due_or_not_asked_for_is_not_picked",
        two="test_queue_controls::test_what_another_session_has_picked_is_passed_by",
    ),
    "tasks_pick_restricted": Cover(
        rule="test_controls::test_a_rate_is_never_exceeded",
        edge="test_keys::test_with_keys_and_without_share_a_limited_lane",
        refusal="test_controls::test_limits_need_fresh_reads",
        two="test_controls::test_claims_of_a_limited_lane_follow_each_other",
    ),
    "queue_hold_lane": Cover(
        rule="test_queue_controls::test_lanes_are_held_apart",
        edge="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        refusal="test_queue_controls::test_a_lane_that_is_not_there_can_not_be_held",
        two="test_queue_controls::test_lanes_are_held_apart",
    ),
    "queue_control_tidy": Cover(
        rule="test_queue_controls::test_only_controls_that_say_nothing_are_deleted",
        edge="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        refusal="test_queue_controls::test_only_controls_that_say_nothing_are_deleted",
        two="test_controls::test_two_changes_at_once_leave_the_lane_restricted",
    ),
    "queue_lane_restrict": Cover(
        rule="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        edge="test_queue_controls::test_a_lane_stays_restricted_when_turns_end_while_a_limit_begins",
        refusal=ANY_ROW,
        two="test_controls::test_two_changes_at_once_leave_the_lane_restricted",
    ),
    "queue_limit": Cover(
        rule="test_controls::test_a_rate_is_never_exceeded",
        edge="test_queue_controls::test_a_limit_leaves_what_it_does_not_name",
        refusal="test_controls::test_what_makes_no_limit_is_refused",
        two="test_queue_controls::test_two_limits_of_one_domain_at_once_both_stand",
    ),
    "queue_unlimit": Cover(
        rule="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        edge="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        refusal="test_controls::test_what_makes_no_limit_is_refused",
        two="test_queue_controls::test_of_two_who_lift_one_limit_at_once_the_second_is_told",
    ),
    "queue_fair": Cover(
        rule="test_controls::test_domains_take_turns_claim_by_claim",
        edge="test_controls::test_a_lane_is_restricted_while_anything_holds_it_back",
        refusal="test_controls::test_what_makes_no_limit_is_refused",
        two="test_queue_controls::test_a_lane_stays_restricted_when_turns_end_while_a_limit_begins",
    ),
    "tasks_age": Cover(
        rule="test_ageing::test_a_task_rises_one_level_per_age",
        edge="test_queue_controls::test_ageing_takes_no_more_than_its_limit_of_all_lanes",
        refusal="test_ageing::test_an_age_must_be_a_time",
        two="test_ageing::test_a_row_that_others_lock_is_left_alone",
    ),
    "task_held_back_by": Cover(
        rule="test_keys::test_a_waiting_task_says_what_holds_it_back",
        edge="test_queue_controls::test_what_holds_others_back_is_no_reason",
        refusal=TOTAL,
        two=READS,
    ),
    "task_holds_key": Cover(
        rule="test_queue_controls::test_a_key_is_held_in_these_states_and_no_others",
        edge="test_unique::test_the_end_of_an_attempt_never_meets_a_taken_key",
        refusal=TOTAL,
        two=READS,
    ),
    # 122, 123: energy and drift
    "energy_append": Cover(
        rule="test_ledger::test_an_entry_takes_its_change_and_its_cost_off",
        edge="test_ledger::test_a_known_id_changes_nothing",
        refusal="test_ledger::test_what_can_not_be_booked_is_refused",
        two="test_ledger::test_the_same_entry_from_two_at_once_is_booked_once",
    ),
    "energy_rebuild": Cover(
        rule="test_ledger::test_a_wrong_balance_is_seen_and_rebuilt",
        edge="test_ledger::test_a_balance_is_what_its_entries_add_up_to_bit_by_bit",
        refusal=TOTAL,
        two="test_ledger::test_bookings_wait_for_a_rebuild",
    ),
    "energy_reset": Cover(
        rule="test_ledger::test_a_reset_books_what_takes_the_balance_to_zero_once",
        edge="test_ledger::test_a_reset_books_what_takes_the_balance_to_zero_once",
        refusal="test_ledger::test_a_reset_books_what_takes_the_balance_to_zero_once",
        two="test_facts_and_ledgers::test_two_resets_of_a_balance_at_once_take_it_off_once",
    ),
    "ocps_update": Cover(
        rule="test_drift::test_the_sum_is_that_of_the_rule",
        edge="test_drift::test_the_threshold_itself_does_not_escalate",
        refusal="test_drift::test_a_drift_that_is_no_number_is_refused",
        two="test_drift::test_two_at_once_add_to_one_sum",
    ),
    "ocps_reset": Cover(
        rule="test_drift::test_a_reset_takes_the_sum_and_leaves_the_counts",
        edge="test_drift::test_a_reset_takes_the_sum_and_leaves_the_counts",
        refusal="test_drift::test_a_reset_takes_the_sum_and_leaves_the_counts",
        two="test_facts_and_ledgers::test_a_sum_that_is_being_reset_grows_from_zero",
    ),
}


def stood_for(nodeid: str) -> set[str]:
    """The functions that a test, as pytest names it, is listed for."""
    path, _, test = nodeid.partition("::")
    case = f"{path.rpartition('/')[2].removesuffix('.py')}::{test}"
    names = {case, case.partition("[")[0]}
    return {function for function, cover in COVERED.items() if cover.tests() & names}
