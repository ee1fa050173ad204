//! What every store has to do, tried.
//!
//! One list of tests, run against each implementation by [`store_conformance!`](crate::store_conformance)
//! with a [`Factory`] that opens the same data again and again. A new behaviour of a store is
//! first a test here.

pub mod dead;
pub mod index;
pub mod journal;
pub mod law;
pub mod lease;
pub mod machine;
pub mod names;
pub mod pause;
pub mod rebuild;
pub mod search;
pub mod settle;

use crate::events::{Draft, at, verdict};
use async_trait::async_trait;
use rhiz_domain::{
    Clock, Event, EventId, Priority,
    clock::ManualClock,
    store::{
        Claimed, Cursor, DeadFilter, DeadLetter, Depths, Intake, Quota, Receipt, Settlement, Store,
        Verdict,
    },
};
use std::sync::Arc;

/// Opens one database of its own, as often as it is asked to.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Opens the store on the data it had before. What was opened before is closed.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn Store>;

    /// The process dies, as far as the data can tell: the next [`Self::open`] finds them as they
    /// were on disk at some instant of this call, and nothing that the store which is open now
    /// still does reaches them. It is dropped without being closed.
    ///
    /// By itself it does nothing. That is enough for a store that writes nothing any more when it,
    /// its claims and its leases are dropped; but then nothing is ever cut off half-way.
    async fn cut(&self) {}
}

/// A store under test.
pub struct Rig {
    factory: Arc<dyn Factory>,
    /// Its clock: stands at second 1,000,000 until it is moved.
    pub clock: Arc<ManualClock>,
    /// It.
    pub store: Arc<dyn Store>,
}

/// As many as there are.
pub const ALL: Quota = [usize::MAX; 4];

impl Rig {
    /// Opens an empty store.
    pub async fn new(factory: impl Factory) -> Self {
        let clock = Arc::new(ManualClock::at(at(1_000_000)));
        let factory: Arc<dyn Factory> = Arc::new(factory);
        let store = factory.open(clock.clone()).await;
        Self { factory, clock, store }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.factory.open(self.clock.clone()).await;
    }

    /// Accepts events, which have to be valid.
    pub async fn accept(&self, drafts: impl IntoIterator<Item = Draft>) -> Vec<Receipt> {
        let events = drafts.into_iter().map(|d| d.build()).collect();
        self.store.append(Intake { events, ..Intake::default() }).await.unwrap()
    }

    /// Accepts nothing, and moves a cursor.
    pub async fn move_cursor(&self, source: &str, position: u64) {
        let cursor = Some(Cursor { source: source.into(), position });
        self.store.append(Intake { cursor, ..Intake::default() }).await.unwrap();
    }

    /// Claims everything that is ready; there has to be something.
    pub async fn claim(&self) -> Box<dyn Claimed> {
        self.store.claim(ALL).await.unwrap().expect("something is ready")
    }

    /// Applies everything that is ready; answers with the number of the last change.
    pub async fn work(&self) -> u64 {
        let mut last = 0;
        while let Some(mut claim) = self.store.claim(ALL).await.unwrap() {
            let settlements = applied(&*claim);
            last = claim.settle(settlements).await.unwrap();
        }
        last
    }

    /// Accepts and applies.
    pub async fn apply(&self, drafts: impl IntoIterator<Item = Draft>) -> u64 {
        self.accept(drafts).await;
        self.work().await
    }

    /// Every dead letter, newest first.
    pub async fn dead(&self) -> Vec<DeadLetter> {
        let filter = DeadFilter { limit: 100_000, ..DeadFilter::default() };
        self.store.dead_letters(filter).await.unwrap().letters
    }

    /// What waits, without the times of the oldest.
    #[must_use]
    pub fn depths(&self) -> Depths {
        Depths { fronts: [None; 4], ..self.store.depths() }
    }
}

/// The verdict on every event of a claim, by what it says.
#[must_use]
pub fn applied(claim: &dyn Claimed) -> Vec<Settlement> {
    let verdicts = claim.events().iter().map(|event| verdict(event));
    verdicts.enumerate().map(|(index, verdict)| settlement(index, verdict)).collect()
}

/// A verdict without stages.
#[must_use]
pub fn settlement(index: usize, verdict: Verdict) -> Settlement {
    Settlement { index, verdict, stages: Vec::new() }
}

/// An event's name that is known to be one.
#[must_use]
pub fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

/// The names of claimed events.
#[must_use]
pub fn ids(claim: &dyn Claimed) -> Vec<String> {
    claim.events().iter().map(|e| e.event_id.to_string()).collect()
}

/// What an event takes of the capacity.
#[must_use]
pub fn bytes(events: &[Event]) -> usize {
    events.iter().map(|e| e.payload.get().len()).sum()
}

