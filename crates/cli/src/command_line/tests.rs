use super::*;
use crate::flags::FLAGS;
use config::sshd::{Account, Offers};

fn parse(words: &[&str]) -> Result<CommandLine, UsageError> {
    CommandLine::parse(words.iter().map(OsString::from))
}

fn options(words: &[&str]) -> Vec<String> {
    parse(words).unwrap().options
}

fn task(words: &[&str]) -> Task {
    parse(words).unwrap().task
}

#[test]
fn the_table_has_every_flag_that_is_read_and_whether_it_has_an_argument() {
    for letter in (' '..='~').filter(|letter| *letter != '-') {
        // Refused by its name, so not a flag to write about.
        if letter == 'R' {
            continue;
        }
        let alone = parse(&[&format!("-{letter}")]);
        let found = match alone {
            Err(UsageError::Unknown(_)) => None,
            Err(UsageError::NoArgument(_)) => Some(true),
            Ok(_) | Err(_) => Some(false),
        };
        let table = FLAGS.iter().find(|flag| flag.letter == letter);
        assert_eq!(
            found,
            table.map(|flag| flag.argument.is_some()),
            "-{letter}"
        );
    }
}

#[test]
fn flags_cluster_and_values_stand_beside_or_behind() {
    let line = parse(&["-tf", "/x", "-p22", "-oPort=1", "-o", "UsePAM yes", "-De"]).unwrap();
    assert_eq!(line.task, Task::Check);
    assert_eq!(line.file, ConfigurationFile::Path("/x".into()));
    assert_eq!(line.ports, [22]);
    assert_eq!(line.options, ["Port=1", "UsePAM yes"]);
    assert_eq!(line.log, Log::StandardError);
    // As getopt(3), which knows no equals sign.
    assert_eq!(options(&["-o=Port=1"]), ["=Port=1"]);
}

#[test]
fn without_flags_a_daemon_serves_with_the_usual_file() {
    let line = parse(&[]).unwrap();
    assert_eq!(line.task, Task::Serve(Manner::Daemon));
    assert_eq!(line.file, ConfigurationFile::Path(DEFAULT_FILE.into()));
    assert_eq!(line.log, Log::Journal);
    assert!(line.options.is_empty() && line.ports.is_empty() && line.remarks.is_empty());
}

#[test]
fn one_connection_stands_above_debug_above_foreground() {
    for (words, manner) in [
        (&["-D"][..], Manner::Foreground),
        (&["-dD"], Manner::Debug),
        (&["-Did"], Manner::Inetd),
    ] {
        assert_eq!(task(words), Task::Serve(manner), "{words:?}");
    }
}

#[test]
fn of_tests_the_last_counts_but_g_stands_above() {
    assert_eq!(task(&["-Tt"]), Task::Check);
    assert_eq!(task(&["-tT"]), Task::CheckAndShow);
    assert_eq!(task(&["-GTt"]), Task::Show);
    assert_eq!(task(&["-DtG"]), Task::Show);
    // Whatever comes after it is not read.
    assert_eq!(task(&["-V", "-x"]), Task::Version);
}

#[test]
fn a_file_called_none_is_none_and_others_are_absolute() {
    assert_eq!(
        parse(&["-f", "None"]).unwrap().file,
        ConfigurationFile::None
    );
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        parse(&["-f", "x/y"]).unwrap().file,
        ConfigurationFile::Path(here.join("x/y"))
    );
    assert_eq!(
        parse(&["-f", "none", "-o", "UsePAM yes"])
            .unwrap()
            .for_monitor(),
        ["-f", "none", "-o", "UsePAM yes"]
    );
}

#[test]
fn ports_are_numbers_or_services() {
    assert_eq!(
        parse(&["-p", "ssh", "-p", "65535"]).unwrap().ports,
        [22, 65535]
    );
    for word in ["0", "65536", "-1", "no-such-service"] {
        assert_eq!(parse(&["-p", word]), Err(UsageError::Port), "{word}");
    }
    let many = vec!["-p22"; PORTS_LIMIT + 1];
    assert_eq!(parse(&many), Err(UsageError::TooManyPorts));
}

#[test]
fn the_last_address_family_counts_and_stands_above_options() {
    assert_eq!(
        options(&["-oAddressFamily any", "-46"]),
        ["AddressFamily \"inet6\"", "AddressFamily any"]
    );
}

#[test]
fn grace_time_is_checked_and_stands_above_options() {
    assert_eq!(
        options(&["-oLoginGraceTime 5", "-g", "1m30"]),
        ["LoginGraceTime \"1m30\"", "LoginGraceTime 5"]
    );
    assert_eq!(parse(&["-g", "soon"]), Err(UsageError::GraceTime));
}

#[test]
fn levels_rise_with_each_d_and_q_silences() {
    for (words, level) in [
        ("-d", "DEBUG1"),
        ("-dd", "DEBUG2"),
        ("-ddd", "DEBUG3"),
        ("-dddd", "DEBUG3"),
        ("-q", "QUIET"),
        ("-dq", "QUIET"),
        ("-qd", "DEBUG1"),
    ] {
        assert_eq!(
            options(&[words]),
            [format!("LogLevel \"{level}\"")],
            "{words}"
        );
    }
}

