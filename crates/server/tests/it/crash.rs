//! `kill -9` at random instants, under load from several connections.
//!
//! Each connection keeps a ledger of what it was answered. Right after every kill the files are
//! read as the crash left them; after every restart the answers are compared with the ledger.
//! What was sent and not answered is found whole or not at all, and is sent again, as a client
//! would.

#![expect(
    clippy::print_stderr,
    reason = "the seed and what the kills met, for who looks into a failure"
)]

mod answers;
mod ledger;
mod remains;

pub(crate) use answers::check_counts;
pub(crate) use ledger::Ledger;
pub(crate) use remains::{Harm, Remains};

use crate::server::Data;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rhiz_domain::{Clock, clock::SystemClock};
use std::{sync::mpsc, time::Duration};

const CONNECTIONS: usize = 4;
/// Kills of a usual run; `RHIZ_LONG=1` makes it 200.
const KILLS: usize = 30;
/// Events after which the server is killed, at most.
const MOST: usize = 700;

#[test]
fn killed_at_any_instant_it_loses_nothing_and_does_nothing_twice() {
    let long = std::env::var_os("RHIZ_LONG").is_some();
    let kills = if long { 200 } else { KILLS };
    let found = interrupt("KILL", kills);
    // Or the kills hit nothing.
    assert!(found.unanswered > kills / 2 && found.in_journal > kills, "{found:?}");
}

#[test]
fn stopped_in_order_under_load_it_loses_nothing_either() {
    let found = interrupt("TERM", 5);
    assert!(found.accepted > 5, "{found:?}");
}

/// What interruptions met.
#[derive(Debug, Default)]
struct Met {
    accepted: u64,
    unanswered: usize,
    in_journal: usize,
}

/// Ends the server so many times under load, and checks everything after each.
fn interrupt(signal: &str, times: usize) -> Met {
    let seed = SystemClock::default().now().as_microsecond() as u64;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut ledgers: Vec<Ledger> = (0..CONNECTIONS).map(|n| Ledger::new(n, seed)).collect();
    let mut met = Met::default();
    let mut server = Data::new().serve();
    for time in 0..times {
        let (tell, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            for ledger in &mut ledgers {
                let (server, tell) = (&server, tell.clone());
                scope.spawn(move || ledger.load(server, &tell));
            }
            drop(tell);
            let enough = random.random_range(1..=MOST);
            let mut heard = 0;
            while heard < enough {
                heard += hear.recv().expect("a connection that is alive");
            }
            // Anywhere between two answers.
            let _ = hear.recv_timeout(Duration::from_micros(random.random_range(0..3_000)));
            server.signal(signal);
        });
        let status = server.wait();
        assert_eq!(status.success(), signal == "TERM", "{status}");
        let data = server.data.clone();
        drop(server);
        let remains = Remains::read(&data).expect("a database");
        met.in_journal += remains.journal.len();
        for ledger in &ledgers {
            remains.check(ledger);
            met.unanswered += ledger.unanswered.len();
        }
        server = data.serve();
        let client = server.keyed();
        for ledger in &mut ledgers {
            ledger.resolve(&client);
        }
        server.settled();
        for ledger in &mut ledgers {
            ledger.check(&client);
            for op in ledger.fresh.drain(..).rev().take(20) {
                let found = client.get(&format!("/internal/events/{}", op.id)).expect(200);
                assert_eq!(found["state"], "done", "after {signal} {time}: {found}");
            }
        }
        let dead = client.get("/internal/events/dead-letter").expect(200);
        assert_eq!(dead["count"], 0, "after {signal} {time}: {dead}");
        check_counts(&client, &ledgers, (0, 0));
    }
    met.accepted = ledgers.iter().map(|l| l.accepted).sum();
    eprintln!("{signal}, {times} times: {met:?}");
    assert!(server.stop().success());
    met
}
