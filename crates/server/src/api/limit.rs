//! How much callers without a key may ask.
//!
//! Fixed windows for each address: what a caller may still do, and from when, is a plain number
//! that the headers tell.

use super::{App, auth::Role, problem::Problem};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Clients remembered; beyond, those whose window is over are forgotten, then all.
const MOST_CLIENTS: usize = 100_000;

struct Window {
    /// Seconds since 1970.
    ends: i64,
    used: u32,
}

/// Counts requests by client.
pub struct Limiter {
    requests: u32,
    window: i64,
    clients: Mutex<HashMap<IpAddr, Window>>,
}

/// What a client may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    remaining: u32,
    /// Seconds since 1970.
    reset: i64,
    allowed: bool,
}

impl Limiter {
    /// So many requests in every window.
    #[must_use]
    pub fn new(requests: u32, window: Duration) -> Self {
        let window = i64::try_from(window.as_secs().max(1)).unwrap_or(i64::MAX);
        Self { requests, window, clients: Mutex::default() }
    }

    fn take(&self, client: IpAddr, now: Timestamp) -> Allowance {
        let now = now.as_second();
        let mut clients = self.clients.lock();
        if clients.len() >= MOST_CLIENTS {
            clients.retain(|_, w| w.ends > now);
            if clients.len() >= MOST_CLIENTS {
                clients.clear();
            }
        }
        let fresh = || Window { ends: now.saturating_add(self.window), used: 0 };
        let window = clients.entry(client).or_insert_with(fresh);
        if window.ends <= now {
            *window = fresh();
        }
        let allowed = window.used < self.requests;
        window.used += u32::from(allowed);
        Allowance { remaining: self.requests - window.used, reset: window.ends, allowed }
    }

    fn tell(&self, allowance: Allowance, headers: &mut HeaderMap) {
        let policy = format!("{};w={}", self.requests, self.window);
        for (name, value) in [
            ("ratelimit-limit", self.requests.to_string()),
            ("ratelimit-remaining", allowance.remaining.to_string()),
            ("ratelimit-reset", allowance.reset.to_string()),
            ("ratelimit-policy", policy),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// One client for a network of its own: an IPv6 customer has a whole /64.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
        v4 => v4,
    }
}

/// Refuses who asks too much. Health and callers with a key are outside of it.
pub(super) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let outside = request.uri().path().starts_with("/health")
        || app.keys.role_or_anybody(request.headers()) > Role::Anybody;
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let (Some(limiter), Some(address), false) = (&app.limiter, address, outside) else {
        return next.run(request).await;
    };
    let now = app.node.clock.now();
    let allowance = limiter.take(client(address), now);
    let mut response = if allowance.allowed {
        next.run(request).await
    } else {
        let wait = u64::try_from(allowance.reset - now.as_second()).unwrap_or(0).max(1);
        let detail = format!(
            "more than {} requests in {} seconds; come again in {wait} seconds, or use a key",
            limiter.requests, limiter.window
        );
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .retry_after(wait)
            .into_response()
    };
    limiter.tell(allowance, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_its_requests_and_then_begins_anew() {
        let limiter = Limiter::new(2, Duration::from_secs(60));
        let a: IpAddr = [10, 0, 0, 1].into();
        let at = |s| Timestamp::from_second(s).unwrap();
        let seen: Vec<_> = [100, 110, 120, 159, 160]
            .map(|s| limiter.take(a, at(s)))
            .map(|w| (w.allowed, w.remaining, w.reset))
            .into();
        assert_eq!(
            seen,
            [(true, 1, 160), (true, 0, 160), (false, 0, 160), (false, 0, 160), (true, 1, 220)]
        );
        assert!(limiter.take([10, 0, 0, 2].into(), at(120)).allowed, "others have their own");
    }

    #[test]
    fn a_network_of_addresses_is_one_client() {
        let v6 = |s: &str| client(s.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), v6("10.0.0.1"));
    }
}
