use super::*;
use crate::testing::Home;
use config::authorized_keys::FILE_LIMIT;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::geteuid;
use std::os::unix::fs::{chown, symlink};

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPbTgCAkSkFk8P3vOmrMC1q+cYOJJ6vEnJ6Vq3lyK1Ty";
const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// 2026-01-31 00:00:00 UTC
const NOW: u64 = 1_769_817_600;
const LONG: Duration = Duration::from_secs(30);

fn blob() -> Vec<u8> {
    match authorized_keys::parse(format!("ssh-ed25519 {KEY}").as_bytes()) {
        Line::Key(entry) => entry.key_blob,
        other => panic!("{other:?}"),
    }
}

impl Home {
    fn keys(&self) -> PathBuf {
        self.account.home.join(".ssh/authorized_keys")
    }

    fn line(&self, line: usize) -> Place {
        let file = self.keys();
        Place::Line { file, line }
    }

    fn write_keys(&self, text: &str) {
        self.write(".ssh/authorized_keys", text);
    }

    fn find(&self) -> KeySearch {
        self.find_in(&[".ssh/authorized_keys"], YesNo::Yes)
    }

    fn find_in(&self, files: &[&str], strict_modes: YesNo) -> KeySearch {
        let files: Vec<AuthorizedKeysFile> = files
            .iter()
            .map(|file| AuthorizedKeysFile::parse(file).unwrap())
            .collect();
        let query = KeyQuery {
            account: &self.account,
            owner: Owner::User(self.account.uid),
            files: &files,
            strict_modes,
            presented: Presented::Plain(&blob()),
            source: &Source {
                host: "192.0.2.7".to_owned(),
                address: "192.0.2.7".parse().ok(),
            },
            now: NOW,
        };
        find_key(query, LONG)
    }

    /// The only refusal of a search that did not find the key.
    fn refusal(&self) -> String {
        let search = self.find();
        assert!(matches!(search.verdict, Verdict::NotFound), "{search:?}");
        assert_eq!(search.refusals.len(), 1, "{search:?}");
        search.refusals[0].to_string()
    }
}

#[test]
fn a_key_is_found_with_its_file_and_line() {
    let home = Home::new();
    home.write_keys(&format!(
        "# mine\nssh-ed25519 {OTHER} a\nssh-ed25519 {KEY} b\n"
    ));
    let search = home.find_in(&[".ssh/missing", ".ssh/authorized_keys"], YesNo::Yes);
    let Verdict::Found(key) = search.verdict else {
        panic!("{search:?}")
    };
    assert_eq!(key.place(), &home.line(3));
    assert_eq!(key.account(), &home.account);
    assert_eq!(key.key_blob(), blob());
    assert!(search.refusals.is_empty());
}

#[test]
fn another_key_or_no_file_is_not_found_without_a_remark() {
    let home = Home::new();
    let search = home.find();
    assert!(matches!(search.verdict, Verdict::NotFound) && search.refusals.is_empty());
    home.write_keys(&format!(
        "ssh-ed25519 {OTHER}\nno-pty ssh-ed25519 {OTHER}\n"
    ));
    let search = home.find();
    assert!(matches!(search.verdict, Verdict::NotFound) && search.refusals.is_empty());
}

