//! Every request, good and hostile, to our server and to OpenSSH's: answers, ends and files are the same.
//!
//! Ours is the real program, in its cage. Of the answers only times of access are not compared, and what changes by
//! itself in a file system's figures.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

mod client;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use client::{
    APPEND, CREATE, EXCLUSIVE, Packet, READ, Request, Seen, TRUNCATE, WRITE, ask_both, close,
    handle, open, read, with_path, write,
};

const LONG: usize = 100_000;

fn nothing(_: &Path) {}

/// Some files.
fn some(directory: &Path) {
    fs::write(directory.join("a"), "content of a").unwrap();
    fs::write(directory.join("b"), "b").unwrap();
    fs::set_permissions(directory.join("b"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(directory.join("d")).unwrap();
    fs::write(directory.join("d/e"), "").unwrap();
    symlink("a", directory.join("l")).unwrap();
    symlink("none", directory.join("dangling")).unwrap();
    symlink("loop", directory.join("loop")).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::open(directory.join("a")).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(old).set_accessed(old))
        .unwrap();
}

/// Both servers do the same.
fn same(arguments: &[&str], prepare: impl Fn(&Path), requests: &[Packet]) -> Seen {
    let [mut ours, mut theirs] = ask_both(arguments, prepare, requests);
    for seen in [&mut ours, &mut theirs] {
        for answer in &mut seen.answers {
            forget_times(answer);
        }
    }
    for (number, (our, their)) in ours.answers.iter().zip(&theirs.answers).enumerate() {
        let asked = number
            .checked_sub(1)
            .and_then(|number| requests.get(number));
        let asked = asked.map(|request| request.get(..request.len().min(200)));
        assert_eq!(
            String::from_utf8_lossy(our),
            String::from_utf8_lossy(their),
            "{asked:?}"
        );
    }
    assert_eq!(ours.answers.len(), theirs.answers.len());
    assert_eq!(ours.files, theirs.files);
    assert_eq!(ours.exit == Some(0), theirs.exit == Some(0));
    ours
}

/// Zeros the times of ATTRS: access by the test itself, modification within the second.
fn forget_times(answer: &mut [u8]) {
    const ATTRS: u8 = 105;
    if answer.first() == Some(&ATTRS)
        && let Some(times) = answer.get_mut(29..37)
    {
        times.fill(0);
    }
}

/// The status of the answer to a request.
fn status(seen: &Seen, request: usize) -> Option<u8> {
    let answer = &seen.answers[request + 1];
    (answer[0] == 101).then(|| answer[8])
}

const OK: Option<u8> = Some(0);
const END: Option<u8> = Some(1);
const NO_SUCH_FILE: Option<u8> = Some(2);
const DENIED: Option<u8> = Some(3);
const FAILURE: Option<u8> = Some(4);
const BAD: Option<u8> = Some(5);

#[test]
fn files_are_opened_read_written_and_closed() {
    let seen = same(
        &[],
        some,
        &[
            open("new", WRITE | CREATE | TRUNCATE),
            write(0, 0, b"0123456789"),
            write(0, 4, b"four"),
            write(0, 20, b"sparse"),
            write(0, 0, b""),
            open("a", READ),
            read(1, 0, 7),
            read(1, 8, 100),
            read(1, 12, 1),
            read(1, 3, 0),
            close(0),
            close(1),
            open("a", WRITE | APPEND),
            write(0, 0, b" and more"),
            write(0, 1 << 62, b"!"),
            close(0),
            open("new", WRITE | CREATE | EXCLUSIVE),
            open("none", READ),
            open("d", WRITE),
            open("", READ),
            open("loop", READ),
        ],
    );
    assert_eq!(status(&seen, 8), END);
    assert_eq!(status(&seen, 17), NO_SUCH_FILE);
}

#[test]
fn offsets_and_lengths_that_cannot_be_are_refused() {
    let seen = same(
        &[],
        some,
        &[
            open("a", READ | WRITE),
            read(0, u64::MAX, 10),
            read(0, 1 << 63, 10),
            read(0, (1 << 63) - 1, u32::MAX),
            read(0, 0, u32::MAX),
            write(0, u64::MAX, b"x"),
            write(0, 1 << 63, b"x"),
            close(0),
        ],
    );
    assert_eq!(status(&seen, 1), BAD);
    assert_eq!(status(&seen, 5), BAD);
}

#[test]
fn a_handle_is_good_until_it_is_closed_and_for_what_it_is() {
    let bad = |name: &[u8]| Request::of_type(5).string(name).uint64(0).uint32(1).done();
    let seen = same(
        &[],
        some,
        &[
            open("a", READ),
            with_path(11, "d"),
            // A directory is no file, and the other way round.
            read(1, 0, 1),
            write(1, 0, b"x"),
            Request::of_type(12).string(handle(0)).done(),
            Request::of_type(8).string(handle(1)).done(),
            Request::of_type(10).string(handle(1)).plain().done(),
            bad(b""),
            bad(b"\0\0\0"),
            bad(&[0; 5]),
            bad(&[0; 300]),
            bad(&[0xff; 4]),
            close(0),
            read(0, 0, 1),
            Request::extended("fsync@openssh.com")
                .string(handle(0))
                .done(),
            Request::extended("fstatvfs@openssh.com")
                .string(handle(0))
                .done(),
            close(0),
            close(7),
            // The number is used again.
            open("b", READ),
            read(0, 0, 10),
        ],
    );
    assert_eq!(status(&seen, 13), FAILURE);
    assert_eq!(status(&seen, 16), NO_SUCH_FILE);
}

#[test]
fn attributes_are_told_and_set() {
    let set = |path: &str| Request::of_type(9).string(path);
    let seen = same(
        &[],
        some,
        &[
            with_path(17, "a"),
            with_path(17, "l"),
            with_path(7, "l"),
            with_path(17, "dangling"),
            with_path(7, "dangling"),
            with_path(17, "a/below"),
            set("a").uint32(1).uint64(5).done(),
            set("a").uint32(4).uint32(0o107_777).done(),
            set("a")
                .uint32(8)
                .uint32(1_000_000)
                .uint32(2_000_000)
                .done(),
            set("a").uint32(2).uint32(u32::MAX).uint32(u32::MAX).done(),
            set("a").plain().done(),
            set("none").uint32(4).uint32(0o600).done(),
            // All of it is tried, and the last failure counts.
            set("none").uint32(5).uint64(1).uint32(0o600).done(),
            set("a").uint32(1).uint64(u64::MAX).done(),
            set("b")
                .uint32(0x8000_0004)
                .uint32(0o600)
                .uint32(1)
                .string("x")
                .string("y")
                .done(),
            open("b", WRITE),
            Request::of_type(10)
                .string(handle(0))
                .uint32(5)
                .uint64(3)
                .uint32(0o4711)
                .done(),
            Request::of_type(8).string(handle(0)).done(),
            Request::extended("lsetstat@openssh.com")
                .string("l")
                .uint32(8)
                .uint32(1)
                .uint32(2)
                .done(),
            Request::extended("lsetstat@openssh.com")
                .string("l")
                .uint32(4)
                .uint32(0o600)
                .done(),
            Request::extended("lsetstat@openssh.com")
                .string("b")
                .uint32(4)
                .uint32(0o604)
                .done(),
            Request::extended("lsetstat@openssh.com")
                .string("b")
                .uint32(1)
                .uint64(1)
                .done(),
        ],
    );
    assert_eq!(status(&seen, 13), BAD);
    assert_eq!(status(&seen, 21), BAD);
}

#[test]
fn names_are_made_changed_and_removed() {
    let two =
        |number, old: &str, new: &str| Request::of_type(number).string(old).string(new).done();
    let extended =
        |name, old: &str, new: &str| Request::extended(name).string(old).string(new).done();
    let seen = same(
        &[],
        some,
        &[
            Request::of_type(14).string("new").plain().done(),
            Request::of_type(14).string("new").plain().done(),
            Request::of_type(14)
                .string("odd")
                .uint32(4)
                .uint32(0o1711)
                .done(),
            with_path(15, "new"),
            with_path(15, "d"),
            with_path(15, "a"),
            with_path(13, "d"),
            // Never in place of something.
            two(18, "a", "b"),
            two(18, "a", "d/a"),
            two(18, "d", "d2"),
            two(18, "d2", "odd"),
            two(18, "none", "some"),
            two(18, "l", "l2"),
            extended("posix-rename@openssh.com", "d2/a", "b"),
            extended("posix-rename@openssh.com", "none", "b"),
            // The target first.
            two(20, "target of it", "link"),
            two(20, "target", "b"),
            with_path(19, "link"),
            with_path(19, "b"),
            extended("hardlink@openssh.com", "b", "hard"),
            extended("hardlink@openssh.com", "b", "hard"),
            with_path(13, "b"),
            with_path(13, "b"),
        ],
    );
    assert_eq!(status(&seen, 7), FAILURE);
    assert_eq!(status(&seen, 15), OK);
    assert!(seen.files.iter().any(|file| file.ends_with("target of it")));
}

#[test]
fn paths_are_resolved() {
    let expand = |path: &str| {
        Request::extended("expand-path@openssh.com")
            .string(path)
            .done()
    };
    let mut requests = Vec::new();
    for path in [
        "",
        ".",
        "..",
        "a",
        "/",
        "//",
        "none",
        "none/none",
        "l",
        "l/",
        "loop",
        "dangling",
        "dangling/x",
        "d/../d/./e",
        "a/x",
        "a/..",
        "/..",
        "./d//e/",
        "/etc/../etc/passwd",
    ] {
        requests.push(with_path(16, path));
        requests.push(expand(path));
    }
    for path in [
        "~",
        "~/d",
        "~root",
        "~root/x",
        "~nobody-of-that-name",
        "~nobody-of-that-name/x",
    ] {
        requests.push(expand(path));
    }
    requests.push(Request::extended("home-directory").string("root").done());
    requests.push(
        Request::extended("home-directory")
            .string("nobody-of-that-name")
            .done(),
    );
    same(&[], some, &requests);
}

#[test]
fn paths_that_no_file_has_are_refused() {
    let long = vec![b'x'; LONG];
    let deep = b"x/".repeat(LONG / 2);
    let mut requests = Vec::new();
    for path in [&long, &deep] {
        for number in [7, 11, 13, 15, 16, 17, 19] {
            requests.push(with_path(number, path));
        }
        for number in [9, 14] {
            requests.push(
                Request::of_type(number)
                    .string(path)
                    .uint32(4)
                    .uint32(0o700)
                    .done(),
            );
        }
        requests.push(
            Request::of_type(3)
                .string(path)
                .uint32(WRITE | CREATE)
                .plain()
                .done(),
        );
        for number in [18, 20] {
            requests.push(Request::of_type(number).string("a").string(path).done());
            requests.push(Request::of_type(number).string(path).string("a").done());
        }
        requests.push(Request::extended("statvfs@openssh.com").string(path).done());
        requests.push(
            Request::extended("expand-path@openssh.com")
                .string(path)
                .done(),
        );
    }
    let seen = same(&[], some, &requests);
    assert_eq!(status(&seen, 0), BAD);
}

#[test]
fn directories_are_listed() {
    // In the order of the file system, which is another in another directory.
    let one = |directory: &Path| {
        fs::create_dir(directory.join("d")).unwrap();
        fs::write(directory.join("d/only \x01 file"), "12345").unwrap();
        let file = fs::File::open(directory.join("d/only \x01 file")).unwrap();
        let time =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
        file.set_times(times).unwrap();
    };
    let list = Request::of_type(12).string(handle(0)).done();
    let [ours, theirs] = ask_both(
        &[],
        one,
        &[
            with_path(11, "d"),
            list.clone(),
            list.clone(),
            list,
            close(0),
            with_path(11, "d/only \x01 file"),
            with_path(11, "none"),
        ],
    );
    assert_eq!(names(&ours.answers[2]), names(&theirs.answers[2]));
    assert_eq!(names(&ours.answers[2]).len(), 3);
    assert_eq!(ours.answers[3..], theirs.answers[3..]);
    assert_eq!((status(&ours, 2), status(&ours, 3)), (END, END));
}

/// The names of a list, each with its line; `.` and `..` without theirs, which are as old as the test.
fn names(answer: &[u8]) -> Vec<(String, String)> {
    let mut reader = wire::codec::Reader::new(&answer[5..]);
    let count = reader.uint32().unwrap();
    let mut names: Vec<_> = (0..count)
        .map(|_| {
            let name = String::from_utf8_lossy(reader.string(4096).unwrap()).into_owned();
            let long = String::from_utf8_lossy(reader.string(4096).unwrap()).into_owned();
            reader.bytes(4 + 8 + 8 + 4 + 8).unwrap();
            match name.as_str() {
                "." | ".." => (name, String::new()),
                _ => (name, long),
            }
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_huge_directory_is_listed_in_packets_that_every_client_takes() {
    const FILES: usize = 1000;
    let many = |directory: &Path| {
        for number in 0..FILES {
            fs::write(directory.join(format!("file {number:0200}")), "").unwrap();
        }
    };
    let list = Request::of_type(12).string(handle(0)).done();
    let requests = [vec![with_path(11, ".")], vec![list; 60]].concat();
    let [ours, _] = ask_both(&[], many, &requests);
    let lists = ours.answers.iter().filter(|answer| answer[0] == 104);
    let mut found = 0;
    for answer in lists {
        assert!(answer.len() <= 34_000, "{}", answer.len());
        found += names(answer).len();
    }
    assert_eq!(found, FILES + 2);
}

#[test]
fn a_handle_is_closed_after_the_copy_that_uses_it() {
    let copy = Request::extended("copy-data").string(handle(0)).uint64(0);
    let copy = copy.uint64(0).string(handle(1)).uint64(0).done();
    let requests = [
        open("a", READ),
        open("copy", WRITE | CREATE),
        copy,
        close(0),
        close(1),
        close(0),
    ];
    let seen = same(&[], some, &requests);
    assert!((2..5).all(|at| status(&seen, at) == OK));
    assert_eq!(status(&seen, 5), NO_SUCH_FILE);
    let [whole, copied] = ["a ", "copy "].map(|name| {
        let mut files = seen.files.iter();
        files.find_map(|file| file.strip_prefix(name)).unwrap()
    });
    assert_eq!(whole, copied);
}

#[test]
fn data_is_copied_within_the_server() {
    let copy = |from, from_offset, length, to, to_offset| {
        let request = Request::extended("copy-data").string(handle(from));
        let request = request.uint64(from_offset).uint64(length);
        request.string(handle(to)).uint64(to_offset).done()
    };
    let seen = same(
        &[],
        some,
        &[
            open("a", READ),
            open("copy", WRITE | CREATE),
            open("b", READ | WRITE | APPEND),
            with_path(11, "d"),
            copy(0, 0, 0, 1, 0),
            copy(0, 8, 0, 1, 20),
            copy(0, 0, 3, 1, 30),
            copy(0, 0, 3, 2, 0),
            copy(0, 0, 10_000_000, 1, 40),
            copy(0, 100, 0, 1, 0),
            copy(0, 0, 0, 0, 0),
            copy(1, 0, 0, 0, 0),
            copy(0, 0, 0, 3, 0),
            copy(0, 0, 0, 9, 0),
            copy(0, u64::MAX, 1, 1, 0),
            copy(0, 0, 1, 1, 1 << 63),
            close(1),
        ],
    );
    assert_eq!(status(&seen, 4), OK);
    assert_eq!(status(&seen, 8), END);
    assert_eq!(status(&seen, 10), FAILURE);
}

#[test]
fn figures_and_names_are_told() {
    let ids = |users: &[u32], groups: &[u32]| {
        let pack = |ids: &[u32]| {
            ids.iter()
                .flat_map(|id| id.to_be_bytes())
                .collect::<Vec<_>>()
        };
        let request = Request::extended("users-groups-by-id@openssh.com");
        request.string(pack(users)).string(pack(groups)).done()
    };
    let requests = [
        Request::extended("limits@openssh.com").done(),
        ids(&[0, 1, 4_000_000, 65_534], &[0, 4_000_000, 65_534]),
        ids(&[], &[]),
        Request::extended("statvfs@openssh.com")
            .string("/proc")
            .done(),
        Request::extended("statvfs@openssh.com")
            .string("none")
            .done(),
        Request::extended("unknown@example.com").string("x").done(),
        Request::extended("fsync@openssh.com")
            .string(handle(3))
            .done(),
    ];
    same(&[], nothing, &requests);
}

#[test]
fn files_are_written_to_the_disk_and_their_file_system_is_told_of() {
    let on = |name, number| Request::extended(name).string(handle(number)).done();
    let prepare = |directory: &Path| {
        some(directory);
        // What cannot be written to a disk, and figures that do not change meanwhile.
        symlink("/proc/version", directory.join("proc")).unwrap();
    };
    let requests = [
        open("a", READ | WRITE),
        write(0, 0, b"kept"),
        on("fsync@openssh.com", 0),
        open("b", READ),
        on("fsync@openssh.com", 1),
        open("proc", READ),
        on("fsync@openssh.com", 2),
        on("fstatvfs@openssh.com", 2),
        on("fstatvfs@openssh.com", 0),
    ];
    let [mut ours, mut theirs] = ask_both(&[], prepare, &requests);
    for seen in [&mut ours, &mut theirs] {
        forget_use(&mut seen.answers[9]);
    }
    assert_eq!(ours, theirs);
    assert_eq!((status(&ours, 2), status(&ours, 4)), (OK, OK));
    assert_eq!(ours.answers[8][0], EXTENDED_REPLY);
    assert_eq!(ours.answers[9].len(), 5 + 11 * 8);
}

const EXTENDED_REPLY: u8 = 201;

/// Zeros what other processes change of a disk's figures: f_bfree, f_bavail, f_files (of btrfs and XFS), f_ffree and f_favail.
fn forget_use(answer: &mut [u8]) {
    assert_eq!(answer[0], EXTENDED_REPLY);
    for field in 3..8 {
        answer[5 + field * 8..][..8].fill(0);
    }
}

#[test]
fn arguments_that_ask_or_are_wrong_are_answered() {
    let run = |program: &Path, arguments: &[&str]| -> (Option<i32>, String, String) {
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let errors = text(output.stderr);
        // Where there is no journal, the log is there, too.
        let told = errors
            .split_inclusive('\n')
            .filter(|line| !line.starts_with('<'));
        (output.status.code(), text(output.stdout), told.collect())
    };
    for arguments in [["-Q", "requests"].as_slice(), &["-Q", "x"], &["-h"]] {
        let ours = run(Path::new(client::OURS), arguments);
        let mut theirs = run(client::openssh(), arguments);
        // Each gives its own name; both have the same letters.
        theirs.2 = theirs.2.replace("sftp-server", "internal-sftp");
        assert_eq!(ours, theirs, "{arguments:?}");
    }
    for (arguments, what) in [
        (["-l", "nope"], "Invalid log level \"nope\"\n"),
        (["-f", "nope"], "Invalid log facility \"nope\"\n"),
    ] {
        let ours = run(Path::new(client::OURS), &arguments);
        let theirs = run(client::openssh(), &arguments);
        assert_eq!(ours.0, theirs.0, "{arguments:?}");
        // sftp-server says "Unrecognized internal syslog level code -1": the word that is wrong is not in it.
        assert_eq!((&*ours.1, &*ours.2), ("", what));
    }
}

#[test]
fn what_is_not_permitted_is_refused_and_not_announced() {
    let requests = || {
        [
            open("a", READ),
            open("a", WRITE),
            open("n", READ | CREATE),
            open("a", READ | TRUNCATE),
            open("a", READ | APPEND),
            read(0, 0, 5),
            write(0, 0, b"x"),
            with_path(13, "a"),
            Request::of_type(14).string("n").plain().done(),
            with_path(15, "d"),
            Request::of_type(18).string("a").string("n").done(),
            Request::of_type(20).string("a").string("n").done(),
            Request::of_type(9)
                .string("a")
                .uint32(4)
                .uint32(0o777)
                .done(),
            Request::of_type(10)
                .string(handle(0))
                .uint32(4)
                .uint32(0o777)
                .done(),
            Request::extended("posix-rename@openssh.com")
                .string("a")
                .string("n")
                .done(),
            Request::extended("hardlink@openssh.com")
                .string("a")
                .string("n")
                .done(),
            Request::extended("lsetstat@openssh.com")
                .string("a")
                .uint32(8)
                .uint32(1)
                .uint32(1)
                .done(),
            Request::extended("fsync@openssh.com")
                .string(handle(0))
                .done(),
            Request::extended("copy-data")
                .string(handle(0))
                .uint64(0)
                .uint64(1)
                .string(handle(1))
                .uint64(0)
                .done(),
            Request::extended("limits@openssh.com").done(),
            with_path(17, "a"),
            with_path(11, "d"),
        ]
    };
    let seen = same(&["-R"], some, &requests());
    for number in (6..=18).chain([1, 2, 3]) {
        assert_eq!(status(&seen, number), DENIED, "{number}");
    }
    for arguments in [
        ["-P", "remove,limits,posix-rename"].as_slice(),
        &["-p", "open,read,close,realpath,limits"],
        &["-p", "open,read,write", "-P", "write"],
        &["-p", "nothing"],
        // Of these some are no options.
        &["-R", "#", "comment"],
        &["extra", "-R"],
        &["--", "-R"],
    ] {
        same(arguments, some, &requests());
    }
}

#[test]
fn new_files_have_the_modes_of_the_umask() {
    let create = |mode| {
        Request::of_type(3)
            .string(format!("{mode:o}"))
            .uint32(WRITE | CREATE)
            .uint32(4)
            .uint32(mode)
            .done()
    };
    for umask in ["0", "027", "077", "777"] {
        same(
            &["-u", umask],
            nothing,
            &[
                open("plain", WRITE | CREATE),
                create(0o777),
                create(0o4755),
                create(0o100_600),
                Request::of_type(14).string("d").plain().done(),
            ],
        );
    }
}

#[test]
fn a_client_that_breaks_the_protocol_is_not_served_on() {
    let cut = |packet: Packet| packet[..packet.len() - 1].to_vec();
    for broken in [
        cut(with_path(17, "a")),
        cut(open("a", READ)),
        cut(read(0, 0, 1)),
        cut(write(0, 0, b"x")),
        with_path(17, "a\0b"),
        Request::of_type(17).uint32(u32::MAX).done(),
        Request::of_type(9)
            .string("a")
            .uint32(0x8000_0000)
            .uint32(u32::MAX)
            .done(),
        Request::extended("users-groups-by-id@openssh.com")
            .string("123")
            .string("")
            .done(),
        Request::of_type(200).done(),
        vec![17],
        vec![],
        vec![0; 256 * 1024 + 1],
    ] {
        let requests = [with_path(17, "a"), broken, with_path(17, "b")];
        let seen = same(&[], some, &requests);
        assert_eq!(
            (seen.answers.len(), seen.exit.map(|code| code != 0)),
            (2, Some(true))
        );
    }
}

#[test]
fn the_first_packet_is_init() {
    let directory = std::env::temp_dir();
    for program in [Path::new(client::OURS), client::openssh()] {
        let stream = client::frame(&with_path(17, "a"));
        let (answers, exit) = client::ask(program, &[], &directory, stream, 1);
        assert_eq!((answers.len(), exit), (0, Some(255)), "{program:?}");
    }
}

#[test]
fn packets_of_no_known_type_are_answered() {
    // OpenSSH's server says nothing, and its client would wait for ever.
    let stream = [
        client::frame(&[1, 0, 0, 0, 3]),
        client::frame(&Request::of_type(99).done()),
    ];
    let directory = std::env::temp_dir();
    let (answers, _) = client::ask(Path::new(client::OURS), &[], &directory, stream.concat(), 2);
    assert_eq!((answers[1][0], answers[1][8]), (101, 8));
}

#[test]
fn nobody_has_to_be_at_the_other_end_of_a_named_pipe() {
    let pipe = |directory: &Path| {
        let made = Command::new("mkfifo").arg(directory.join("p")).status();
        assert!(made.unwrap().success());
    };
    // OpenSSH's server would wait for somebody who writes.
    let directory = std::env::temp_dir().join(format!("sftp-pipe-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    pipe(&directory);
    let stream = [
        client::frame(&[1, 0, 0, 0, 3]),
        client::frame(&open("p", WRITE)),
        client::frame(&open("p", READ)),
    ];
    let (answers, _) = client::ask(Path::new(client::OURS), &[], &directory, stream.concat(), 3);
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!((answers[1][0], answers[2][0]), (101, 102));
}

#[test]
fn a_file_that_may_not_grow_ends_one_request_and_not_the_session() {
    let directory = std::env::temp_dir().join(format!("sftp-limit-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let offset = u64::try_from(LONG).unwrap();
    let stream = [
        client::frame(&[1, 0, 0, 0, 3]),
        client::frame(&open("f", WRITE | CREATE)),
        client::frame(&write(0, 0, &[0; LONG])),
        client::frame(&write(0, offset, b"x")),
        client::frame(&close(0)),
    ];
    let limit = format!("--fsize={LONG}");
    let arguments = [&*limit, client::OURS];
    let prlimit = Path::new("prlimit");
    let (answers, exit) = client::ask(prlimit, &arguments, &directory, stream.concat(), 5);
    fs::remove_dir_all(&directory).unwrap();
    let statuses: Vec<_> = answers[2..].iter().map(|answer| answer[8]).collect();
    assert_eq!((&*statuses, exit), ([0, 4, 0].as_slice(), Some(0)));
}

#[test]
fn a_copy_ends_with_its_client() {
    const SIZE: u64 = 8 << 30;
    let directory = std::env::temp_dir().join(format!("sftp-copy-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let from = fs::File::create(directory.join("from")).unwrap();
    from.set_len(SIZE).unwrap();
    let whole = Request::extended("copy-data")
        .string(handle(0))
        .uint64(0)
        .uint64(0)
        .string(handle(1))
        .uint64(0)
        .done();
    let stream = [
        client::frame(&[1, 0, 0, 0, 3]),
        client::frame(&open("from", READ)),
        client::frame(&open("to", WRITE | CREATE)),
        // More than a pipe holds: the server answers what came before, and only then hears of the copy.
        client::frame(&write(1, 0, &[0; LONG])),
        client::frame(&whole),
    ];
    // The client goes once it has both handles.
    let (answers, _) = client::ask(Path::new(client::OURS), &[], &directory, stream.concat(), 3);
    let copied = fs::metadata(directory.join("to")).unwrap().len();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(answers.len(), 3);
    assert!(copied < SIZE, "{copied} bytes for nobody");
}
