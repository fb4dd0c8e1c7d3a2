"""Policies, facts, and what belongs to a snapshot."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, READS, TOTAL, Cover, Nothing

COVERED: dict[str, Cover] = {
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
    "pkg_rollout_event": Cover(
        rule="test_automation::test_a_rollout_is_held_and_goes_on",
        edge="test_automation::test_an_event_belongs_to_a_plan_that_has_begun",
        refusal="test_automation::test_an_event_belongs_to_a_plan_that_has_begun",
        two=Nothing("inserts one row; who calls it holds the plan"),
    ),
    "pkg_rollout_measure": Cover(
        rule="test_automation::test_gates_are_measured_beside_what_the_others_are_served",
        edge="test_automation::test_the_first_snapshot_of_all_is_measured_beside_nothing",
        refusal="test_automation::test_gates_are_measured_beside_what_the_others_are_served",
        two=READS,
    ),
    "pkg_rollout_record": Cover(
        rule="test_automation::test_results_are_kept_when_they_change",
        edge="test_automation::test_results_are_kept_when_they_change",
        refusal="test_automation::test_results_are_kept_when_they_change",
        two="test_automation::test_results_are_kept_when_they_change",
    ),
    "pkg_rollout_pause": Cover(
        rule="test_automation::test_a_rollout_is_held_and_goes_on",
        edge="test_automation::test_a_rollout_is_held_and_goes_on",
        refusal="test_automation::test_a_rollout_is_held_and_goes_on",
        two="test_automation::test_a_rollout_is_held_and_goes_on",
    ),
    "pkg_rollout_resume": Cover(
        rule="test_automation::test_a_rollout_is_held_and_goes_on",
        edge="test_automation::test_a_rollout_is_held_and_goes_on",
        refusal="test_automation::test_a_rollout_is_held_and_goes_on",
        two="test_automation::test_a_rollout_is_held_and_goes_on",
    ),
    "pkg_rollout_jump": Cover(
        rule="test_automation::test_a_jump_leaves_steps_out_and_puts_one_in",
        edge="test_automation::test_a_jump_leaves_steps_out_and_puts_one_in",
        refusal="test_automation::test_a_jump_leaves_steps_out_and_puts_one_in",
        two="test_automation::test_a_jump_leaves_steps_out_and_puts_one_in",
    ),
    "pkg_rollout_check": Cover(
        rule="test_automation::test_a_check_takes_a_rollout_on_or_back",
        edge="test_automation::test_a_step_that_waits_for_somebody_is_not_passed_by_itself",
        refusal="test_automation::test_a_rollout_is_held_and_goes_on",
        two="test_automation::test_a_check_takes_a_rollout_on_or_back",
    ),
    "pkg_rollout_tick": Cover(
        rule="test_automation::test_a_tick_moves_what_is_automatic_and_one_that_fails_holds_no_other_back",
        edge="test_automation::test_a_tick_moves_what_is_automatic_and_one_that_fails_holds_no_other_back",
        refusal="test_automation::test_a_rollout_is_held_and_goes_on",
        two="test_automation::test_a_tick_moves_what_is_automatic_and_one_that_fails_holds_no_other_back",
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
}
