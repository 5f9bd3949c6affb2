//! The flags, in one table: what the usage line, the manual page and the parser have to agree on.

/// One flag of sshd(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The letter after the dash.
    pub letter: char,
    /// What its argument is called; none if it takes none.
    pub argument: Option<&'static str>,
    /// What it does, in half a sentence.
    pub meaning: &'static str,
}

const fn switch(letter: char, meaning: &'static str) -> Flag {
    Flag {
        letter,
        argument: None,
        meaning,
    }
}

const fn valued(letter: char, argument: &'static str, meaning: &'static str) -> Flag {
    Flag {
        letter,
        argument: Some(argument),
        meaning,
    }
}

/// Every flag that is accepted.
pub const FLAGS: &[Flag] = &[
    switch('4', "use IPv4 addresses only"),
    switch('6', "use IPv6 addresses only"),
    valued(
        'C',
        "connection_spec",
        "show what -T and -G print for this connection",
    ),
    valued('c', "host_cert_file", "use a host certificate"),
    switch('D', "stay in the foreground"),
    switch(
        'd',
        "stay in the foreground, log to standard error, serve one connection; up to three times for more",
    ),
    valued('E', "log_file", "append log lines to a file"),
    switch('e', "write log lines to standard error"),
    valued(
        'f',
        "config_file",
        "read this file, or none at all if it is called none",
    ),
    switch(
        'G',
        "print the effective configuration without checking anything else",
    ),
    valued(
        'g',
        "login_grace_time",
        "time to log in; stands above LoginGraceTime",
    ),
    valued('h', "host_key_file", "use a host key"),
    switch(
        'i',
        "serve one connection on standard input and standard output",
    ),
    valued(
        'o',
        "option",
        "a line of the configuration, which counts before the file",
    ),
    valued('p', "port", "listen on this port; stands above Port"),
    switch('q', "log nothing"),
    switch('T', "check as -t and print the effective configuration"),
    switch('t', "check configuration and host keys"),
    valued(
        'u',
        "len",
        "record the address of a client whose host has a longer name",
    ),
    switch('V', "print the version"),
    // Without effect, here as in today's sshd.
    valued('b', "bits", "accepted without effect"),
    valued('k', "time", "accepted without effect"),
    switch('Q', "accepted without effect"),
    switch('r', "accepted without effect, with a remark"),
];

/// What is said to who uses flags that do not exist.
pub const USAGE: &str = "\
usage: sshd-privsep [-46DdeGiqTtV] [-C connection_spec] [-c host_cert_file]
                    [-E log_file] [-f config_file] [-g login_grace_time]
                    [-h host_key_file] [-o option] [-p port] [-u len]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_has_every_flag_that_does_something() {
        let (words, switches) = USAGE.split_once("[-").unwrap();
        assert_eq!(words, "usage: sshd-privsep ");
        let (switches, valued) = switches.split_once(']').unwrap();
        for flag in FLAGS {
            let silent = flag.meaning.starts_with("accepted");
            let shown = match flag.argument {
                None => switches.contains(flag.letter),
                Some(argument) => valued.contains(&format!("[-{} {argument}]", flag.letter)),
            };
            assert_eq!(shown, !silent, "-{}", flag.letter);
        }
        assert_eq!(switches.len(), 11);
    }
}