/// Depths with these ready.
#[must_use]
pub fn ready(claimable: [usize; 4], bytes: usize) -> Depths {
    Depths { claimable, counted: claimable.iter().sum(), bytes, ..Depths::default() }
}

/// One of a priority, none of the others.
#[must_use]
pub fn one(priority: Priority) -> [usize; 4] {
    let mut counts = [0; 4];
    counts[priority as usize] = 1;
    counts
}

/// Runs every conformance test against the stores of a [`Factory`]: an expression that makes one
/// with an empty database of its own.
///
/// ```ignore
/// mod sqlite {
///     rhiz_testkit::store_conformance!(crate::SqliteFactory::new());
/// }
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr) => {
        $crate::store_conformance! { @tests $factory;
            journal {
                accepted_events_come_out_as_they_went_in
                the_same_event_twice_is_accepted_once
                an_id_used_for_another_body_is_a_conflict
                a_conflict_takes_nobody_else_with_it
                a_source_that_repeats_itself_in_other_words_is_a_duplicate
                a_refused_intake_leaves_nothing_behind
                a_cursor_moves_with_its_events
                a_file_is_read_once
                claims_keep_quota_and_priority
                a_claim_holds_so_many_bytes_and_no_more
                a_claim_given_up_while_it_is_read_goes_back
                a_dropped_claim_goes_back_in_order
                nobody_claims_what_another_has_in_hand
                one_of_many_with_the_same_id_is_accepted
                waiting_workers_are_told
                where_an_event_is_can_be_found
                old_identities_are_forgotten_and_young_ones_kept
                a_closed_store_says_so
            }
            settle {
                a_settled_event_is_settled_once
                the_rest_of_a_claim_can_be_settled_later
                a_failed_attempt_waits_and_is_counted
                a_snooze_is_no_attempt
                what_waits_survives_a_restart
                a_restart_finds_what_was_in_hand
                a_buried_event_is_a_dead_letter
                depths_are_exact_at_every_step
                a_settlement_nobody_waits_for_is_whole
            }
            lease {
                a_leased_event_is_in_no_lane
                a_dropped_lease_gives_its_event_back
                a_lease_without_a_beat_runs_out
                an_old_token_changes_nothing
                a_lease_can_end_in_every_verdict
                a_restart_ends_every_lease
            }
            pause {
                what_is_paused_waits_and_the_rest_goes_on
                a_pause_survives_a_restart
                what_is_in_hand_goes_on
            }
            names {
                a_caller_keeps_no_event_of_a_source_out
                an_event_is_found_by_its_name_until_it_is_done
                a_replayed_event_is_found_again
            }
            dead {
                a_rejected_input_is_kept_as_it_came
                the_same_rejected_input_is_kept_once
                a_thousand_are_kept_of_one_did_and_the_rest_is_counted
                a_filter_counts_only_what_it_asks_for
                dead_letters_are_filtered_and_paged
                a_deleted_account_leaves_no_dead_letters
                a_replayed_letter_is_an_event_again
                a_replay_begins_a_new_wait_and_changes_no_meaning
                an_act_of_many_steps_is_one_row_of_the_audit_log
                the_audit_log_is_paged
                letters_are_found_and_moved_by_number
                what_died_later_is_left_alone
                what_is_discarded_is_gone_and_written_down
                what_was_only_counted_or_purged_says_so
                an_old_letter_that_is_replayed_is_accepted_once
                a_thousand_letters_of_one_did_are_kept_of_what_sources_said
                what_is_given_up_after_the_end_of_its_account_is_not_kept
                all_letters_are_counted
            }
            index {
                an_entity_has_its_profile_handle_and_dates
                what_is_private_or_inactive_dates_nobody
                the_newest_holder_of_a_handle_has_it
                a_record_can_be_read_until_it_is_gone
                a_record_that_moves_leaves_nothing_where_it_was
                a_deleted_account_takes_its_records_and_may_come_back
                a_proof_that_comes_later_counts
                changes_come_in_order_and_add_up_to_the_facts
                numbers_of_changes_grow_across_restarts
                what_changes_nothing_says_nothing
                progress_is_told
            }
            rebuild {
                what_is_sound_is_left_alone
                a_rebuild_tells_its_progress
            }
            search {
                names_are_found_by_the_beginnings_of_their_words
                handles_and_dids_are_found_by_their_beginnings
                pages_follow_one_another
                hostile_queries_are_only_words
            }
        }

        #[test]
        fn any_order_ends_the_same() {
            $crate::store::law::any_order_ends_the_same(|| $factory);
        }

        #[test]
        fn it_does_what_the_reference_does() {
            $crate::store::machine::it_does_what_the_reference_does(|| $factory);
        }
    };
    (@tests $factory:expr; $($module:ident { $($test:ident)+ })+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let rig = $crate::store::Rig::new($factory).await;
                $crate::store::$module::$test(rig).await;
            }
        )+)+
    };
}
