//! `-i`: one connection on standard input and output.
//!
//! A socket goes to the monitor as it is. Two pipes (what `ssh -o ProxyCommand` and most supervisors give) become a socket
//! whose other end this process pumps, and nobody looks at the bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
use std::thread;

use rustix::fs::{FileType, fstat};

use super::monitor::{Clients, MonitorLog, Plan};
use crate::command_line::CommandLine;

/// Serves the connection, and returns with how the monitor ended.
pub(super) fn serve(line: &CommandLine, log: MonitorLog) -> io::Result<ExitStatus> {
    let plan = Plan {
        line,
        log,
        clients: Clients::One,
    };
    let start = |connection: OwnedFd| -> io::Result<Child> {
        plan.command(vec![connection], "connection")?.spawn()
    };
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let mut monitor = match same_socket(&input, &output)? {
        true => {
            drop(output);
            let monitor = start(input)?;
            // The client must see the end when the worker closes it.
            let null = File::options().read(true).write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdin(&null)?;
            rustix::stdio::dup2_stdout(&null)?;
            monitor
        }
        false => {
            let (theirs, ours) = UnixStream::pair()?;
            let monitor = start(theirs.into())?;
            pump(input, output, ours)?;
            monitor
        }
    };
    monitor.wait()
}

/// Whether what is said on standard error goes to the client: inetd(8) makes it the socket, too.
pub(super) fn errors_reach_the_client() -> bool {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    [input.as_fd(), output.as_fd()]
        .into_iter()
        .any(|end| same_file(end, errors.as_fd()))
}

/// Whether both are one socket, or one end of a pipe. What cannot be told is taken for one.
fn same_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => {
            let kind = FileType::from_raw_mode(one.st_mode);
            let stream = matches!(kind, FileType::Socket | FileType::Fifo);
            stream && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        }
        _ => true,
    }
}

/// Whether both are one socket.
fn same_socket(input: &OwnedFd, output: &OwnedFd) -> io::Result<bool> {
    let (input, output) = (fstat(input)?, fstat(output)?);
    let socket = FileType::from_raw_mode(input.st_mode) == FileType::Socket;
    Ok(socket && (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino))
}

/// Moves bytes both ways, and returns when the server has closed its way. What the client would still say then is of no
/// interest, so that way is not waited for.
fn pump(input: OwnedFd, output: OwnedFd, socket: UnixStream) -> io::Result<()> {
    let mut up = socket.try_clone()?;
    let forward = move || {
        // A broken pipe is an end like any other.
        drop(copy(&mut File::from(input), &mut up));
        drop(up.shutdown(Shutdown::Write));
    };
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(forward)?;
    let mut down = socket;
    let copied = copy(&mut down, &mut File::from(output));
    // The client is gone: so the server hears it, too.
    drop(down.shutdown(Shutdown::Both));
    copied
}

/// Moves bytes until there are no more.
///
/// Not [`io::copy`], which calls splice(2): from a socket into a pipe, that waits for the next bytes with the pipe locked,
/// and who wants to read the last ones waits with it (Linux 6.18, splice_file_to_pipe).
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_is_told_from_two_and_from_pipes() {
        let (a, b) = UnixStream::pair().unwrap();
        let copy = a.try_clone().unwrap();
        assert!(same_socket(&a.into(), &copy.into()).unwrap());
        let (c, d) = UnixStream::pair().unwrap();
        assert!(!same_socket(&b.into(), &c.into()).unwrap());
        let (reader, writer) = io::pipe().unwrap();
        assert!(!same_socket(&reader.into(), &writer.into()).unwrap());
        drop(d);
    }

    #[test]
    fn errors_on_the_clients_socket_or_pipe_are_told_from_those_elsewhere() {
        let (a, b) = UnixStream::pair().unwrap();
        let copy = a.try_clone().unwrap();
        assert!(same_file(a.as_fd(), copy.as_fd()));
        assert!(!same_file(a.as_fd(), b.as_fd()));
        let (reader, writer) = io::pipe().unwrap();
        let copy = writer.try_clone().unwrap();
        assert!(same_file(writer.as_fd(), copy.as_fd()));
        assert!(!same_file(a.as_fd(), reader.as_fd()));
        // Nobody's: a terminal, or /dev/null for all three.
        let null = File::open("/dev/null").unwrap();
        assert!(!same_file(null.as_fd(), null.as_fd()));
    }

    #[test]
    fn pipes_are_pumped_until_the_server_closes() {
        let (client_reads, output) = io::pipe().unwrap();
        let (input, mut client_writes) = io::pipe().unwrap();
        let (ours, mut server) = UnixStream::pair().unwrap();
        let pump = thread::spawn(move || pump(input.into(), output.into(), ours));
        let data = vec![7; 1 << 20];
        let sent = data.clone();
        let client = thread::spawn(move || {
            client_writes.write_all(&sent).unwrap();
            let mut client_reads = client_reads;
            let mut echoed = Vec::new();
            client_reads.read_to_end(&mut echoed).unwrap();
            // Still open: the client does not end first.
            drop(client_writes);
            echoed
        });
        let mut received = vec![0; 1 << 20];
        server.read_exact(&mut received).unwrap();
        server.write_all(&received).unwrap();
        drop(server);
        assert_eq!(client.join().unwrap(), data);
        pump.join().unwrap().unwrap();
    }
    #[test]
    fn what_the_server_said_is_read_while_it_is_silent() {
        let (mut client_reads, output) = io::pipe().unwrap();
        let (input, client_writes) = io::pipe().unwrap();
        let (ours, mut server) = UnixStream::pair().unwrap();
        let pump = thread::spawn(move || pump(input.into(), output.into(), ours));
        server.write_all(b"SSH-2.0-x").unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 9];
            for byte in &mut bytes {
                client_reads.read_exact(std::slice::from_mut(byte)).unwrap();
                // The pump has come to its next wait.
                thread::sleep(std::time::Duration::from_millis(20));
            }
            tell.send(bytes).unwrap();
        });
        let bytes = told.recv_timeout(std::time::Duration::from_secs(10));
        assert_eq!(&bytes.unwrap(), b"SSH-2.0-x");
        drop((server, client_writes));
        pump.join().unwrap().unwrap();
    }
}
