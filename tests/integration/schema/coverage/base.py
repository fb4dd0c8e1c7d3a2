"""What every revision uses, and how energy and drift are kept."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, READS, TOTAL, Cover, Nothing

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
