//! Where ours and Debian's sshd differ, each with the reason. A row that explains nothing any more is an error.

/// A line that only one of the servers says.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The configuration, or the beginning of the situation's line; empty for all.
    pub(crate) place: &'static str,
    pub(crate) line: Only,
    pub(crate) reason: &'static str,
}

/// Who says it. `*` stands for any text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Only {
    Ours(&'static str),
    Theirs(&'static str),
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        place: "",
        line: Only::Theirs("Postponed keyboard-interactive/pam for * [preauth]"),
        reason: "their PAM has one more round, without a question, before it is done",
    },
    Difference {
        place: "",
        line: Only::Theirs("Remote: *"),
        reason: "said of other keys, too: ours of the one that let the user in",
    },
    Difference {
        place: "future ",
        line: Only::Ours("Remote: *: key options: agent-forwarding expires *"),
        reason: "sshd has no space before this word",
    },
    Difference {
        place: "",
        line: Only::Theirs("*Refused by key options"),
        reason: "said beside the reason, which both give",
    },
    Difference {
        place: "filegroup ",
        line: Only::Ours("*"),
        reason: "Debian's patch trusts members of a user's own group; sshd(8) does not, and neither do we",
    },
    Difference {
        place: "filegroup ",
        line: Only::Theirs("*"),
        reason: "Debian's patch trusts members of a user's own group; sshd(8) does not, and neither do we",
    },
    Difference {
        place: "",
        line: Only::Ours("error: Refusing certificate ID * via *: *"),
        reason: "the words of later versions of OpenSSH",
    },
    Difference {
        place: "",
        line: Only::Theirs("error: Certificate *"),
        reason: "the words of later versions of OpenSSH",
    },
    Difference {
        place: "",
        line: Only::Theirs("error: forced command options do not match"),
        reason: "the words of later versions of OpenSSH",
    },
    Difference {
        place: "",
        line: Only::Theirs("error: Refused by certificate options"),
        reason: "the words of later versions of OpenSSH",
    },
    Difference {
        place: "alice            key:cert-critical",
        line: Only::Theirs("error: Invalid certificate options"),
        reason: "said beside the reason, which both give",
    },
    Difference {
        place: "alice            key:cert-other",
        line: Only::Ours("CA is not listed in *"),
        reason: "told at this level, which sshd does when it debugs",
    },
    Difference {
        place: "lk ",
        line: Only::Ours("*"),
        reason: "an account brought from Solaris, or locked by hand as there, is locked",
    },
    Difference {
        place: "lk ",
        line: Only::Theirs("*"),
        reason: "an account brought from Solaris, or locked by hand as there, is locked",
    },
    Difference {
        place: "lines of authorized_keys",
        line: Only::Ours("/home/*/.ssh/authorized_keys:*: *"),
        reason: "what is wrong with a line is told at every level, with the place",
    },
    Difference {
        place: "lines of authorized_keys",
        line: Only::Theirs("/home/from-bad/.ssh/authorized_keys:1: Authentication tried *"),
        reason: "a pattern that is none is told as such",
    },
    Difference {
        place: "lines of authorized_keys",
        line: Only::Theirs("error: invalid key option string"),
        reason: "told with the place",
    },
    Difference {
        place: "the size of RSA keys",
        line: Only::Ours("userauth_pubkey: RSA modulus of 1024 bits is refused"),
        reason: "told with the size",
    },
    Difference {
        place: "the size of RSA keys",
        line: Only::Theirs("refusing RSA key: Invalid key length [preauth]"),
        reason: "told with the size",
    },
    Difference {
        place: "a banner that is not there",
        line: Only::Ours("no banner is shown: *"),
        reason: "a mistake of the administrator's, whom sshd does not tell",
    },
    Difference {
        place: "two%20words ",
        line: Only::Ours("*two\\040words *"),
        reason: "a blank in a name is escaped: it could forge the rest of the line",
    },
    Difference {
        place: "two%20words ",
        line: Only::Theirs("*two words *"),
        reason: "a blank in a name is escaped: it could forge the rest of the line",
    },
    Difference {
        place: "../alice ",
        line: Only::Ours("*../alice *"),
        reason: "Debian's patch for SELinux cuts a role off; a name is a name",
    },
    Difference {
        place: "../alice ",
        line: Only::Theirs("* .. *"),
        reason: "Debian's patch for SELinux cuts a role off; a name is a name",
    },
    Difference {
        place: "aged             pw:right",
        line: Only::Ours("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "aged             pw:right",
        line: Only::Theirs("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "outdated         pw:right",
        line: Only::Ours("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "outdated         pw:right",
        line: Only::Theirs("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "stuck            pw:right",
        line: Only::Ours("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "stuck            pw:right",
        line: Only::Theirs("*"),
        reason: "an expired password is changed in the method, as RFC 4252 has it: their session does it, and only at a terminal",
    },
    Difference {
        place: "expired ",
        line: Only::Theirs("User expired not allowed because account is locked"),
        reason: "it has expired, which both say, and is not locked",
    },
    Difference {
        place: "expired          k",
        line: Only::Theirs(""),
        reason: "what PAM says at the end of a dialog comes as a banner, without the empty line that their last round has",
    },
    Difference {
        place: "inactive         k",
        line: Only::Theirs(""),
        reason: "what PAM says at the end of a dialog comes as a banner, without the empty line that their last round has",
    },
    Difference {
        place: "the machine goes down",
        line: Only::Theirs(""),
        reason: "a text is shown without the empty line at its end",
    },
    Difference {
        place: "empty            kbd:nothing",
        line: Only::Theirs("Postponed keyboard-interactive for * [preauth]"),
        reason: "their PAM has one more round, without a question, before it is done",
    },
    Difference {
        place: "",
        line: Only::Theirs("error: Could not get shadow information for *"),
        reason: "an account that is not in shadow(5), or none at all, is no error",
    },
    Difference {
        place: "root may not",
        line: Only::Theirs("ROOT LOGIN REFUSED FROM * [preauth]"),
        reason: "their worker and their monitor both say it",
    },
    Difference {
        place: "lists that nobody can complete",
        line: Only::Theirs("Authentication methods list * contains disabled method, skipping"),
        reason: "their worker and their monitor both say it",
    },
    Difference {
        place: "lists that nobody can complete",
        line: Only::Theirs("error: Disabled method * in AuthenticationMethods list *"),
        reason: "their worker and their monitor both say it",
    },
    Difference {
        place: "lists that nobody can complete",
        line: Only::Theirs(
            "error: No AuthenticationMethods left after eliminating disabled methods",
        ),
        reason: "their worker and their monitor both say it",
    },
    Difference {
        place: "root             key:other              in",
        line: Only::Theirs("Root login accepted for forced command. [preauth]"),
        reason: "their worker and their monitor both say it",
    },
    Difference {
        place: "passwords, without PAM",
        line: Only::Theirs("User * password has expired (password aged)"),
        reason: "the user is told, who may do nothing but change it",
    },
    Difference {
        place: "root             key:good               cut|",
        line: Only::Ours("*"),
        reason: "root may not log in by a key without a command: their worker and their monitor disagree about it, which ends in an error",
    },
    Difference {
        place: "root             key:good               cut|",
        line: Only::Theirs("*"),
        reason: "root may not log in by a key without a command: their worker and their monitor disagree about it, which ends in an error",
    },
    Difference {
        place: "the machine goes down, without PAM",
        line: Only::Ours("User * not allowed because /etc/nologin exists"),
        reason: "they tell the user only",
    },
];

impl Difference {
    pub(crate) fn explains(&self, title: &str, row: &str, server: usize, line: &str) -> bool {
        let ((Only::Ours(pattern), 0) | (Only::Theirs(pattern), 1)) = (self.line, server) else {
            return false;
        };
        (title == self.place || row.starts_with(self.place)) && matches(pattern, line)
    }
}

fn matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            (0..=line.len())
                .filter_map(|at| line.get(at..))
                .any(|line| matches(rest, line))
        }),
    }
}
