//! A small HTTP/1.1 client that sends exactly what it is told, broken or not.

use serde_json::Value;
use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// No answer of a test takes longer, unless something hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{}: {e}: {}", self.status, self.text()))
    }

    /// The JSON of an answer that has to be this one.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

/// One connection, opened when it is needed and kept.
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<String>,
    connection: RefCell<Option<BufReader<TcpStream>>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<&str>) -> Self {
        Self { address, key: key.map(str::to_owned), connection: RefCell::default() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, b"").unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap()
    }

    /// `Err` when the connection broke before the answer was there.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        let headers = [("Content-Type", "application/json")];
        self.send("POST", path, &headers, body.to_string().as_bytes())
    }

    /// One JSON value a line.
    pub(crate) fn try_batch(&self, lines: &[Value]) -> io::Result<Answer> {
        let body: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let headers = [("Content-Type", "application/x-ndjson")];
        self.send("POST", "/internal/events/batch", &headers, body.as_bytes())
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(key) = &self.key {
            head.push_str(&format!("X-Internal-Key: {key}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes, method == "HEAD")
    }

    /// Sends these bytes, and reads one answer.
    pub(crate) fn raw(&self, bytes: &[u8], no_body: bool) -> io::Result<Answer> {
        let mut slot = self.connection.borrow_mut();
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_write_timeout(Some(LIMIT))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        // Who refuses a body may answer and close before all of it is sent.
        let sent = connection.get_mut().write_all(bytes);
        let (answer, open) = match (read(&mut connection, no_body), sent) {
            (Ok(read), _) => read,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        };
        if open {
            *slot = Some(connection);
        }
        Ok(answer)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An answer, and whether the connection stays open.
fn read(from: &mut BufReader<TcpStream>, no_body: bool) -> io::Result<(Answer, bool)> {
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    };
    let start = line()?;
    let status = start.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| broken("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    let says = |name, value: &str| {
        answer.header(name).is_some_and(|v: &str| v.eq_ignore_ascii_case(value))
    };
    let open = !says("connection", "close");
    let chunked = says("transfer-encoding", "chunked");
    let length = answer.header("content-length").and_then(|l| l.parse::<usize>().ok());
    if no_body || matches!(status, 204 | 304) {
        return Ok((answer, open));
    }
    if chunked {
        loop {
            let mut size = String::new();
            from.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("chunk size"))?;
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            answer.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok((answer, open));
            }
        }
    }
    if let Some(length) = length {
        answer.body = vec![0; length];
        from.read_exact(&mut answer.body)?;
        return Ok((answer, open));
    }
    from.read_to_end(&mut answer.body)?;
    Ok((answer, false))
}
