//! Takes what is hidden out of Redis, slowly. Nothing depends on it but memory: every entry also
//! has a time to live.

use super::RedisTier;
use super::envelope::{Envelope, HEADER_BYTES};
use std::time::Duration;

/// Keys looked at in one step.
const STEP: usize = 200;
/// Time between two steps: at most 4,000 keys are looked at in a second.
const PACE: Duration = Duration::from_millis(50);

impl RedisTier {
    /// One pass over everything under the prefix; `hidden` says what may go. Ends early when
    /// Redis is out.
    pub(crate) async fn sweep(&self, hidden: impl Fn(&Envelope<'_>) -> bool) {
        let mut cursor = 0_u64;
        loop {
            let Some(live) = self.live() else { return };
            let mut connection = live.connection.clone();
            let step = async {
                let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                    .arg(cursor)
                    .arg("MATCH")
                    .arg(format!("{}v:*", self.config.prefix))
                    .arg("COUNT")
                    .arg(STEP)
                    .query_async(&mut connection)
                    .await?;
                if !keys.is_empty() {
                    let mut headers = redis::pipe();
                    for key in &keys {
                        headers.cmd("GETRANGE").arg(key).arg(0).arg(HEADER_BYTES - 1);
                    }
                    let headers: Vec<Vec<u8>> = headers.query_async(&mut connection).await?;
                    let gone: Vec<&String> = keys
                        .iter()
                        .zip(&headers)
                        .filter(|(_, header)| {
                            Envelope::decode_header(header).is_some_and(|(envelope, _)| {
                                envelope.epoch != live.epoch || hidden(&envelope)
                            })
                        })
                        .map(|(key, _)| key)
                        .collect();
                    if !gone.is_empty() {
                        redis::cmd("UNLINK").arg(gone).exec_async(&mut connection).await?;
                    }
                }
                Ok::<_, redis::RedisError>(next)
            };
            match step.await {
                Ok(0) => return,
                Ok(next) => cursor = next,
                Err(error) => {
                    self.give_up(&live, &error.into());
                    return;
                }
            }
            self.pause(PACE).await;
        }
    }
}
