"""The queue: submitting, claiming, keeping, ending, watching."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, READS, TOTAL, Cover, Nothing

COVERED: dict[str, Cover] = {
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
    "task_remove_dependency": Cover(
        rule="test_queue_two_sessions::test_a_dependency_is_taken_back_and_the_task_runs",
        edge="test_queue_two_sessions::test_a_dependency_is_taken_back_and_the_task_runs",
        refusal="test_queue_two_sessions::test_a_dependency_is_taken_back_and_the_task_runs",
        two="test_queue_two_sessions::test_a_dependency_taken_back_while_it_ends_counts_once",
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
}
