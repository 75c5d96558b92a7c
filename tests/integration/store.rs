//! The store: one suite, run on both engines.
#![expect(
    clippy::cognitive_complexity,
    reason = "a case tells one story, step by step"
)]

mod bounces;
mod concurrency;
mod counts;
mod directory;
mod feed;
mod held;
mod held_many;
mod log;
mod opening;
mod outage;
mod record;
mod suppressions;
mod undo;
mod world;

use self::world::World;

/// Runs every case of the suite as `store::sqlite::MODULE::CASE` and on PostgreSQL alike.
macro_rules! suite {
    ($( $module:ident { $( $case:ident ),+ $(,)? } )+) => {
        mod sqlite {
            $( mod $module { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = crate::store::World::sqlite();
                    crate::store::$module::$case(&world).await;
                }
            )+ } )+
        }
        mod postgres {
            $( mod $module { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let Some(world) = crate::store::World::postgres().await else { return };
                    crate::store::$module::$case(&world).await;
                    world.remove().await;
                }
            )+ } )+
        }
    };
}

suite! {
    opening {
        first_start_makes_root_tenant_and_key,
        a_second_start_finds_what_the_first_made,
        nodes_that_start_at_once_agree,
        a_sealed_root_needs_its_key,
        a_plain_root_is_sealed_when_a_key_is_given,
        tables_of_a_newer_version_are_refused,
        who_knows_older_tables_writes_nothing_more,
    }
    record {
        a_receipt_acts_once,
        equal_bytes_are_kept_once,
        what_is_stored_comes_back_as_it_was,
        addresses_are_kept_or_forgotten,
        a_batch_is_stored_whole_or_not_at_all,
        a_refused_receipt_is_named_and_the_rest_can_be_stored,
        nul_and_odd_texts_never_fail_a_batch,
        large_values_are_stored,
        a_batch_of_any_size_is_stored,
        receipts_are_listed_newest_first,
        receipts_are_filtered,
        raw_bytes_are_forgotten_by_age,
        an_unknown_receipt_is_none,
    }
    suppressions {
        adding_twice_changes_once,
        lift_ends_what_stands_and_a_later_event_suppresses_anew,
        a_replayed_receipt_does_not_undo_a_lift,
        a_lift_ends_only_what_it_names,
        a_lift_needs_a_note,
        a_nul_in_a_note_is_replaced,
        evidence_stays,
        addresses_fill_in,
        listings_page_through_all,
        scan_gives_what_stands_of_all_tenants,
        scan_finds_rows_that_lie_far_apart,
    }
    feed {
        changes_and_events_share_one_counter,
        a_tenant_sees_its_own,
        events_are_filtered_by_kind,
        events_are_filtered_by_proof_and_reporter,
        events_of_an_earlier_version_are_found_once_they_are_marked,
        many_events_are_marked_step_by_step,
        few_among_many_events_are_found,
        forgetting_makes_old_cursors_gone,
        a_cursor_of_the_future_is_gone,
        the_head_has_the_time,
    }
    held {
        approving_suppresses_with_proof_operator,
        a_hold_is_decided_once,
        dismissing_changes_nothing,
        a_receipt_is_done_with_its_last_hold,
        holds_page_oldest_first,
    }
    held_many {
        a_filter_decides_what_it_finds_and_nothing_else,
        a_window_and_a_tenant_bound_what_is_decided,
        what_names_nobody_is_left_by_an_approval,
        many_are_decided_page_by_page,
        two_nodes_decide_each_hold_once,
    }
    counts {
        a_receipt_counts_once_in_its_hour_and_its_day,
        many_writers_lose_nothing,
        names_beyond_the_room_of_a_day_are_one,
        nodes_that_count_new_names_at_once_keep_to_the_room,
        old_counts_are_forgotten,
        trials_are_not_counted,
    }
    directory {
        putting_twice_changes_once,
        titles_stay_unless_another_is_put,
        names_are_unique_in_their_tenant,
        nonsense_is_refused,
        mailboxes_come_and_go,
        tenants_that_are_made_at_once_have_numbers_of_their_own,
        a_number_is_free_behind_the_last_one_or_in_a_gap,
        a_domain_is_one_tenants_until_it_is_released,
        what_has_changed_is_read_and_no_more,
        a_mailbox_is_in_a_domain_of_its_tenant,
        mailboxes_of_a_tenant_are_bounded,
        mailboxes_of_nobody_that_are_made_at_once_are_bounded,
        signing_keys_count_up,
        signing_keys_of_a_tenant_are_bounded,
        api_keys_are_found_by_prefix,
    }
    bounces {
        soft_failures_of_many_days_suppress,
        without_deliveries_soft_failures_hold,
        the_order_within_a_batch_is_that_of_time,
        failures_are_counted_exactly_by_many_writers,
        counts_are_forgotten_by_age,
        a_provider_that_calls_everybody_dead_is_held,
        a_batch_is_decided_at_once,
        an_ordinary_large_send_is_not_braked,
        the_brake_is_exact_with_many_writers,
        our_own_problem_raises_one_alarm_and_suppresses_nobody,
    }
    undo {
        an_undo_that_is_stored_first_finds_its_opt_out,
        an_undo_ends_only_what_its_visit_has_begun,
        one_batch_is_settled_in_the_order_of_its_receipts,
        an_opt_out_and_its_undo_at_once_leave_nothing,
        an_opt_out_that_came_since_takes_the_place,
        a_visit_that_is_taken_back_itself_is_no_heir,
        what_was_committed_before_a_failure_is_told_once,
    }
    concurrency {
        a_reader_of_the_feed_misses_and_repeats_nothing,
        the_same_batch_from_many_nodes_acts_once,
        two_replays_at_once_correct_a_receipt_once,
        suppress_and_lift_of_the_same_end_alike_in_feed_and_table,
        the_last_two_holds_decided_at_once_finish_the_receipt,
    }
    outage {
        a_locked_store_is_unavailable_until_it_is_free,
        a_caller_that_goes_away_leaves_nothing_behind,
    }
}
