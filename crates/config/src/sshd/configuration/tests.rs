use crate::sshd::algorithms::{Offered, Range};
use crate::sshd::*;
use proptest::prelude::*;
use std::time::Duration;

const NAMES: Range<'static> = Range {
    supported: &["a", "b"],
    default: &["a"],
};

const OFFERED: Offered<'static> = Offered {
    kex: NAMES,
    ciphers: NAMES,
    macs: NAMES,
    host_key: NAMES,
    pubkey: NAMES,
    authority: NAMES,
    pam_service: PamService::Sshd,
};

fn read(text: &str) -> Configuration {
    read_text(text, "f", &[], &NoFiles, &OFFERED).unwrap_or_else(|errors| panic!("{errors}"))
}

fn of(user: &str) -> Criteria {
    Criteria {
        user: Some(user.to_owned()),
        ..Criteria::default()
    }
}

const LAYERS: &str = "\
MaxSessions 1
AllowUsers a b
Subsystem sftp /global
RekeyLimit 1G 1h
Match User alice
  MaxSessions 2
  AllowUsers c
  Subsystem sftp /alice
  RekeyLimit 2G
Match User *
  MaxSessions 3
  AllowUsers d
  Subsystem x /x
";

#[test]
fn match_blocks_stand_above_the_rest_and_the_first_that_holds_above_the_next() {
    let configuration = read(LAYERS);
    let sessions = |criteria| configuration.effective(&criteria).config.max_sessions;
    assert_eq!(sessions(of("alice")), 2);
    assert_eq!(sessions(of("bob")), 3);
    assert_eq!(sessions(Criteria::default()), 1);
    assert_eq!(configuration.global().config.max_sessions, 1);
}

#[test]
fn lists_of_a_layer_collect_and_replace_the_layer_below() {
    let config = read(LAYERS).effective(&of("alice")).config;
    let users: Vec<bool> = ["a", "c", "d"]
        .iter()
        .map(|user| config.allow_users.iter().any(|p| p.matches(user, "", None)))
        .collect();
    assert_eq!(users, [false, true, true]);
}

#[test]
fn subsystems_and_rekey_limits_are_merged_with_the_layer_below() {
    let config = read(LAYERS).effective(&of("alice")).config;
    let commands: Vec<&str> = config.subsystems.iter().map(|s| &*s.command).collect();
    assert_eq!(commands, ["/alice", "/x"]);
    assert_eq!(config.rekey_limit.bytes, Some(2 << 30));
    assert_eq!(config.rekey_limit.time, Some(Duration::from_secs(3600)));
}

#[test]
fn each_value_knows_the_lines_that_set_it() {
    let explained = read(LAYERS).effective(&of("alice")).explain();
    let lines = |keyword| {
        let found = explained
            .iter()
            .find(|value| value.keyword == keyword)
            .unwrap();
        found.set_by.join(" ")
    };
    assert_eq!(lines("MaxSessions"), "f:6");
    assert_eq!(lines("AllowUsers"), "f:7 f:12");
    assert_eq!(lines("Subsystem"), "f:3 f:8 f:13");
    assert_eq!(lines("PermitTTY"), "");
}

#[test]
fn what_cannot_be_ignored_is_refused_in_a_block_too() {
    let configuration = read("Match User alice\n  RDomain x\n  MaxSessions 1\n");
    let refused: Vec<String> = configuration
        .refused()
        .iter()
        .map(|error| error.kind.to_string())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("cannot be ignored"));
}

#[test]
fn groups_are_asked_for_only_where_they_can_matter() {
    for (text, expected) in [
        ("", false),
        ("AllowUsers a\nMatch User a\n MaxSessions 1\n", false),
        ("DenyGroups a", true),
        ("AllowGroups a", true),
        ("Match Group a\n MaxSessions 1\n", true),
        ("Match User a Group b\n MaxSessions 1\n", true),
        ("Match User a\n AllowGroups b\n", true),
        // A block that sets nothing makes no difference.
        ("Match Group a\n", false),
    ] {
        assert_eq!(read(text).asks_for_groups(), expected, "{text}");
    }
}

#[test]
fn a_match_that_cannot_be_read_hides_no_error_below_it() {
    let errors = read_text(
        "Match Usr a\n  MaxSessions x\n  Port 22\n",
        "f",
        &[],
        &NoFiles,
        &OFFERED,
    );
    assert_eq!(errors.unwrap_err().0.len(), 3);
}

