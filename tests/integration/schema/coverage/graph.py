"""The graph, and the texts and vectors of memory."""

from __future__ import annotations

from tests.integration.schema.coverage.cover import ANY_ROW, READS, TOTAL, Cover, Nothing


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
    "lexemes_query": Cover(
        rule="test_lexical::test_any_stem_of_a_question_is_enough",
        edge="test_lexical::test_a_question_of_stop_words_alone_asks_nothing",
        refusal=TOTAL,
        two=READS,
    ),
    "lexical_content": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_what_is_of_no_kind_is_refused",
        refusal="test_lexical::test_what_is_of_no_kind_is_refused",
        two=READS,
    ),
    "lexical_index": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_a_question_of_stop_words_alone_asks_nothing",
        refusal="test_lexical::test_what_is_of_no_kind_is_refused",
        two="test_lexical::test_who_indexes_waits_for_nobody_who_writes_and_goes_alone",
    ),
    "lexical_refresh": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        refusal="test_lexical::test_what_is_of_no_kind_is_refused",
        two="test_lexical::test_who_indexes_waits_for_nobody_who_writes_and_goes_alone",
    ),
    "memory_in_scope": Cover(
        rule="test_lexical::test_a_scope_leaves_out_what_is_not_in_it",
        edge="test_lexical::test_a_scope_leaves_out_what_is_not_in_it",
        refusal=TOTAL,
        two=READS,
    ),
    "lexical_search": Cover(
        rule="test_lexical::test_scores_are_those_of_bm25",
        edge="test_lexical::test_a_question_of_stop_words_alone_asks_nothing",
        refusal=TOTAL,
        two=READS,
    ),
    "lexical_changed": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        refusal=ANY_ROW,
        two="test_lexical::test_who_indexes_waits_for_nobody_who_writes_and_goes_alone",
    ),
    "lexical_task_changed": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        refusal="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        two=Nothing("adds rows of its own"),
    ),
    "lexical_tasks_deleted": Cover(
        rule="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        edge="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        refusal="test_lexical::test_the_index_follows_what_is_written_changed_and_deleted",
        two=Nothing("adds rows of its own"),
    ),
    "unified_cortex_semantic_search": Cover(
        rule="test_search::test_hits_come_best_first_down_to_the_threshold",
        edge="test_search::test_similarity_is_a_number_for_vectors_and_queries_of_any_length",
        refusal="test_search::test_what_makes_no_sense_is_refused",
        two=READS,
    ),
}
