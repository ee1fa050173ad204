//! The connection to Redis: made, watched, given up and made again by one task.
//!
//! # Law
//! Requests never connect and never probe: they use the connection that is there, or go past
//! Redis. The first command that fails or does not answer in time takes the connection away from
//! everyone. A connection is handed out only after, in this order: the life of the Redis behind it
//! is known (its run id), the epoch belongs to that life, and the backlog has been worked off.
//!
//! The epoch stands in Redis under one key together with the run id it was made for, for eight
//! days from the last look at it. A flush or an eviction takes it away; a restart or a failover comes with another run id. In each case the
//! next connection makes a new random epoch, and nothing from before is believed. It is looked at
//! with every connection and every 250 ms. In between a reader needs it for nothing that counts:
//! what is invalid is known from the stamps, and a flush leaves nothing that could be old.

use super::RedisTier;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keys removed from Redis in one command.
const REMOVALS: usize = 500;

/// How long the epoch's key stays after the last look at it: longer than any value.
pub(super) const META_LASTS: Duration = Duration::from_hours(8 * 24);

fn meta_lasts() -> u64 {
    u64::try_from(META_LASTS.as_millis()).unwrap_or(u64::MAX)
}

/// A connection that has been handed out.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    /// What the epoch's key holds: `epoch (16 hex digits):run id`.
    pub(crate) meta: Vec<u8>,
    /// The epoch that entries carry.
    pub(crate) epoch: u64,
    /// Writes that were acknowledged since the last numbered echo came back in order.
    pub(crate) unproven: parking_lot::Mutex<Vec<(Box<str>, u64)>>,
    given_up: AtomicBool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("it does not say its run id")]
    NoRunId,
    #[error("it is a replica")]
    Replica,
    #[error("it answers something else than it was asked")]
    OutOfOrder,
    #[error("its data was replaced")]
    AnotherLife,
}

impl Live {
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

const OPEN: &str = r"
local meta = redis.call('GET', KEYS[1])
if ARGV[3] == '0' and meta and string.sub(meta, 18) == ARGV[1] then return meta end
meta = ARGV[2] .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], meta, 'PX', ARGV[4])
return meta";

