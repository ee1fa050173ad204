//! A client that costs little: the server is what is measured, and they share two cores.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The key that benchmarks use.
pub(crate) const KEY: &str = "a-key-for-benchmarks-only";

/// One connection that is kept.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream: BufReader::new(stream), body: Vec::new() }
    }

    /// Posts JSON; the status code.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> u16 {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: b\r\nX-Internal-Key: {KEY}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(&request)
    }

    /// A number in a JSON answer.
    pub(crate) fn number(&mut self, path: &str, name: &str) -> u64 {
        self.json(path)[name].as_u64().expect("a number")
    }

    /// A JSON answer.
    pub(crate) fn json(&mut self, path: &str) -> Value {
        let request = get(path);
        assert_eq!(self.send(&request), 200);
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Gets something; its bytes.
    pub(crate) fn get(&mut self, path: &str) -> &[u8] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\nX-Internal-Key: {KEY}\r\n\r\n");
        assert_eq!(self.send(&request), 200, "{path}: {}", String::from_utf8_lossy(&self.body));
        &self.body
    }

    fn send(&mut self, request: &str) -> u16 {
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server reads");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the server answers");
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(n) = lower.strip_prefix("content-length:") {
                length = n.trim().parse().expect("a length");
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).expect("the server answers");
        status
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: b\r\nX-Internal-Key: {KEY}\r\n\r\n")
}

/// A connection on which the server sends events.
pub(crate) struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    /// Connects, and waits until the server listens to what it will tell.
    pub(crate) fn new(address: &str, path: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(get(path).as_bytes()).expect("the server reads");
        let mut line = String::new();
        stream.read_line(&mut line).expect("the server answers");
        assert!(line.contains(" 200 "), "{path}: {line}");
        Self { stream }
    }

    /// The data of the next event; `None` after so long a silence, or at the end.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Value> {
        if patience.is_zero() {
            return None;
        }
        self.stream.get_mut().set_read_timeout(Some(patience)).expect("a socket option");
        let mut line = String::new();
        loop {
            line.clear();
            // Anything but data is part of how it is sent: headers, sizes of chunks, names.
            match self.stream.read_line(&mut line) {
                Ok(n) if n > 0 => {}
                _ => return None,
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).ok();
            }
        }
    }
}