#[test]
fn options_of_the_command_line_come_before_the_file() {
    let options = ["MaxSessions=7", "AcceptEnv A"];
    let configuration = read_text(
        "MaxSessions 1\nAcceptEnv B",
        "f",
        &options,
        &NoFiles,
        &OFFERED,
    )
    .unwrap();
    let global = configuration.global();
    assert_eq!(global.config.max_sessions, 7);
    assert_eq!(global.config.accept_env.len(), 2);
    for option in ["Match all", "Include /x", "Maxx 1"] {
        let errors = read_text("", "f", &[option], &NoFiles, &OFFERED).unwrap_err();
        assert!(
            errors.to_string().starts_with("command-line:1:1:"),
            "{errors}"
        );
    }
}

#[test]
fn what_is_shown_has_every_keyword_and_ours_only_if_they_are_set() {
    let defaults = read("").global().config.print();
    assert!(defaults.starts_with("port 22\naddressfamily any\nlistenaddress [::]:22\n"));
    for own in OWN_KEYWORDS {
        assert!(
            !defaults.contains(&own.name.to_ascii_lowercase()),
            "{}",
            own.name
        );
    }
    let set = read("WorkerPoolIdle 7").global().config.print();
    assert_eq!(set.lines().last(), Some("workerpoolidle 7"));
}

#[test]
fn properties_of_sessions_can_be_given_to_all_and_taken_from_some() {
    let configuration = read(
        "SessionProperties MemoryMax=1G RuntimeMaxSec=1h\nMatch User free\nSessionProperties none\n",
    );
    let limited = configuration.effective(&of("limited")).config;
    let shown = "sessionproperties MemoryMax=1073741824 RuntimeMaxSec=3600";
    assert_eq!(limited.print().lines().last(), Some(shown));
    is_a_fixed_point(&limited).unwrap();
    let free = configuration.effective(&of("free")).config;
    assert!(free.session_properties.is_empty());
}

/// Lines that can be read, and values that need quotes.
fn line() -> impl Strategy<Value = String> {
    let word = "[a-z0-9/%h#\"' \\\\=:,*!-]{1,12}".prop_map(|word| lexer::assembled(&word));
    let keyword = proptest::sample::select(vec![
        "AcceptEnv",
        "AllowGroups",
        "AllowUsers",
        "AuthorizedKeysCommandUser",
        "AuthorizedKeysFile",
        "Banner",
        "ChrootDirectory",
        "DenyUsers",
        "ForceCommand",
        "HostCertificate",
        "HostKey",
        "IgnoreUnknown",
        "LogVerbose",
        "PermitOpen",
        "PermitListen",
        "PermitUserEnvironment",
        "RekeyLimit 1G",
        "RevokedKeys",
        "SetEnv",
        "SetEnv A=b",
        "Subsystem x",
        "ChannelTimeout x=1",
        "VersionAddendum",
        "SoftwareVersion",
    ]);
    (keyword, word).prop_map(|(keyword, word)| format!("{keyword} {word}"))
}

/// Heads of blocks that hold for alice, for bob, for both and for nobody.
fn block() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "Match User alice\n",
        "Match User *,!alice\n",
        "Match User *\n",
        "Match all\n",
        "Match Group x\n",
    ])
}

/// A block with those of its lines that can be read: with the others nothing would be tried.
fn readable(head: &str, lines: &[String]) -> String {
    let fits =
        |line: &&String| read_text(&format!("{head}{line}"), "f", &[], &NoFiles, &OFFERED).is_ok();
    let lines = lines.iter().filter(fits).map(|line| format!("{line}\n"));
    format!("{head}{}", lines.collect::<String>())
}

fn is_a_fixed_point(first: &SshdConfig) -> Result<(), TestCaseError> {
    let second = read(&first.print()).global().config;
    prop_assert_eq!(second.print(), first.print());
    let host_keys_origin = first.host_keys_origin;
    let listen_addresses = first.listen_addresses.clone();
    let same = SshdConfig {
        host_keys_origin,
        listen_addresses,
        ..second
    };
    prop_assert!(same == *first, "{}", first.print());
    Ok(())
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_what_it_shows(lines in proptest::collection::vec(line(), 0..6)) {
        is_a_fixed_point(&read(&readable("", &lines)).global().config)?;
    }

    #[test]
    fn what_is_shown_of_a_connection_is_read_as_what_it_shows(
        outside in proptest::collection::vec(line(), 0..4),
        blocks in proptest::collection::vec((block(), proptest::collection::vec(line(), 0..4)), 1..4),
    ) {
        let mut text = readable("", &outside);
        for (head, lines) in &blocks {
            text.push_str(&readable(head, lines));
        }
        let configuration = read(&text);
        for user in ["alice", "bob"] {
            is_a_fixed_point(&configuration.effective(&of(user)).config)?;
        }
    }
}