impl RedisTier {
    /// Takes the connection away from everyone; the first to call it for this connection also
    /// remembers what may not have arrived.
    pub(crate) fn give_up(&self, live: &Arc<Live>, why: &LinkError) {
        if live.given_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut slot = self.live.write();
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, live)) {
            *slot = None;
        }
        drop(slot);
        {
            let mut backlog = self.backlog.lock();
            for (key, write) in live.unproven.lock().drain(..) {
                backlog.add(&key, Some(write));
            }
        }
        self.outages.fetch_add(1, Ordering::Relaxed);
        self.went_down(&why.to_string());
        self.wake.notify_one();
    }

    pub(crate) fn went_down(&self, why: &str) {
        let mut condition = self.condition.lock();
        if condition.down_since.is_none() {
            condition.down_since = Some(self.clock.elapsed());
            tracing::warn!(reason = why, "Redis is out; the cache goes on without it");
        }
        condition.reason = Some(why.to_owned());
    }

    /// The task: connects, watches, and starts over until the tier is dropped or closed.
    pub(crate) async fn keep_linked(self: Arc<Self>) {
        while !self.closed.load(Ordering::Acquire) {
            match self.connect().await {
                Ok(live) => {
                    *self.live.write() = Some(live.clone());
                    {
                        let mut condition = self.condition.lock();
                        if let Some(since) = condition.down_since.take() {
                            let time = self.clock.elapsed().saturating_sub(since);
                            condition.last_recovery = Some(time);
                            tracing::info!(?time, "Redis is back");
                        }
                        condition.reason = None;
                    }
                    self.up.notify_waiters();
                    self.watch(&live).await;
                }
                Err(error) => self.went_down(&error.to_string()),
            }
            if self.closed.load(Ordering::Acquire) {
                break;
            }
            self.pause(self.config.probe_interval).await;
        }
        *self.live.write() = None;
    }

    /// Waits, a little less for each node, or until the tier is closed.
    pub(super) async fn pause(&self, time: Duration) {
        let time = time.mul_f64(1.0 - 0.2 * self.entropy.fraction());
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.closing.notified() => {}
        }
    }

    async fn connect(&self) -> Result<Arc<Live>, LinkError> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.command_timeout));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&settings);
        let mut connection =
            tokio::time::timeout(self.config.connect_timeout, connecting)
                .await
                .map_err(|_| LinkError::ConnectTimeout(self.config.connect_timeout))??;

        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let run_id = field("run_id:").ok_or(LinkError::NoRunId)?.trim().to_owned();
        if field("role:").is_some_and(|role| role.trim() == "slave") {
            return Err(LinkError::Replica);
        }
        let anew = self.backlog.lock().overflowed();
        let fresh = self.entropy.next_u64();
        let meta: Vec<u8> = redis::cmd("EVAL")
            .arg(OPEN)
            .arg(1)
            .arg(&self.meta_key)
            .arg(&run_id)
            .arg(format!("{fresh:016x}"))
            .arg(u8::from(anew))
            .arg(meta_lasts())
            .query_async(&mut connection)
            .await?;
        let epoch = std::str::from_utf8(&meta)
            .ok()
            .filter(|meta| meta.get(17..) == Some(run_id.as_str()))
            .and_then(|meta| u64::from_str_radix(meta.get(..16)?, 16).ok())
            .ok_or(LinkError::OutOfOrder)?;
        if anew {
            self.backlog.lock().start_anew();
        }
        if self.last_epoch.swap(epoch, Ordering::AcqRel) != epoch {
            self.epochs.fetch_add(1, Ordering::Relaxed);
        }
        self.work_off_backlog(&mut connection).await?;
        self.prove_order(&mut connection, &meta).await?;
        Ok(Arc::new(Live {
            connection,
            meta,
            epoch,
            unproven: parking_lot::Mutex::new(Vec::new()),
            given_up: AtomicBool::new(false),
        }))
    }

    async fn work_off_backlog(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), LinkError> {
        loop {
            let batch = self.backlog.lock().batch(REMOVALS);
            if batch.is_empty() {
                return Ok(());
            }
            let mut command = redis::cmd("UNLINK");
            for (key, _) in &batch {
                command.arg(self.value_key(key));
            }
            let _: u64 = command.query_async(connection).await?;
            self.backlog.lock().removed(&batch);
        }
    }

    /// A numbered echo: whether replies come in the order of the questions. Also looks whether
    /// the epoch is still there, and lets it stay.
    async fn prove_order(
        &self,
        connection: &mut MultiplexedConnection,
        meta: &[u8],
    ) -> Result<(), LinkError> {
        let number = format!("{:016x}", self.entropy.next_u64());
        let (echo, now): (String, Option<Vec<u8>>) = redis::pipe()
            .cmd("ECHO")
            .arg(&number)
            .cmd("GET")
            .arg(&self.meta_key)
            .cmd("PEXPIRE")
            .arg(&self.meta_key)
            .arg(meta_lasts())
            .ignore()
            .query_async(connection)
            .await?;
        if echo != number {
            return Err(LinkError::OutOfOrder);
        }
        if now.as_deref() != Some(meta) {
            return Err(LinkError::AnotherLife);
        }
        Ok(())
    }

    /// Looks after a connection until it is given up.
    async fn watch(&self, live: &Arc<Live>) {
        let mut connection = live.connection.clone();
        loop {
            tokio::select! {
                () = self.pause(self.config.probe_interval) => {}
                () = self.wake.notified() => {}
            }
            if live.given_up.load(Ordering::Acquire) || self.closed.load(Ordering::Acquire) {
                return;
            }
            if self.backlog.lock().overflowed() {
                self.give_up(live, &LinkError::AnotherLife);
                return;
            }
            let unproven = std::mem::take(&mut *live.unproven.lock());
            let looked = async {
                self.prove_order(&mut connection, &live.meta).await?;
                self.work_off_backlog(&mut connection).await
            };
            if let Err(error) = looked.await {
                live.unproven.lock().extend(unproven);
                self.give_up(live, &error);
                return;
            }
        }
    }
}
