//! Words for whoever supervises the process: the datagrams of sd_notify(3), sent where
//! `NOTIFY_SOCKET` names a socket. They say that it serves, and which process does after a
//! takeover.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that this process serves, and that it is the service's main process from now on.
pub fn notify_serving() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let text = format!("READY=1\nMAINPID={}\n", std::process::id());
    if let Err(error) = send(&socket, text.as_bytes()) {
        tracing::warn!(%error, "the supervisor was not told that this process serves");
    }
}

/// Sends a datagram to a socket in the file system, or to an abstract one (`@…`).
fn send(socket: &OsStr, text: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_socket_are_told() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let name = format!("headwater-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&abstract_address).unwrap()),
        ];
        for (address, socket) in sockets {
            send(&address, b"READY=1\n").unwrap();
            let mut text = [0; 32];
            let size = socket.recv(&mut text).unwrap();
            assert_eq!(&text[..size], b"READY=1\n");
        }
        assert!(send(dir.path().join("nobody").as_os_str(), b"READY=1\n").is_err());
    }
}