#[test]
fn options_that_are_decided_here_are_obeyed() {
    let home = Home::new();
    let path = home.keys();
    let path = path.display();
    for (options, permitted) in [
        ("from=\"192.0.2.0/24\"", true),
        ("from=\"*,!192.0.2.7\"", false),
        ("from=\"*.example.com\"", false),
        ("expiry-time=\"20260131Z\"", true),
        ("expiry-time=\"20260130Z\"", false),
        ("expiry-time=\"20260202\"", true),
        ("no-pty,pty,touch-required,no-verify-required", true),
        ("cert-authority", false),
    ] {
        home.write_keys(&format!("{options} ssh-ed25519 {KEY}\n"));
        let verdict = home.find().verdict;
        assert_eq!(matches!(verdict, Verdict::Found(_)), permitted, "{options}");
    }
    home.write_keys(&format!("from=\"10.0.0.0/8\" ssh-ed25519 {KEY}\n"));
    assert_eq!(
        home.refusal(),
        format!(
            "{path}:1: Authentication tried for u with correct key but not from a permitted host \
             (host=192.0.2.7, ip=192.0.2.7, required=10.0.0.0/8)."
        )
    );
    home.write_keys(&format!("expiry-time=\"20200101Z\" ssh-ed25519 {KEY}\n"));
    let expected = format!("{path}:1: entry expired at 2020-01-01T00:00:00Z");
    assert_eq!(home.refusal(), expected);
}

#[test]
fn users_are_told_what_did_not_count_and_not_all_that_is_logged() {
    let home = Home::new();
    let path = home.keys();
    let path = path.display();
    for (line, told) in [
        (
            format!("from=\"10.0.0.0/8\" ssh-ed25519 {KEY}"),
            Some(format!(
                "{path}:1: Your host '192.0.2.7' is not permitted to use this key for login."
            )),
        ),
        (
            format!("expiry-time=\"20200101Z\" ssh-ed25519 {KEY}"),
            Some(format!("{path}:1: entry expired at 2020-01-01T00:00:00Z")),
        ),
        (
            format!("no-such ssh-ed25519 {OTHER}"),
            Some(format!("{path}:1: bad key options: unknown key option")),
        ),
        (
            format!("from=\"a ssh-ed25519 {OTHER}"),
            Some(format!("{path}:1: invalid key option string")),
        ),
        ("ssh-ed25519 x".to_owned(), None),
    ] {
        home.write_keys(&line);
        let refusals = home.find().refusals;
        assert_eq!(refusals.len(), 1, "{line}: {refusals:?}");
        assert_eq!(refusals[0].told(), told, "{line}");
    }
    home.write_keys("");
    home.give(&home.keys(), 0o622);
    let told = home.find().refusals[0].told().unwrap();
    let ignored = "Ignored authorized keys: bad ownership or modes for file ";
    assert!(told.starts_with(ignored), "{told}");
}

#[test]
fn a_line_that_does_not_count_hides_no_later_one() {
    let home = Home::new();
    home.write_keys(&format!(
        "from=\"10.0.0.0/8\" ssh-ed25519 {KEY}\nfrom=\"192.0.2.7\" ssh-ed25519 {KEY}\n"
    ));
    let search = home.find();
    let Verdict::Found(key) = search.verdict else {
        panic!("{search:?}")
    };
    assert_eq!((key.place(), search.refusals.len()), (&home.line(2), 1));
    assert_eq!(key.constraints().from[0].as_str(), "192.0.2.7");
}

#[test]
fn options_for_the_session_come_with_the_key() {
    let home = Home::new();
    for (options, names) in [
        ("command=\"/bin/false\",no-pty", vec!["command", "no-pty"]),
        (
            "environment=\"A=1\",no-user-rc",
            vec!["environment", "no-user-rc"],
        ),
        (
            "permitopen=\"a:1\",permitlisten=\"1\"",
            vec!["permitlisten", "permitopen"],
        ),
        (
            "restrict,pty,tunnel=\"1\"",
            vec![
                "no-agent-forwarding",
                "no-port-forwarding",
                "no-user-rc",
                "no-X11-forwarding",
                "tunnel",
            ],
        ),
    ] {
        home.write_keys(&format!("{options},from=\"*\" ssh-ed25519 {KEY}\n"));
        let Verdict::Found(key) = home.find().verdict else {
            panic!("{options}")
        };
        assert_eq!(key.constraints().names(), names, "{options}");
    }
}