#[test]
fn keys_and_certificates_are_lines_in_their_order() {
    assert_eq!(
        options(&["-h", "/a b", "-o", "HostKey /c", "-c", "/d\"\\"]),
        [
            "HostKey \"/a b\"",
            "HostKey /c",
            "HostCertificate \"/d\\\"\\\\\""
        ]
    );
    let line = parse(&["-fnone", "-h", "/a b", "-h", "/c#d", "-c", "/d\"\\"]).unwrap();
    let config = line
        .read(&Offers::ours().offered())
        .unwrap()
        .global()
        .config;
    assert_eq!(config.host_keys, ["/a b", "/c#d"].map(PathBuf::from));
    assert_eq!(config.host_certificates, ["/d\"\\"].map(PathBuf::from));
}

#[test]
fn log_lines_go_where_they_are_asked_for() {
    for (words, log) in [
        (&["-e"][..], Log::StandardError),
        (&["-d"], Log::StandardError),
        // There, standard error may be the client's.
        (&["-di"], Log::Journal),
        (&["-ei"], Log::StandardError),
        (&["-E", "/log.%p", "-e"], Log::File("/log.%p".to_owned())),
    ] {
        assert_eq!(parse(words).unwrap().log, log, "{words:?}");
    }
}

#[test]
fn connections_merge_and_are_asked_about_only() {
    let line = parse(&[
        "-T",
        "-C",
        "user=a,lport=22",
        "-Chost=h,invalid-user",
        "-C",
        "user=b",
    ]);
    let connection = line.unwrap().connection;
    assert_eq!(connection.user.as_deref(), Some("b"));
    assert_eq!(connection.host.as_deref(), Some("h"));
    assert_eq!(connection.local_port, Some(22));
    assert_eq!(connection.account, Account::Invalid);
    assert!(parse(&["-G", "-C", "user=a"]).is_ok());
    for words in [&["-C", "user=a"][..], &["-t", "-C", "user=a"], &["-C", ""]] {
        let error = parse(words).unwrap_err();
        assert_eq!(error, UsageError::ConnectionWithoutTest);
        assert_eq!(error.exit_code(), 255);
    }
}

#[test]
fn words_without_meaning_are_named_as_sshd_names_them() {
    for (words, said) in [
        (&["-x"][..], "unknown option -- x\n"),
        (&["--help"], "unknown option -- -\n"),
        (&["-t", "-f"], "option requires an argument -- f\n"),
        (&["-t", "x", "-e", "y"], "Extra argument x."),
        (&["-C", "usr=a"], "Invalid test mode specification usr=a"),
        (
            &["-C", "lport=x"],
            "Invalid port 'x' in test mode specification lport=x",
        ),
    ] {
        let error = parse(words).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
    assert!(parse(&["-x"]).unwrap_err().to_string().ends_with(USAGE));
    assert_eq!(parse(&["-R"]).unwrap_err().exit_code(), 255);
}

#[test]
fn the_longest_name_of_a_host_goes_to_the_monitor() {
    for (words, passed) in [(&["-u0"], "-u0"), (&["-u65"], "-u65"), (&["-ux"], "-u0")] {
        let line = parse(words).unwrap();
        assert_eq!(line.for_monitor().last().unwrap(), passed);
    }
    assert!(matches!(parse(&["-u66"]), Err(UsageError::UtmpLength)));
    let words = parse(&[]).unwrap().for_monitor();
    assert!(
        !words
            .iter()
            .any(|word| word.to_string_lossy().starts_with("-u"))
    );
}

#[test]
fn what_is_obsolete_is_accepted() {
    let line = parse(&["-b", "1024", "-k1h", "-Q", "-r", "-t"]).unwrap();
    assert_eq!(line.task, Task::Check);
    assert_eq!(line.remarks, ["-r option is deprecated"]);
    assert!(line.options.is_empty());
}

#[test]
fn errors_of_options_name_the_command_line_and_come_before_those_of_the_file() {
    let line = parse(&["-f", "none", "-o", "Foo=1", "-oMaxAuthTries=x"]).unwrap();
    let errors = line.read(&Offers::ours().offered()).unwrap_err();
    let said: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    assert!(
        said[0].starts_with("command-line:1:1: unknown keyword \"Foo\""),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("command-line:1:14: MaxAuthTries"),
        "{said:?}"
    );
}

#[test]
fn the_machines_server_has_the_usual_file_and_nothing_else() {
    let is = |words: &[&str]| parse(words).unwrap().is_about_the_service();
    assert!(is(&["-t"]));
    assert!(is(&["-t", "-f", "/etc/ssh/sshd_config"]));
    for words in [
        &["-t", "-f", "/x"][..],
        &["-tfnone"],
        &["-t", "-p", "23"],
        &["-to", "Port 23"],
    ] {
        assert!(!is(words), "{words:?}");
    }
}
