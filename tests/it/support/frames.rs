//! HTTP/2 by hand: frames as no library would send them (RFC 9113 section 4.1).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Grantd, Https, Protocol};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Longest wait for a frame.
const FRAME: Duration = Duration::from_secs(20);

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A SETTINGS frame with these values.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// The fields of a request, in HPACK without a table (RFC 7541 appendix A for the numbers).
pub fn fields(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![if method == "GET" { 0x82 } else { 0x83 }, 0x87];
    for (name, value) in [(0x01, "localhost"), (0x04, path)] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

/// A field that is not in the table.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x00, u8::try_from(name.len()).unwrap()];
    block.extend(name.as_bytes());
    block.push(u8::try_from(value.len()).unwrap());
    block.extend(value.as_bytes());
    block
}

/// The head of a request.
pub fn request(stream: u32, flags: u8, method: &str, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &fields(method, path))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection of which every byte is the test's own.
pub struct Raw {
    stream: TlsStream<TcpStream>,
}

impl Raw {
    /// Connects, and begins with these settings.
    pub async fn connect(grantd: &Grantd, values: &[(u16, u32)]) -> Self {
        Self::connect_to(grantd.https(), values).await
    }

    /// The same from where this client is.
    pub async fn connect_to(https: &Https, values: &[(u16, u32)]) -> Self {
        let stream = https.connect(Protocol::Http2).await;
        let mut raw = Self { stream };
        let preface = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            &settings(values),
        ]
        .concat();
        assert!(raw.write(&preface).await);
        raw
    }

    /// Writes; whether the daemon still takes it.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(tokio::time::timeout(FRAME, written).await, Ok(Ok(())))
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            })
        };
        tokio::time::timeout(FRAME, read)
            .await
            .expect("a frame or the end in time")
    }

    /// Reads until there is a frame like this; whether it came before the end.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> bool {
        while let Some(frame) = self.next().await {
            if wanted(&frame) {
                return true;
            }
        }
        false
    }

    /// Whether a frame like this is among the answers to what was sent so far; `None` at the end of the
    /// connection.
    pub async fn saw(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<bool> {
        if !self.write(&frame(PING, 0, 0, b"are you?")).await {
            return None;
        }
        let mut saw = false;
        loop {
            let frame = self.next().await?;
            if frame.kind == PING && frame.flags == 1 {
                return Some(saw);
            }
            saw |= wanted(&frame);
        }
    }

    /// Whether everything that was sent so far was looked at, and the connection stands.
    pub async fn is_alive(&mut self) -> bool {
        self.write(&frame(PING, 0, 0, b"are you?")).await
            && self
                .until(|frame| frame.kind == PING && frame.flags == 1)
                .await
    }

    /// Writes the same again and again while another task reads what comes; how often it could, at most
    /// this often, before the daemon ended the connection. `None` when it never did.
    pub async fn flood(self, most: usize, bytes: impl Fn(usize) -> Vec<u8>) -> Option<usize> {
        let (mut read, mut write) = tokio::io::split(self.stream);
        let reading = tokio::spawn(async move {
            let mut chunk = vec![0; 16 * 1024];
            while matches!(read.read(&mut chunk).await, Ok(count) if count > 0) {}
        });
        for round in 0..most {
            let written = async {
                write.write_all(&bytes(round)).await?;
                write.flush().await
            };
            let written = tokio::time::timeout(FRAME, written).await;
            if reading.is_finished() || !matches!(written, Ok(Ok(()))) {
                return Some(round);
            }
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), reading).await;
        ended.is_ok().then_some(most)
    }
}