#[test]
fn lines_of_a_command_are_judged_as_those_of_a_file() {
    let home = Home::new();
    let source = Source {
        host: "192.0.2.7".to_owned(),
        address: "192.0.2.7".parse().ok(),
    };
    let key = blob();
    let query = KeyQuery {
        account: &home.account,
        owner: Owner::Server(1),
        files: &[],
        strict_modes: YesNo::Yes,
        presented: Presented::Plain(&key),
        source: &source,
        now: NOW,
    };
    let find = |text: &str| find_key_in_lines(query, Path::new("/bin/x %u"), text.as_bytes());
    let found = find(&format!(
        "garbage\nfrom=\"10.0.0.0/8\" ssh-ed25519 {KEY}\nno-pty ssh-ed25519 {KEY}\n"
    ));
    let Verdict::Found(key) = found.verdict else {
        panic!("{found:?}")
    };
    assert_eq!(key.place().to_string(), "/bin/x %u:3");
    assert_eq!(key.constraints().names(), ["no-pty"]);
    assert_eq!(key.account(), &home.account);
    assert_eq!(key.key_blob(), blob());
    let refusals: Vec<String> = found.refusals.iter().map(ToString::to_string).collect();
    assert!(refusals[0].starts_with("/bin/x %u:1: "), "{refusals:?}");
    assert!(
        refusals[1].starts_with("/bin/x %u:2: Authentication tried"),
        "{refusals:?}"
    );
    for text in [
        "",
        &format!("ssh-ed25519 {OTHER}\n"),
        &format!("cert-authority ssh-ed25519 {KEY}\n"),
    ] {
        assert!(matches!(find(text).verdict, Verdict::NotFound), "{text}");
    }
}

#[test]
fn a_pattern_stands_for_the_files_that_match() {
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n"));
    let find = |files: &[&str]| home.find_in(files, YesNo::Yes).verdict;
    assert!(
        matches!(find(&[".ssh/authorized_*"]), Verdict::Found(key) if *key.place() == home.line(1))
    );
    assert!(matches!(find(&[".ssh/x*"]), Verdict::NotFound));
}

#[test]
fn a_malformed_line_is_reported_and_passed_over() {
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 ???\nssh-ed25519 {KEY}\n"));
    let search = home.find();
    assert!(
        matches!(&search.verdict, Verdict::Found(key) if *key.place() == home.line(2)),
        "{search:?}"
    );
    assert!(
        search.refusals[0]
            .to_string()
            .ends_with("authorized_keys:1: the key is not valid base64")
    );
}

#[test]
fn refusals_are_bounded() {
    let home = Home::new();
    home.write_keys(&"x\n".repeat(10_000));
    assert_eq!(home.find().refusals.len(), REFUSALS_LIMIT);
}

#[test]
fn strict_modes_refuses_what_others_can_write() {
    let home = Home::new();
    let line = format!("ssh-ed25519 {KEY}\n");
    let ssh = home.account.home.join(".ssh");
    for (path, mode, restored, kind) in [
        (home.keys(), 0o620, 0o600, "file"),
        (home.keys(), 0o602, 0o600, "file"),
        (ssh.clone(), 0o770, 0o700, "directory"),
        (home.account.home.clone(), 0o757, 0o755, "directory"),
    ] {
        home.write_keys(&line);
        home.give(&path, mode);
        let expected = format!(
            "Authentication refused: bad ownership or modes for {kind} {}",
            path.display()
        );
        assert_eq!(home.refusal(), expected);
        let lax = home.find_in(&[".ssh/authorized_keys"], YesNo::No);
        assert!(matches!(lax.verdict, Verdict::Found(_)), "{lax:?}");
        home.give(&path, restored);
        assert!(matches!(home.find().verdict, Verdict::Found(_)));
    }
    // What is above the home directory is not looked at.
    home.give(&home.root, 0o777);
    assert!(matches!(home.find().verdict, Verdict::Found(_)));
}

