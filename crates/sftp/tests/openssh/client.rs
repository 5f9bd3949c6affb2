//! The same requests to our server and to OpenSSH's, each in a fresh directory of the same name.

use std::fs;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use wire::codec::Write as _;

/// Our server.
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_sftp");

/// OpenSSH's, out of Debian's package, which is taken from the archive of this machine once.
pub(crate) fn openssh() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| unpacked().join("usr/lib/openssh/sftp-server"))
}

fn unpacked() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = target.join("debian-sftp-server");
    if !root.exists() {
        // Renamed when it is whole: another process may do the same now.
        let making = target.join(format!("debian-sftp-server.{}", std::process::id()));
        fs::create_dir_all(&making).unwrap();
        let script = "apt-get -q download openssh-sftp-server && dpkg -x *.deb .";
        let made = Command::new("sh")
            .args(["-c", script])
            .current_dir(&making)
            .status();
        assert!(made.unwrap().success(), "{script}");
        if fs::rename(&making, &root).is_err() {
            fs::remove_dir_all(&making).unwrap();
        }
    }
    root
}

/// A packet without its length.
pub(crate) type Packet = Vec<u8>;

/// A request under construction.
pub(crate) struct Request(Packet);

pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const APPEND: u32 = 4;
pub(crate) const CREATE: u32 = 8;
pub(crate) const TRUNCATE: u32 = 16;
pub(crate) const EXCLUSIVE: u32 = 32;

/// The name of the first handle, of the second, …
pub(crate) fn handle(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

impl Request {
    pub(crate) fn of_type(number: u8) -> Self {
        let mut packet = vec![number];
        packet.put_uint32(0);
        Self(packet)
    }

    pub(crate) fn extended(name: &str) -> Self {
        Self::of_type(200).string(name.as_bytes())
    }

    pub(crate) fn string(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.put_string(bytes.as_ref());
        self
    }

    pub(crate) fn uint32(mut self, number: u32) -> Self {
        self.0.put_uint32(number);
        self
    }

    pub(crate) fn uint64(mut self, number: u64) -> Self {
        self.0.put_uint64(number);
        self
    }

    /// No attributes.
    pub(crate) fn plain(self) -> Self {
        self.uint32(0)
    }

    pub(crate) fn done(self) -> Packet {
        self.0
    }
}

/// SSH_FXP_OPEN
pub(crate) fn open(path: &str, flags: u32) -> Packet {
    Request::of_type(3)
        .string(path)
        .uint32(flags)
        .plain()
        .done()
}

pub(crate) fn close(number: u32) -> Packet {
    Request::of_type(4).string(handle(number)).done()
}

pub(crate) fn read(number: u32, offset: u64, length: u32) -> Packet {
    let request = Request::of_type(5).string(handle(number));
    request.uint64(offset).uint32(length).done()
}

pub(crate) fn write(number: u32, offset: u64, data: &[u8]) -> Packet {
    let request = Request::of_type(6).string(handle(number));
    request.uint64(offset).string(data).done()
}

/// A request whose only field is a path.
pub(crate) fn with_path(number: u8, path: impl AsRef<[u8]>) -> Packet {
    Request::of_type(number).string(path).done()
}

/// What a server did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its answers, the version first.
    pub(crate) answers: Vec<Packet>,
    pub(crate) exit: Option<i32>,
    /// What was in the directory at the end: names, types, modes and content.
    pub(crate) files: Vec<String>,
}

/// Asks both servers, with these arguments, in a directory that `prepare` has filled. Identifiers are put in here, so
/// that answers can be told apart.
pub(crate) fn ask_both(
    arguments: &[&str],
    prepare: impl Fn(&Path),
    requests: &[Packet],
) -> [Seen; 2] {
    let directory = Directory::lock();
    let mut stream = frame(&[1, 0, 0, 0, 3]);
    for (number, request) in requests.iter().enumerate() {
        let mut request = request.clone();
        let id = u32::try_from(number).unwrap().to_be_bytes();
        if let Some(place) = request.get_mut(1..5) {
            place.copy_from_slice(&id);
        }
        stream.extend(frame(&request));
    }
    [Path::new(OURS), openssh()].map(|program| {
        directory.clear();
        prepare(&directory.0);
        let wanted = requests.len() + 1;
        let (answers, exit) = ask(program, arguments, &directory.0, stream.clone(), wanted);
        let mut files = Vec::new();
        list(&directory.0, Path::new(""), &mut files);
        files.sort();
        Seen {
            answers,
            exit,
            files,
        }
    })
}

/// Sends bytes as they are to one server, and hears so many answers of it, or fewer if it ends.
pub(crate) fn ask(
    program: &Path,
    arguments: &[&str],
    directory: &Path,
    stream: Vec<u8>,
    wanted: usize,
) -> (Vec<Packet>, Option<i32>) {
    let mut server = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = server.stdin.take().unwrap();
    // A server that has had enough does not read the rest. One that sees the end forgets its answers (OpenSSH).
    let writer = thread::spawn(move || {
        stdin.write_all(&stream).ok();
        stdin
    });
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let answers = (0..wanted).map_while(|_| answer(&mut stdout)).collect();
    drop(writer.join().unwrap());
    (answers, server.wait().unwrap().code())
}

fn answer(stdout: &mut impl Read) -> Option<Packet> {
    let mut length = [0; 4];
    stdout.read_exact(&mut length).ok()?;
    let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stdout.read_exact(&mut packet).ok()?;
    Some(packet)
}

pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    let mut framed = Vec::new();
    framed.put_string(packet);
    framed
}

fn list(directory: &Path, below: &Path, found: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;
    for entry in fs::read_dir(directory.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        let metadata = entry.metadata().unwrap();
        let content = if metadata.is_dir() {
            list(directory, &path, found);
            String::new()
        } else if metadata.is_symlink() {
            fs::read_link(entry.path()).unwrap().display().to_string()
        } else if metadata.is_file() {
            format!("{:?}", fs::read(entry.path()).unwrap())
        } else {
            String::new()
        };
        let mode = metadata.mode();
        found.push(format!("{} {mode:o} {content}", path.display()));
    }
}

/// The directory of the servers. There is one, since its name is in their answers.
struct Directory(
    PathBuf,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl Directory {
    fn lock() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("sftp-openssh-{}", std::process::id());
        let path = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        Self(path, guard)
    }

    fn clear(&self) {
        fs::remove_dir_all(&self.0).ok();
        fs::create_dir(&self.0).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
