"""The runtime registry and the outbox."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, Cover, Nothing

COVERED: dict[str, Cover] = {
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
}