#[test]
fn a_file_outside_of_the_home_directory_is_checked_up_to_the_root() {
    let home = Home::new();
    let file = home.root.join("keys");
    std::fs::write(&file, format!("ssh-ed25519 {KEY}\n")).unwrap();
    home.give(&file, 0o644);
    home.give(&home.root, 0o775);
    let search = home.find_in(&[file.to_str().unwrap()], YesNo::Yes);
    assert!(matches!(search.verdict, Verdict::NotFound));
    let expected = format!(
        "Authentication refused: bad ownership or modes for directory {}",
        home.root.display()
    );
    assert_eq!(search.refusals[0].to_string(), expected);
}

#[test]
fn a_link_is_followed_and_its_target_checked() {
    let home = Home::new();
    let real = home.account.home.join("real");
    std::fs::create_dir(&real).unwrap();
    home.give(&real, 0o755);
    let target = real.join("keys");
    std::fs::write(&target, format!("ssh-ed25519 {KEY}\n")).unwrap();
    home.give(&target, 0o600);
    symlink(&target, home.keys()).unwrap();
    assert!(matches!(home.find().verdict, Verdict::Found(_)));
    home.give(&real, 0o777);
    assert!(
        home.refusal()
            .ends_with(&format!("directory {}", real.display()))
    );
}

#[test]
fn a_fifo_does_not_block_and_a_directory_or_device_is_no_key_file() {
    let home = Home::new();
    mknodat(
        CWD,
        home.keys(),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    home.give(&home.keys(), 0o600);
    assert!(home.refusal().ends_with("is not a regular file"));
    std::fs::remove_file(home.keys()).unwrap();
    std::fs::create_dir(home.keys()).unwrap();
    home.give(&home.keys(), 0o700);
    assert!(home.refusal().ends_with("is not a regular file"));
    std::fs::remove_dir(home.keys()).unwrap();
    symlink("/dev/zero", home.keys()).unwrap();
    assert!(home.refusal().ends_with("is not a regular file"));
}

#[test]
fn a_file_that_is_too_long_is_refused_whole() {
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n#{}", " ".repeat(FILE_LIMIT)));
    assert!(home.refusal().ends_with("is longer than 1048576 bytes"));
}

#[test]
fn root_reads_nothing_that_the_user_could_not() {
    if !geteuid().is_root() {
        return;
    }
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n"));
    chown(home.keys(), Some(0), Some(0)).unwrap();
    assert!(home.refusal().ends_with("': Permission denied"));
    // And the same by a link to a file of root's.
    std::fs::remove_file(home.keys()).unwrap();
    symlink("/etc/shadow", home.keys()).unwrap();
    assert!(home.refusal().ends_with("': Permission denied"));
    assert!(geteuid().is_root());
}

#[test]
fn a_file_of_another_user_is_not_trusted_even_if_readable() {
    if !geteuid().is_root() {
        return;
    }
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n"));
    home.give(&home.keys(), 0o644);
    chown(home.keys(), Some(home.account.uid + 1_000_000), None).unwrap();
    assert!(home.refusal().contains("bad ownership or modes for file"));
    // Root's files are trusted: an administrator may keep them.
    chown(home.keys(), Some(0), None).unwrap();
    assert!(matches!(home.find().verdict, Verdict::Found(_)));
}

#[test]
fn without_the_users_identity_nothing_is_read() {
    let mut home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n"));
    home.account.uid = if geteuid().is_root() {
        u32::MAX
    } else {
        home.account.uid + 1
    };
    let search = home.find();
    assert!(
        matches!(search.verdict, Verdict::Unknown(NotDone::Failed)),
        "{search:?}"
    );
    assert!(matches!(search.refusals[0], KeyRefusal::Identity(_)));
}

#[test]
fn no_files_configured_finds_nothing() {
    let home = Home::new();
    home.write_keys(&format!("ssh-ed25519 {KEY}\n"));
    assert!(matches!(
        home.find_in(&[], YesNo::Yes).verdict,
        Verdict::NotFound
    ));
}
