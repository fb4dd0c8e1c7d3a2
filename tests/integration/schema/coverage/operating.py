"""What people and schedules do to the queue."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, READS, TOTAL, Cover, Nothing

COVERED: dict[str, Cover] = {
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
    "queue_record_change": Cover(
        rule="test_queue_controls::test_only_what_people_decide_is_recorded",
        edge="test_queue_controls::test_only_what_people_decide_is_recorded",
        refusal=ANY_ROW,
        two=Nothing("only adds records"),
    ),
    "tasks_leave_keys": Cover(
        rule="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[cancel]",
        edge="test_keys::test_without_keys_a_cancel_writes_no_hold",
        refusal="test_keys::test_without_keys_a_cancel_writes_no_hold",
        two="test_keys::test_a_claim_sees_the_key_of_what_is_cancelled_meanwhile",
    ),
    "tasks_hold_keys": Cover(
        rule="test_keys::test_an_owner_prolongs_the_hold_of_what_it_cannot_stop",
        edge="test_keys::test_an_owner_prolongs_the_hold_of_what_it_cannot_stop",
        refusal="test_keys::test_an_owner_prolongs_the_hold_of_what_it_cannot_stop",
        two="test_keys::test_an_owner_prolongs_the_hold_of_what_it_cannot_stop",
    ),
    "tasks_let_keys_go": Cover(
        rule="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[cancel]",
        edge="test_keys::test_a_claim_sees_the_key_of_what_is_cancelled_meanwhile",
        refusal="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[cancel]",
        two="test_keys::test_a_claim_sees_the_key_of_what_is_cancelled_meanwhile",
    ),
    "tasks_forget_key_holds": Cover(
        rule="test_keys::test_a_held_key_is_free_when_its_lease_would_have_ended",
        edge="test_keys::test_a_held_key_is_free_when_its_lease_would_have_ended",
        refusal=Nothing("has no arguments"),
        two=Nothing("deletes what counts for nothing"),
    ),
    "task_key_use": Cover(
        rule="test_keys::test_of_different_limits_the_smallest_that_runs_counts",
        edge="test_keys::test_a_held_key_is_free_when_its_lease_would_have_ended",
        refusal=TOTAL,
        two="test_keys::test_a_claim_sees_the_key_of_what_is_cancelled_meanwhile",
    ),
    "tasks_after_foreign_end": Cover(
        rule="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[foreign cancel]",
        edge="test_keys::test_however_its_owner_ends_an_attempt_its_key_is_free[foreign completion]",
        refusal=ANY_ROW,
        two="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[foreign cancel]",
    ),
    "tasks_after_foreign_delete": Cover(
        rule="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[foreign delete]",
        edge="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[foreign delete]",
        refusal=Nothing("its trigger's condition lets only running rows with a key through"),
        two="test_keys::test_over_the_owners_head_a_key_stays_taken_until_the_tool_has_stopped[foreign delete]",
    ),
    "task_holds_key": Cover(
        rule="test_queue_controls::test_a_key_is_held_in_these_states_and_no_others",
        edge="test_unique::test_the_end_of_an_attempt_never_meets_a_taken_key",
        refusal=TOTAL,
        two=READS,
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
        two="test_batches::test_a_member_that_ends_while_the_wait_begins_is_seen",
    ),
    "tasks_remember_another": Cover(
        rule="test_batches::test_who_ends_what_is_being_remembered_waits_and_then_looks",
        edge="test_batches::test_an_end_costs_what_ends_and_not_what_is_waited_for",
        refusal=Nothing("who releases calls it for locked tasks only"),
        two="test_batches::test_of_two_that_end_the_last_two_none_waits_for_a_member_of_the_other",
    ),
    "task_waits_bucket": Cover(
        rule="test_batches::test_who_ends_what_is_being_remembered_waits_and_then_looks",
        edge=TOTAL,
        refusal=TOTAL,
        two=READS,
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
}
