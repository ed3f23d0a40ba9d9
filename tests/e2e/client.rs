//! A small HTTP/1.1 client that can also do what no library would: an encoder with digest
//! authentication, and raw bytes.

use crate::origin::{Origin, USERS, eventually};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Error, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Reached only where something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.named(name).next()
    }

    /// The values of all fields of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str())
    }

    /// Names and values of all fields, in order, without Date.
    pub fn undated_fields(&self) -> Vec<(String, String)> {
        let mut fields = self.fields.clone();
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
        fields
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with its length.
    pub fn send_request(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: origin\r\n");
        for (name, value) in fields {
            write!(message, "{name}: {value}\r\n").unwrap();
        }
        if method == "PUT" || method == "POST" {
            write!(message, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        let message = [message.as_bytes(), b"\r\n", body].concat();
        self.send(&message)
    }

    /// The next response, interim ones passed over. `to_head` says that it has no body.
    pub fn try_response(&mut self, to_head: bool) -> io::Result<Response> {
        loop {
            let response = self.one_response(to_head)?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// The next response, if it begins within `patience`.
    pub fn response_within(&mut self, patience: Duration) -> Option<Response> {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let begun = self.stream.fill_buf().map(|bytes| !bytes.is_empty());
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        match begun {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            begun => begun.unwrap().then(|| self.try_response(false).unwrap()),
        }
    }

    /// The next response, interim or not.
    pub fn one_response(&mut self, to_head: bool) -> io::Result<Response> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| Error::other(format!("status line {line:?}")))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| Error::other(line.clone()))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Response { status, fields, body: Vec::new() };
        if to_head || status < 200 || status == 204 || status == 304 {
            return Ok(response);
        }
        let size = response.field("content-length").and_then(|size| size.parse().ok());
        let size: usize = size.ok_or_else(|| Error::other("response without a length"))?;
        response.body.resize(size, 0);
        self.stream.read_exact(&mut response.body)?;
        Ok(response)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        // Who refuses early may close before everything is sent; the answer counts.
        let sent = self.send_request(method, path, fields, body);
        self.try_response(method == "HEAD").map_err(|error| sent.err().unwrap_or(error))
    }

    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_request(method, path, fields, body).unwrap()
    }

    /// Sends FIN; responses can still be read.
    pub fn finish_sending(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Waits until the other side has closed; whatever comes before is thrown away.
    pub fn drained(mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.stream.read_to_end(&mut rest);
    }

    /// Ends the connection with RST, as a process does that is killed with data unread.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.stream.into_inner());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Pushes to one input: digest authentication on one kept connection.
pub struct Encoder {
    address: SocketAddr,
    folder: String,
    user: (String, String),
    connection: Option<Connection>,
    /// Algorithm, realm, nonce and opaque.
    challenge: Option<[String; 4]>,
    nonce_count: u32,
    /// Challenges accepted so far.
    pub challenge_count: u32,
}

impl Encoder {
    /// The encoder of `channel`'s first or second input.
    pub fn new(origin: &Origin, channel: &str, input: usize) -> Self {
        let (user, password) = USERS[input - 1];
        Self::with_user(origin, channel, input, user, password)
    }

    /// An encoder with other credentials.
    pub fn with_user(
        origin: &Origin,
        channel: &str,
        input: usize,
        user: &str,
        password: &str,
    ) -> Self {
        Self {
            address: origin.data(),
            folder: format!("/in/v2/{channel}/{input}/"),
            user: (user.to_owned(), password.to_owned()),
            connection: None,
            challenge: None,
            nonce_count: 0,
            challenge_count: 0,
        }
    }

    /// The same encoder, pushing to another listener.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The path of a file of this input.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    pub fn put(&mut self, name: &str, body: &[u8]) -> Response {
        self.request("PUT", name, body)
    }

    /// Sends a request; once more with credentials where they were asked for.
    pub fn request(&mut self, method: &str, name: &str, body: &[u8]) -> Response {
        self.try_request(method, name, body).unwrap()
    }

    /// The same where the origin may end at any moment.
    pub fn try_request(&mut self, method: &str, name: &str, body: &[u8]) -> io::Result<Response> {
        let response = self.attempt(method, name, body)?;
        if response.status != 401 {
            return Ok(response);
        }
        self.accept_challenge(&response);
        self.attempt(method, name, body)
    }

    /// PUTs until it is taken, on new connections where it has to, with the credentials it has.
    /// Returns the statuses that were in the way.
    pub fn put_until_taken(&mut self, name: &str, body: &[u8]) -> Vec<u16> {
        let mut refusals = Vec::new();
        eventually("the body is taken", || {
            let path = self.path(name);
            if self.challenge.is_none() {
                self.authenticate();
            }
            let authorization = self.authorization("PUT", &path);
            let fields = [("Authorization", authorization.as_str())];
            let known =
                self.connection.take().map_or_else(|| Connection::try_open(self.address), Ok);
            let mut connection = known.ok()?;
            let response = connection.try_request("PUT", &path, &fields, body).ok()?;
            if !response.closes() {
                self.connection = Some(connection);
            }
            if !matches!(response.status, 201 | 204) {
                refusals.push(response.status);
                return None;
            }
            Some(())
        });
        refusals
    }

    /// Asks for a challenge, so that [`Encoder::authorization`] can answer it.
    pub fn authenticate(&mut self) {
        let response = self.attempt("PUT", "challenge.m3u8", b"").unwrap();
        assert_eq!(response.status, 401);
        self.accept_challenge(&response);
    }

    fn attempt(&mut self, method: &str, name: &str, body: &[u8]) -> io::Result<Response> {
        let path = self.path(name);
        let authorization = self.challenge.is_some().then(|| self.authorization(method, &path));
        let fields = authorization.as_ref().map(|value| ("Authorization", value.as_str()));
        let fields = fields.as_slice();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::try_open(self.address)?,
        };
        let response = connection.try_request(method, &path, fields, body)?;
        if !response.closes() {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Takes the first challenge of a 401.
    pub fn accept_challenge(&mut self, response: &Response) {
        let challenge = response.field("www-authenticate").expect("a challenge");
        let parameter = |name: &str| {
            let start = challenge.find(&format!(" {name}="))? + name.len() + 2;
            let value = &challenge[start..];
            match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => value.split(',').next(),
            }
        };
        let value = |name: &str| parameter(name).unwrap_or_default().to_owned();
        self.challenge = Some(["algorithm", "realm", "nonce", "opaque"].map(value));
        self.nonce_count = 0;
        self.challenge_count += 1;
    }

    /// The value of Authorization for the next request.
    pub fn authorization(&mut self, method: &str, path: &str) -> String {
        self.nonce_count += 1;
        let [algorithm, realm, nonce, opaque] = self.challenge.as_ref().expect("a challenge");
        let hash = |text: &str| match algorithm.as_str() {
            "SHA-256" => hex(&Sha256::digest(text)),
            _ => hex(&Md5::digest(text)),
        };
        let (user, password) = &self.user;
        let count = format!("{:08x}", self.nonce_count);
        let secret = hash(&format!("{user}:{realm}:{password}"));
        let request = hash(&format!("{method}:{path}"));
        let answer = hash(&format!("{secret}:{nonce}:{count}:0a4f113b:auth:{request}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", \
             algorithm={algorithm}, qop=auth, nc={count}, cnonce=\"0a4f113b\", \
             response=\"{answer}\", opaque=\"{opaque}\""
        )
    }

    /// The bytes of a whole request with credentials.
    pub fn message(&mut self, method: &str, name: &str, body: &[u8]) -> Vec<u8> {
        let path = self.path(name);
        let authorization = self.authorization(method, &path);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {authorization}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// The head of a PUT that waits for 100 before it sends `body`.
    pub fn expecting(&mut self, name: &str, body: &[u8]) -> Vec<u8> {
        let message = self.message("PUT", name, body);
        let head = String::from_utf8_lossy(&message[..message.len() - body.len()]);
        head.replace("Content-Length", "Expect: 100-continue\r\nContent-Length").into_bytes()
    }

    /// A whole PUT with a chunked body in pieces of `size` bytes, its last chunk left out where
    /// `cut`.
    pub fn chunked(&mut self, name: &str, body: &[u8], size: usize, cut: bool) -> Vec<u8> {
        let path = self.path(name);
        let authorization = self.authorization("PUT", &path);
        let mut message = format!(
            "PUT {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {authorization}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for piece in body.chunks(size) {
            message.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            message.extend_from_slice(piece);
            message.extend_from_slice(b"\r\n");
        }
        if !cut {
            message.extend_from_slice(b"0\r\n\r\n");
        }
        message
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
